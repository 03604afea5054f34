/** The same sources under Deno: what a service gives, and how it fails, is told in the same words as under Bun. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { describeUnless, lacking, OPENSSL } from "../../support/debian.ts";
import { denoPath } from "../../support/deno.ts";
import {
  type Conduct,
  echoToken,
  endlessBody,
  HostileServer,
  hangUp,
  redirect,
  reset,
  silence,
  slowBody,
  truncated,
} from "../../support/hostile-server.ts";
import { healthy } from "../../support/mayastor-scraping.ts";
import { freePort } from "../../support/ports.ts";
import { FROM_SOURCES } from "../../support/source-runs.ts";
import { type Certificates, makeCertificates } from "../../web/certificates.ts";
import { Directory, type MayastorConfiguration, run } from "./service.ts";

const PATIENCE_MS = 60_000;
const deno = denoPath();
const LACKING =
  deno === undefined ? "Deno is missing: bun install, or put deno on the PATH" : lacking([OPENSSL]);

describeUnless(LACKING, "under Deno", () => {
  let made: Certificates;
  beforeAll(() => {
    made = makeCertificates();
  });
  afterAll(() => rmSync(made.directory, { recursive: true }));

  const underDeno = [deno ?? "", "run", "--quiet", "--no-prompt", "--allow-all", join(ROOT, "src/main.ts")];

  /** Lines of one collection but for times, and the words of its log. */
  async function collect(command: readonly string[], mayastor: MayastorConfiguration) {
    using directory = new Directory();
    const file = directory.configuration({
      ...{ token_file: directory.write("token", "a-made-up-token"), allow_plaintext_token: true },
      ...mayastor,
    });
    const { status, stderr } = await run([
      ...[...command, "textfile", `--config.file=${file}`, `--textfile.directory=${directory.path}`],
      ...[`--state.directory=${join(directory.path, "state")}`, "--node-name=node-a"],
      ...["--collector.disable-defaults", "--collector.mayastor"],
    ]);
    const text = await Bun.file(join(directory.path, "plumbline.prom")).text();
    expect([status, /a-made-up-token/.test(text + stderr)]).toEqual([0, false]);
    return {
      lines: text
        .split("\n")
        .filter((line) => /^(?:mayastor|diskpool)_/.test(line) && !/_seconds[ {]/.test(line)),
      log: stderr.split("\n").map((line) => ({
        level: /level=(\w+)/.exec(line)?.[1],
        resource: /resource=(\w+)/.exec(line)?.[1],
        reason: /reason=(\w+)/.exec(line)?.[1],
      })),
    };
  }

  async function isTheSame(mayastor: MayastorConfiguration, expected: string): Promise<void> {
    const bun = await collect(FROM_SOURCES, mayastor);
    const other = await collect(underDeno, mayastor);
    expect(other).toEqual(bun);
    expect(other.lines).toContain(expected);
  }

  const failed = (reason: string) => `mayastor_node_status_fetch_errors_total{reason="${reason}"} 1`;

  test(
    "all four resources over TLS with a CA of one's own and a token",
    async () => {
      await using server = await HostileServer.start(healthy, { tls: made.server });
      const resources = ["nodes", "pools", "volumes", "replicas"];
      const trusted = { endpoint: server.origin, ca_file: made.ca.certFile, resources };
      await isTheSame(trusted, 'mayastor_node_online{node_id="node-a"} 1');
      expect(new Set(server.asked.map(({ headers }) => headers.get("authorization")))).toEqual(
        new Set(["Bearer a-made-up-token"]),
      );
    },
    PATIENCE_MS,
  );

  test.each<[string, Conduct]>([
    ["timeout", silence],
    ["timeout", slowBody],
    ["connect", reset],
    ["connect", hangUp],
    ["unauthorized", echoToken],
    ["redirect", redirect(302, "http://127.0.0.1:1/")],
    ["bad_body", truncated],
    ["too_large", endlessBody],
  ])(
    "a failure is told as under Bun: %s",
    async (reason, conduct) => {
      await using server = await HostileServer.start(conduct);
      const timeout = reason === "timeout" ? "500ms" : "10s";
      await isTheSame({ endpoint: server.origin, timeout }, failed(reason));
    },
    PATIENCE_MS,
  );

  test(
    "a certificate that is not trusted, unless verification was switched off",
    async () => {
      await using server = await HostileServer.start(healthy, { tls: made.server });
      await isTheSame({ endpoint: server.origin }, failed("tls"));
      await isTheSame(
        { endpoint: server.origin, insecure_skip_verify: true },
        'mayastor_node_online{node_id="node-a"} 1',
      );
    },
    PATIENCE_MS,
  );

  test(
    "a port where nobody listens",
    async () => {
      await isTheSame({ endpoint: `http://127.0.0.1:${await freePort()}` }, failed("connect"));
    },
    PATIENCE_MS,
  );
});
