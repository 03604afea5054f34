/** Servers that are trusted or not, and clients that are. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { HostileServer, json } from "../support/hostile-server.ts";
import { type Certificates, type Identity, makeCertificates } from "../web/certificates.ts";
import { ask, outcomeOf, restClient } from "./asking.ts";

let made: Certificates;
beforeAll(() => {
  made = makeCertificates();
});
afterAll(() => rmSync(made.directory, { recursive: true }));

const serving = (tls: Identity) => HostileServer.start(json([]), { tls });

/** `subjects`: who has connected. Asks for a certificate of the CA, and ends the connection of whoever has none. */
async function demanding(): Promise<
  AsyncDisposable & { readonly base: string; readonly subjects: unknown[] }
> {
  const { cert, key } = made.server;
  const subjects: unknown[] = [];
  const http = createServer((_, response) => void response.end("[]"));
  const server = createTlsServer({ cert, key, ca: made.ca.cert, requestCert: true }, (socket) => {
    subjects.push(socket.getPeerCertificate().subject.CN);
    http.emit("connection", socket);
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  return {
    base: `https://127.0.0.1:${port}`,
    subjects,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

describe("a server's certificate", () => {
  test("of the CA is trusted, by its address and by its name", async () => {
    await using server = await serving(made.server);
    const caFile = made.ca.certFile;
    expect(await ask({ base: server.origin, caFile })).toEqual({ json: [] });
    expect(await ask({ base: `https://localhost:${server.port}`, caFile })).toEqual({ json: [] });
  });

  test.each([
    ["of a CA that nobody named", () => made.server, () => undefined, "signed by nobody who is trusted"],
    [
      "of another CA than the one named",
      () => made.server,
      () => made.stranger.certFile,
      "signed by nobody who is trusted",
    ],
    ["signed by itself", () => made.ca, () => undefined, "signed by itself"],
    ["that has expired", () => made.expired, () => made.ca.certFile, "has expired"],
    ["for another name", () => made.client, () => made.ca.certFile, "is for another name"],
  ])("%s is refused", async (_, identity, caFile, why) => {
    await using server = await serving(identity());
    const outcome = await ask({ base: server.origin, caFile: caFile() });
    expect(outcome).toMatchObject({ reason: "tls", message: expect.stringContaining(why) });
    expect(server.asked).toEqual([]);
  });

  test.each([
    ["of a CA that nobody named", () => made.server],
    ["that has expired", () => made.expired],
    ["for another name", () => made.client],
  ])("%s is accepted where verification is switched off", async (_, identity) => {
    await using server = await serving(identity());
    expect(await ask({ base: server.origin, insecureSkipVerify: true })).toEqual({ json: [] });
  });

  test("is asked for in vain where no TLS is spoken", async () => {
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n") },
    });
    const outcome = await ask({ base: `https://127.0.0.1:${server.port}` });
    expect(outcome).toMatchObject({ reason: "tls", message: expect.stringContaining("does not speak TLS") });
  });
});

describe("a client's certificate", () => {
  test("is shown to a server that asks", async () => {
    await using server = await demanding();
    const { certFile, keyFile } = made.client;
    expect(await ask({ base: server.base, caFile: made.ca.certFile, certFile, keyFile })).toEqual({
      json: [],
    });
    expect(server.subjects).toEqual(["client"]);
  });

  test("that is missing is a failure of TLS", async () => {
    await using server = await demanding();
    expect(await ask({ base: server.base, caFile: made.ca.certFile })).toMatchObject({
      reason: "tls",
      message: expect.stringContaining("it wants a client certificate"),
    });
  });

  test("that is refused is a failure of TLS, also where the server says nothing", async () => {
    await using server = await demanding();
    const { certFile, keyFile } = made.stranger;
    expect(await ask({ base: server.base, caFile: made.ca.certFile, certFile, keyFile })).toMatchObject({
      reason: "tls",
      message: expect.stringContaining("client certificate"),
    });
    expect(server.subjects).toEqual([]);
  });
});

describe("files that are swapped, as those of a Secret are,", () => {
  /** Points the names of a Secret's directory to other files. */
  function swap(files: Readonly<Record<string, string>>): void {
    for (const [name, target] of Object.entries(files)) {
      const link = join(made.directory, name);
      rmSync(link, { force: true });
      symlinkSync(target, link);
    }
  }

  test("take effect at the next request: the CA", async () => {
    await using server = await serving(made.server);
    const caFile = join(made.directory, "current-ca");
    const client = restClient({ base: server.origin, caFile });
    swap({ "current-ca": made.stranger.certFile });
    expect(await outcomeOf(client)).toMatchObject({ reason: "tls" });
    swap({ "current-ca": made.ca.certFile });
    expect(await outcomeOf(client)).toEqual({ json: [] });
    // The connection stands, but it was made with trust that is no more.
    swap({ "current-ca": made.stranger.certFile });
    expect(await outcomeOf(client)).toMatchObject({ reason: "tls" });
    expect(server.asked).toHaveLength(1);
    while (server.open > 0) await Bun.sleep(5);
  });

  test("take effect at the next request: the certificate and its key", async () => {
    await using server = await demanding();
    const [certFile, keyFile] = [join(made.directory, "tls.crt"), join(made.directory, "tls.key")];
    const client = restClient({ base: server.base, caFile: made.ca.certFile, certFile, keyFile });
    for (const identity of [made.client, made.renewed]) {
      swap({ "tls.crt": identity.certFile, "tls.key": identity.keyFile });
      for (let request = 0; request < 2; request++) expect(await outcomeOf(client)).toEqual({ json: [] });
    }
    expect(server.subjects).toEqual(["client", "renewed"]);
  });

  test("fail while they are gone, and do not when they are back", async () => {
    await using server = await serving(made.server);
    const caFile = join(made.directory, "gone-ca");
    copyFileSync(made.ca.certFile, caFile);
    const client = restClient({ base: server.origin, caFile });
    expect(await outcomeOf(client)).toEqual({ json: [] });
    unlinkSync(caFile);
    expect(await outcomeOf(client)).toMatchObject({ reason: "credentials" });
    copyFileSync(made.ca.certFile, caFile);
    expect(await outcomeOf(client)).toEqual({ json: [] });
    expect(server.connections).toBe(1);
  });
});
