/** What becomes of a request, whatever the server does with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectGarbage } from "../../src/runtime/index.ts";
import {
  answer,
  type Conduct,
  echoToken,
  endlessBody,
  endlessHeader,
  gzipBomb,
  HostileServer,
  hangUp,
  json,
  notHttp,
  reset,
  resetInBody,
  restError,
  silence,
  slowBody,
  slowHeader,
  truncated,
  truncatedChunks,
} from "../support/hostile-server.ts";
import { freePort } from "../support/ports.ts";
import { ask, outcomeOf, restClient, SMALL } from "./asking.ts";

const TOKEN = "planted.token-of.mine";
const SHORT_MS = 300;

let directory: string;
let tokenFile: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-rest-"));
  tokenFile = join(directory, "token");
  writeFileSync(tokenFile, `${TOKEN}\n`);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** As `errorKindOf` of a source: known words only. */
const errorKindOf = (body: unknown): string | undefined =>
  typeof body === "object" && body !== null && "kind" in body && body.kind === "Unavailable"
    ? "Unavailable"
    : undefined;

describe("an answer", () => {
  test("is what its JSON says", async () => {
    await using server = await HostileServer.start(json([{ id: "node-1" }]));
    expect(await ask({ base: `${server.origin}/v0` })).toEqual({ json: [{ id: "node-1" }] });
  });

  test("is asked for with GET, below the base, unpacked, with the token", async () => {
    await using server = await HostileServer.start(json([]));
    await ask({ base: `${server.origin}/v0`, path: "/volumes?max_entries=500", tokenFile });
    const [{ method, path, headers } = { method: "", path: "", headers: new Map() }] = server.asked;
    expect(`${method} ${path}`).toBe("GET /v0/volumes?max_entries=500");
    expect(headers.get("accept")).toBe("application/json");
    expect(headers.get("accept-encoding")).toBe("identity");
    expect(headers.get("authorization")).toBe(`Bearer ${TOKEN}`);
  });

  test("is asked for without a token where no file is named", async () => {
    await using server = await HostileServer.start(json([]));
    await ask({ base: server.origin });
    expect(server.asked[0]?.headers.has("authorization")).toBe(false);
  });

  test("that is packed all the same is unpacked", async () => {
    const packed = Bun.gzipSync(Buffer.from("[1,2]"));
    await using server = await HostileServer.start(answer(200, packed, { "content-encoding": "gzip" }));
    expect(await ask({ base: server.origin })).toEqual({ json: [1, 2] });
  });

  test("may be exactly as large as the limit", async () => {
    await using server = await HostileServer.start(json("x".repeat(98)));
    expect(await ask({ base: server.origin, maxBytes: 100 })).toEqual({ json: "x".repeat(98) });
    expect(await ask({ base: server.origin, maxBytes: 99 })).toMatchObject({ reason: "too_large" });
  });
});

const moved = (status: number): Conduct => answer(status, "", { location: "http://127.0.0.1:1/" });
const html = (status: number): Conduct =>
  answer(status, "<html>planted-body</html>", { "content-type": "text/html" });
const packedAs = (encoding: string, body: Uint8Array | string): Conduct =>
  answer(200, body, { "content-encoding": encoding });
const status =
  (line: string): Conduct =>
  (connection) =>
    void connection.end(`HTTP/1.1 ${line}\r\n\r\n`);

