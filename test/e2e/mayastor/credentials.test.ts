/** The compiled binary before a service that wants a token or shows a certificate: both may change at any time. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plumblineBinary } from "../../support/binary.ts";
import { describeWith, OPENSSL } from "../../support/debian.ts";
import { type Conduct, HostileServer, restError } from "../../support/hostile-server.ts";
import { healthy } from "../../support/mayastor-scraping.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import { Directory, flagsOf, type Scrape, serve } from "./service.ts";

const PATIENCE_MS = 60_000;
const online = ({ series }: Scrape) => series.get('mayastor_node_online{node_id="node-a"}');
const errors = ({ series }: Scrape, reason: string) =>
  series.get(`mayastor_node_status_fetch_errors_total{reason="${reason}"}`);

/** Takes this token alone. */
const guarded =
  (token: string): Conduct =>
  (connection, asked) => {
    const isKnown = asked.headers.get("authorization") === `Bearer ${token}`;
    (isKnown ? healthy : restError(401, "Unauthorized"))(connection, asked);
  };

/** A directory that is replaced as a whole, as the kubelet does with those of Secrets. */
class Secret {
  readonly #directory: string;
  #version = 0;

  constructor(directory: string, files: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.put(files);
    for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, this.path(name));
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  put(files: Readonly<Record<string, string>>): void {
    const version = `..version-${this.#version++}`;
    mkdirSync(join(this.#directory, version), { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(this.#directory, version, name), text);
    }
    const link = this.path("..data_tmp");
    symlinkSync(version, link);
    renameSync(link, this.path("..data"));
  }
}

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

test(
  "a new token is used at the next scrape, over the same connection",
  async () => {
    using directory = new Directory();
    const secret = new Secret(directory.path, { token: "first-token\n" });
    await using server = await HostileServer.start(guarded("first-token"));
    const file = directory.configuration({
      ...{ endpoint: server.origin, token_file: secret.path("token"), allow_plaintext_token: true },
    });
    await using service = await serve([binary], flagsOf(file));
    expect(online(await service.scrape())).toBe(1);
    server.conduct = guarded("second-token");
    expect(online(await service.scrape())).toBeUndefined();
    secret.put({ token: "second-token" });
    const renewed = await service.scrape();
    expect(online(renewed)).toBe(1);
    expect(errors(renewed, "unauthorized")).toBe(1);
    rmSync(secret.path("token"));
    const without = await service.scrape();
    expect([online(without), errors(without, "credentials")]).toEqual([undefined, 1]);
    expect(server.connections).toBe(1);
    expect(service.process.log()).not.toMatch(/first-token|second-token/);
  },
  PATIENCE_MS,
);

describeWith([OPENSSL], "over TLS", () => {
  let old: Certificates;
  let renewed: Certificates;
  beforeAll(() => {
    [old, renewed] = [makeCertificates(), makeCertificates()];
  });
  afterAll(() => {
    for (const { directory } of [old, renewed]) rmSync(directory, { recursive: true });
  });

  test(
    "a new CA is trusted at the next scrape, and the old one no more",
    async () => {
      using directory = new Directory();
      const secret = new Secret(directory.path, { "ca.crt": old.ca.cert });
      await using first = await HostileServer.start(healthy, { tls: old.server });
      const file = directory.configuration({ endpoint: first.origin, ca_file: secret.path("ca.crt") });
      await using service = await serve([binary], flagsOf(file));
      expect(online(await service.scrape())).toBe(1);

      secret.put({ "ca.crt": renewed.ca.cert });
      const distrusted = await service.scrape();
      expect([online(distrusted), errors(distrusted, "tls")]).toEqual([undefined, 1]);

      await first.stop();
      await using second = await HostileServer.start(healthy, { port: first.port, tls: renewed.server });
      const trusted = await service.scrape();
      expect([online(trusted), errors(trusted, "tls")]).toEqual([1, 1]);
      expect(second.asked.length).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );

  test(
    "a new client certificate and key are shown at the next scrape",
    async () => {
      using directory = new Directory();
      const secret = new Secret(directory.path, {
        "tls.crt": renewed.client.cert,
        "tls.key": renewed.client.key,
      });
      using server = Bun.serve({
        ...{ port: 0, hostname: "127.0.0.1" },
        fetch: () =>
          Response.json([{ id: "node-a", state: { status: "Online", id: "node-a", grpcEndpoint: "" } }]),
        tls: {
          ...{ cert: old.server.cert, key: old.server.key, ca: old.ca.cert },
          ...{ requestCert: true, rejectUnauthorized: true },
        },
      });
      const file = directory.configuration({
        ...{ endpoint: `https://127.0.0.1:${server.port}`, ca_file: old.ca.certFile },
        ...{ cert_file: secret.path("tls.crt"), key_file: secret.path("tls.key") },
      });
      await using service = await serve([binary], flagsOf(file));
      const refused = await service.scrape();
      expect(online(refused)).toBeUndefined();
      expect(errors(refused, "tls")).toBeGreaterThan(0);
      secret.put({ "tls.crt": old.client.cert, "tls.key": old.client.key });
      expect(online(await service.scrape())).toBe(1);
    },
    PATIENCE_MS,
  );

  test(
    "the dummy certificate is taken where verification was switched off, which is warned of at the start",
    async () => {
      using directory = new Directory();
      await using server = await HostileServer.start(healthy, { tls: renewed.server });
      const endpoint = server.origin;
      const strict = directory.configuration({ endpoint });
      await using verifying = await serve([binary], flagsOf(strict));
      expect(online(await verifying.scrape())).toBeUndefined();
      expect(server.asked).toHaveLength(0);
      const lax = directory.configuration({ endpoint, insecure_skip_verify: true });
      await using service = await serve([binary], flagsOf(lax));
      expect(online(await service.scrape())).toBe(1);
      expect(service.process.log()).toMatch(/level=warn.*insecure_skip_verify/);
    },
    PATIENCE_MS,
  );
});
