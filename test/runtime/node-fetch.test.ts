/** The client's transport: where its requests go, and what becomes of its connections. */
import { afterAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { FINGERPRINT_MISMATCH, fetchWith } from "../../src/runtime/index.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { answer, type Conduct, HostileServer, hangUp, json, silence } from "../support/hostile-server.ts";
import { makeCertificates } from "../web/certificates.ts";

const PROGRAM = join(ROOT, "test/runtime/fetch-program.ts");
const PATIENCE_MS = 60_000;

/** What the program printed. */
function outcomeOf(command: readonly string[], words: readonly string[], proxy: string): Promise<string> {
  const [program = "", ...flags] = command;
  const env = { HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, ALL_PROXY: proxy };
  const child = spawn(program, [...flags, PROGRAM, ...words], { env, stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (text) => {
    printed += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(printed));
  });
}

async function expectNoProxy(command: readonly string[]): Promise<void> {
  await using proxy = await HostileServer.start(answer(502, ""));
  await using server = await HostileServer.start(json([]));
  expect(await outcomeOf(command, [`${server.origin}/nodes`], proxy.origin)).toBe("200");
  expect(proxy.connections).toBe(0);
}

test("no proxy of the environment is asked", () => expectNoProxy([process.execPath]), PATIENCE_MS);

const deno = denoPath();
describeUnless(deno === undefined ? "Deno is missing" : undefined, "under Deno", () => {
  const command = [deno ?? "", "run", "--quiet", "--no-prompt"];
  const allowed = [...command, "--allow-net", "--allow-env", "--allow-read"];

  test("no proxy of the environment is asked", () => expectNoProxy(allowed), PATIENCE_MS);

  test(
    "a server is asked that has the fingerprint, and no other",
    async () => {
      const made = makeCertificates();
      await using server = await HostileServer.start(json([]), { tls: made.server });
      const of = ({ cert }: { readonly cert: string }) => new X509Certificate(cert).fingerprint256;
      expect(await outcomeOf(allowed, [server.origin, of(made.server)], "")).toBe("200");
      expect(await outcomeOf(allowed, [server.origin, of(made.renewed)], "")).toBe(FINGERPRINT_MISMATCH);
      expect(server.asked).toHaveLength(1);
      rmSync(made.directory, { recursive: true });
    },
    PATIENCE_MS,
  );
});

describe("a transport", () => {
  test("gives the answer as it came: status, headers, and a body that is still packed", async () => {
    const packed = Bun.gzipSync("[]");
    await using server = await HostileServer.start(answer(418, packed, { "content-encoding": "gzip" }));
    const { fetch } = await fetchWith({});
    const response = await fetch(new Request(server.origin));
    expect(response.status).toBe(418);
    expect(response.headers.get("content-encoding")).toBe("gzip");
    expect(await response.bytes()).toEqual(packed);
  });

  test.each([204, 205, 304])("gives %d, which has no body", async (status) => {
    const conduct: Conduct = (connection) =>
      void connection.write(`HTTP/1.1 ${status} Hm\r\nContent-Length: 0\r\n\r\n`);
    await using server = await HostileServer.start(conduct);
    const { fetch } = await fetchWith({});
    expect(await fetch(new Request(server.origin))).toMatchObject({ status, body: null });
  });

  test("waits beyond what an answer announces before it comes", async () => {
    await using server = await HostileServer.start((connection, asked) => {
      connection.write("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n");
      json([7])(connection, asked);
    });
    const { fetch } = await fetchWith({});
    expect(await (await fetch(new Request(server.origin))).json()).toEqual([7]);
  });

  test("rejects with the reason of the request's signal, and closes the connection", async () => {
    await using server = await HostileServer.start(silence);
    const { fetch } = await fetchWith({});
    const giving = new AbortController();
    const request = fetch(new Request(server.origin, { signal: giving.signal }));
    while (server.asked.length === 0) await Bun.sleep(5);
    giving.abort(new Error("given up"));
    await expect(request).rejects.toThrow("given up");
    while (server.open > 0) await Bun.sleep(5);
    const late = new Request(server.origin, { signal: AbortSignal.abort(new Error("before")) });
    await expect(fetch(late)).rejects.toThrow("before");
    expect(server.asked).toHaveLength(1);
  });

  test("that is closed lets a request end that runs, and keeps no connection", async () => {
    const { promise: isTime, resolve } = Promise.withResolvers<void>();
    await using server = await HostileServer.start((connection, asked) => {
      if (asked.path === "/slow") void isTime.then(() => json("slow")(connection, asked));
      else json("quick")(connection, asked);
    });
    const transport = await fetchWith({});
    const slow = transport.fetch(new Request(`${server.origin}/slow`));
    await (await transport.fetch(new Request(`${server.origin}/quick`))).json();
    expect(server.open).toBe(2);
    transport.close();
    while (server.open > 1) await Bun.sleep(5);
    resolve();
    expect(await (await slow).json()).toBe("slow");
    while (server.open > 0) await Bun.sleep(5);
  });
});

test.each([
  ["as it came", "596 Connection timed out", "Connection timed out"],
  ["without what controls a terminal", "500 a\x1b[31mb\x00\xe9", "a[31mb"],
])("the reason phrase is given %s", async (_, line, phrase) => {
  await using server = await HostileServer.start(
    (connection) => void connection.write(`HTTP/1.1 ${line}\r\nContent-Length: 0\r\n\r\n`, "latin1"),
  );
  const { fetch } = await fetchWith({});
  expect(await fetch(new Request(server.origin))).toMatchObject({ statusText: phrase });
});

describe("a request with a body", () => {
  test("is sent with its length, and once more where the connection was closed", async () => {
    await using server = await HostileServer.start((connection, asked) =>
      (server.connections === 1 ? hangUp : json([]))(connection, asked),
    );
    const asked: boolean[] = [];
    const { fetch } = await fetchWith({
      sendsAgain: (wasKept) => {
        asked.push(wasKept);
        return true;
      },
    });
    const response = await fetch(new Request(server.origin, { method: "POST", body: "a=b" }));
    expect(response.status).toBe(200);
    expect(asked).toEqual([false]);
    expect(server.asked.map(({ method, body }) => `${method} ${body}`)).toEqual(["POST a=b", "POST a=b"]);
  });
});

describe("a server that is known by its fingerprint", () => {
  const made = makeCertificates();
  const fingerprint = new X509Certificate(made.server.cert).fingerprint256;
  afterAll(() => rmSync(made.directory, { recursive: true }));

  test.each([
    ["with colons", fingerprint],
    ["in small letters, without colons", fingerprint.replaceAll(":", "").toLowerCase()],
  ])("is asked, with connections that are kept: %s", async (_, text) => {
    await using server = await HostileServer.start(json([]), { tls: made.server });
    const { fetch } = await fetchWith({ fingerprint: text });
    for (let request = 0; request < 2; request++)
      expect(await (await fetch(new Request(server.origin))).json()).toEqual([]);
    expect(server.connections).toBe(1);
  });

  test("gets nothing where it has another one, whoever signed that", async () => {
    await using server = await HostileServer.start(json([]), { tls: made.renewed });
    const { fetch } = await fetchWith({ fingerprint, ca: made.ca.cert });
    const request = new Request(server.origin, { headers: { authorization: "planted" } });
    await expect(fetch(request)).rejects.toMatchObject({ code: FINGERPRINT_MISMATCH });
    expect(server.asked).toEqual([]);
  });

  test("is asked on a new connection where it closed the one that was kept", async () => {
    const used = new WeakSet<object>();
    await using server = await HostileServer.start(
      (connection, asked) => {
        if (used.has(connection)) connection.destroy();
        else json([])(connection, asked);
        used.add(connection);
      },
      { tls: made.server },
    );
    const { fetch } = await fetchWith({ fingerprint });
    for (let request = 0; request < 2; request++)
      expect(await (await fetch(new Request(server.origin))).json()).toEqual([]);
    server.conduct = hangUp;
    await expect(fetch(new Request(server.origin))).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  test("is not waited for within the handshake by a request that was given up", async () => {
    let open = 0;
    const server = createServer((socket) => {
      open++;
      socket.on("close", () => open--).on("error", () => {});
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const giving = new AbortController();
    const { fetch } = await fetchWith({ fingerprint });
    const request = fetch(new Request(`https://127.0.0.1:${port}`, { signal: giving.signal }));
    while (open === 0) await Bun.sleep(5);
    giving.abort(new Error("given up"));
    await expect(request).rejects.toThrow("given up");
    while (open > 0) await Bun.sleep(5);
    server.close();
  });
});