/** Case, what the server does, and how the request ends. */
const FAILURES: readonly (readonly [string, Conduct, string, number?])[] = [
  ["no header", silence, "timeout"],
  ["a header that never ends", slowHeader, "timeout"],
  ["a body that never ends, byte by byte", slowBody, "timeout"],
  ["a reset before the header", reset, "connect"],
  ["the end of the connection before the header", hangUp, "connect"],
  ["401 that echoes the token", echoToken, "unauthorized", 401],
  ["403", restError(403, "PermissionDenied"), "unauthorized", 403],
  ["404", restError(404, "NotFound"), "not_found", 404],
  ["400", restError(400, "InvalidArgument"), "http_4xx", 400],
  ["408", restError(408, "Timeout"), "http_4xx", 408],
  ["416", restError(416, "OutOfRange"), "http_4xx", 416],
  ["500", restError(500, "Internal"), "http_5xx", 500],
  ["502 of a proxy, in HTML", html(502), "http_5xx", 502],
  ["504", restError(504, "DeadlineExceeded"), "http_5xx", 504],
  ["301", moved(301), "redirect", 301],
  ["307", moved(307), "redirect", 307],
  ["304, which nobody asked for", moved(304), "redirect", 304],
  ["200 in HTML", html(200), "bad_body", 200],
  ["200 without a body", answer(200, ""), "bad_body", 200],
  ["204", status("204 No Content"), "bad_body", 204],
  ["JSON that ends in the middle", answer(200, '[{"id":"planted-body'), "bad_body", 200],
  ["JSON that is no UTF-8", answer(200, Buffer.from([0x22, 0xff, 0x22])), "bad_body", 200],
  ["an array in a million others", answer(200, "[".repeat(1_000_000)), "bad_body", 200],
  ["fewer bytes than were promised", truncated, "bad_body", 200],
  ["no last chunk", truncatedChunks, "bad_body", 200],
  ["a reset within the body", resetInBody, "bad_body", 200],
  ["what says gzip and is not", packedAs("gzip", "[]"), "bad_body", 200],
  [
    "gzip that ends in the middle",
    packedAs("gzip", Bun.gzipSync("[1,2,3]").subarray(0, 15)),
    "bad_body",
    200,
  ],
  ["a way of packing that nobody asked for", packedAs("br", "[]"), "bad_body", 200],
  ["another protocol than HTTP", notHttp, "bad_body"],
  ["a status that HTTP does not have", status("999 Planted-body"), "bad_body"],
  [
    "a change to another protocol",
    status("101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade"),
    "bad_body",
  ],
  ["a body that never ends, as fast as it is read", endlessBody, "too_large", 200],
  ["a header that never ends, as fast as it is read", endlessHeader, "too_large"],
  ["gzip of a body that is far larger", gzipBomb(64 << 20), "too_large", 200],
];

describe("an answer that is none is a failure with its reason", () => {
  test.each(FAILURES.map((failure) => ({ failure, name: failure[0] })))("$name", async ({ failure }) => {
    const [, conduct, reason, status] = failure;
    await using server = await HostileServer.start(conduct);
    const limitMs = reason === "timeout" ? SHORT_MS : 10_000;
    const asking = {
      base: `${server.origin}/v0`,
      path: "/nodes?planted=query",
      tokenFile,
      errorKindOf,
      limitMs,
    };
    const outcome = await ask(asking);
    expect(outcome).toMatchObject({ reason, message: expect.stringContaining(`${server.origin}/v0/nodes`) });
    expect(outcome.kind).toBeUndefined();
    // A timeout in the body has no status: nothing was made of the answer.
    expect(outcome.status).toBe(status);
    expect(outcome.inspected).not.toMatch(/planted|token|details|authorization/i);
  });

  test("nobody listens", async () => {
    expect(await ask({ base: `http://127.0.0.1:${await freePort()}` })).toMatchObject({
      reason: "connect",
      message: expect.stringContaining("connection refused"),
    });
  });

  test("a host that is not known", async () => {
    expect(await ask({ base: "http://plumbline.invalid" })).toMatchObject({ reason: "connect" });
  });

  test("a time that is over before the request", async () => {
    await using server = await HostileServer.start(json([]));
    expect(await ask({ base: server.origin, limitMs: -1 })).toMatchObject({ reason: "timeout" });
    expect(server.connections).toBe(0);
  });
});

test.each([
  ["no header", silence],
  ["a slow body", slowBody],
  ["an endless body", endlessBody],
  ["a gzip bomb", gzipBomb(64 << 20)],
])("the connection of %s does not outlive the request", async (_, conduct) => {
  await using server = await HostileServer.start(conduct);
  const client = restClient({ base: server.origin });
  await outcomeOf(client, { limitMs: SHORT_MS });
  while (server.open > 0) await Bun.sleep(5);
  expect(server.connections).toBe(1);
});

test("a redirect is not followed: the server that it names sees no request", async () => {
  await using second = await HostileServer.start(json([]));
  await using first = await HostileServer.start(answer(302, "", { location: `${second.origin}/v0/nodes` }));
  expect(await ask({ base: first.origin, tokenFile })).toMatchObject({ reason: "redirect", status: 302 });
  expect(second.connections).toBe(0);
});

describe("the service's own word for an error", () => {
  test("is told where it is a known one", async () => {
    await using server = await HostileServer.start(restError(503, "Unavailable"));
    expect(await ask({ base: server.origin, errorKindOf })).toMatchObject({
      status: 503,
      kind: "Unavailable",
    });
  });

  const known = JSON.stringify({ kind: "Unavailable" });
  const unending: Conduct = (connection) =>
    void connection.write(`HTTP/1.1 503 Hostile\r\ncontent-length: 1000\r\n\r\n${known}`);

  test.each([
    ["in a body that does not end", unending],
    ["in a body of more than 64 KiB", answer(503, known.padEnd(65_537))],
    ["in what is not JSON", html(503)],
    ["where the reader throws", json(null, 503)],
  ])("is not told %s", async (_, conduct) => {
    await using server = await HostileServer.start(conduct);
    const orThrow = (body: unknown): string | undefined => {
      if (body === null) throw new Error("no error of this service");
      return errorKindOf(body);
    };
    const outcome = await ask({ base: server.origin, errorKindOf: orThrow });
    expect(outcome).toMatchObject({ reason: "http_5xx", status: 503 });
    expect(outcome.kind).toBeUndefined();
    while (server.open > 0) await Bun.sleep(5);
  });
});

describe("whoever gives up", () => {
  test.each([
    ["before the request", silence, true],
    ["before the header", silence, false],
    ["within the body", slowBody, false],
  ])("%s is answered with the signal's reason", async (_, conduct, isAborted) => {
    await using server = await HostileServer.start(conduct);
    const mine = new Error("mine");
    const caller = new AbortController();
    if (isAborted) caller.abort(mine);
    const limits = { signal: caller.signal, deadline: performance.now() + 10_000, maxBytes: SMALL };
    const answered = restClient({ base: server.origin }).getJson("/nodes", limits);
    setTimeout(() => caller.abort(mine), 100);
    expect(await answered.catch((error: unknown) => error)).toBe(mine);
    while (server.open > 0) await Bun.sleep(5);
  });
});

describe("connections", () => {
  test("one serves one request after the other", async () => {
    await using server = await HostileServer.start(json([]));
    const client = restClient({ base: server.origin });
    for (let request = 0; request < 3; request++) expect(await outcomeOf(client)).toEqual({ json: [] });
    expect(server.connections).toBe(1);
    client.close();
    while (server.open > 0) await Bun.sleep(5);
  });

  test("one that the server closes as it is used again is replaced, once", async () => {
    const used = new WeakSet<object>();
    await using server = await HostileServer.start((connection, asked) => {
      if (used.has(connection)) connection.destroy();
      else json([])(connection, asked);
      used.add(connection);
    });
    const client = restClient({ base: server.origin });
    expect(await outcomeOf(client)).toEqual({ json: [] });
    expect(await outcomeOf(client)).toEqual({ json: [] });
    expect(server.connections).toBe(2);
    server.conduct = hangUp;
    expect(await outcomeOf(client)).toMatchObject({ reason: "connect" });
    expect(server.connections).toBe(3);
  });
});

describe("the token", () => {
  test("is the one that the file holds at each request, behind a symlink that is swapped", async () => {
    await using server = await HostileServer.start(json([]));
    const link = join(directory, "current");
    writeFileSync(join(directory, "one"), "one.token");
    writeFileSync(join(directory, "two"), "two.token");
    symlinkSync("one", link);
    const client = restClient({ base: server.origin, tokenFile: link });
    await outcomeOf(client);
    unlinkSync(link);
    symlinkSync("two", link);
    await outcomeOf(client);
    expect(server.asked.map(({ headers }) => headers.get("authorization"))).toEqual([
      "Bearer one.token",
      "Bearer two.token",
    ]);
  });

  test("that cannot be used is sent to nobody", async () => {
    await using server = await HostileServer.start(json([]));
    const missing = join(directory, "missing");
    expect(await ask({ base: server.origin, tokenFile: missing })).toMatchObject({
      reason: "credentials",
      message: `cannot use the token file ${missing}: no such file`,
    });
    expect(server.connections).toBe(0);
  });
});

test("memory does not grow with answers that are dropped", async () => {
  await using server = await HostileServer.start(endlessBody);
  const client = restClient({ base: server.origin });
  const askOften = async (times: number): Promise<number> => {
    for (let request = 0; request < times; request++) await outcomeOf(client);
    await collectGarbage();
    return process.memoryUsage().rss;
  };
  const before = await askOften(30);
  expect((await askOften(150)) - before).toBeLessThan(64 << 20);
}, 60_000);
