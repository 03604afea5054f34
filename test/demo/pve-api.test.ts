/** The simulated Proxmox VE on the wire: who gets in, what errors look like, what a connection and a node can take. */
import { afterEach, describe, expect, test } from "bun:test";
import { Agent } from "node:https";
import { connect } from "node:net";
import { gunzipSync } from "node:zlib";
import { PveApi, type PveApiKnobs, type PveApiOptions } from "../../src/demo/pve-api.ts";
import { PveCluster, type PveClusterLife, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import type { NodeCondition } from "../../src/demo/pve-events.ts";
import { AUDITOR, AUDITOR_TOKEN, type PveUser } from "../../src/demo/pve-users.ts";
import { ask, type Told } from "../support/pve-asking.ts";

const opened: PveApi[] = [];
afterEach(async () => {
  for (const api of opened.splice(0)) await api.stop();
});

interface Started {
  readonly api: PveApi;
  readonly base: string;
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Promise<Told>;
}

async function start(
  size: Partial<PveClusterSize> = {},
  options: Partial<PveApiOptions> & { readonly knobs?: Partial<PveApiKnobs> } = {},
  life: PveClusterLife = {},
): Promise<Started> {
  const cluster = new PveCluster({ nodes: 3, guests: 12, release: "9.2", ...size }, life);
  const knobs = { unauthorizedDelayMs: 0, ...options.knobs };
  const api = new PveApi(cluster, { users: [AUDITOR], ...options, knobs });
  opened.push(api);
  const base = await api.start();
  return { api, base, get: (path, headers) => ask(base, path, headers && { headers }) };
}

const text = ({ body }: Told): string => body.toString();
/** The names of the answers in the order in which they came. */
async function inOrderOf(asked: Readonly<Record<string, Promise<Told> | undefined>>): Promise<string[]> {
  const order: string[] = [];
  await Promise.all(Object.entries(asked).map(([name, told]) => told?.then(() => order.push(name))));
  return order;
}

const authorized = (secret: string) => ({ authorization: `PVEAPIToken=plumbline@pve!metrics=${secret}` });

describe("who asks with", () => {
  test("the right token is answered", async () => {
    const { get } = await start();
    expect(await get("/version")).toMatchObject({ status: 200, phrase: "OK" });
  });

  test.each([
    ["a wrong secret", authorized("wrong"), "invalid token value!"],
    ["a token of another name", { authorization: "PVEAPIToken=plumbline@pve!other=x" }, "no such token"],
    ["an unknown user", { authorization: "PVEAPIToken=root@pam!metrics=x" }, "no such user"],
    ["nothing", {}, "No ticket"],
    [
      "a ticket of other letters",
      { cookie: `PVEAuthCookie=PVE%3Aplumbline%40pve%3A69BD1A00%3A%3A${"%C3%A9".repeat(44)}` },
      "invalid PVE ticket",
    ],
    [
      "a made-up ticket",
      { cookie: "PVEAuthCookie=PVE%3Aplumbline%40pve%3A69BD1A00%3A%3Ax" },
      "invalid PVE ticket",
    ],
  ])("%s gets an empty 401, that says more in release 8", async (_, headers, phrase) => {
    const [now, before] = [await start(), await start({ release: "8.4" })];
    const told = await now.get("/version", headers);
    expect([told.status, told.phrase, text(told)]).toEqual([401, "Authentication failed!", ""]);
    const older = await before.get("/version", headers);
    expect([older.status, text(older)]).toEqual([401, ""]);
    expect(older.phrase).toContain(phrase);
  });

  test("an expired token, or as a user who was locked out, gets a 401", async () => {
    const tokens = { metrics: { secret: "s", expire: 1_774_000_100, acl: AUDITOR.acl } };
    let elapsed = 0;
    const user: PveUser = { ...AUDITOR, tokens };
    const { get } = await start({}, { users: [user] }, { elapsed: () => elapsed });
    expect((await get("/version", authorized("s"))).status).toBe(200);
    elapsed = 101_000;
    expect((await get("/version", authorized("s"))).status).toBe(401);
    const locked = await start({}, { users: [{ ...AUDITOR, disabled: true }] });
    expect((await locked.get("/version")).status).toBe(401);
  });

  test("a wrong token waits for it", async () => {
    const { get } = await start({}, { knobs: { unauthorizedDelayMs: 100 } });
    expect(await inOrderOf({ wrong: get("/version", authorized("wrong")), right: get("/version") })).toEqual([
      "right",
      "wrong",
    ]);
  });
});

describe("a password", () => {
  const form = (password: string) => new URLSearchParams({ username: "plumbline@pve", password }).toString();
  const login = ({ base }: Started, password: string) =>
    ask(base, "/access/ticket", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: form(password),
    });
  const ticketIn = (told: Told): string => JSON.parse(text(told)).data.ticket;
  const cookie = (ticket: string) => ({ cookie: `PVEAuthCookie=${encodeURIComponent(ticket)}` });
  const PASSWORD = AUDITOR.password ?? "";

  test("buys a ticket, which opens every node of the cluster for two hours", async () => {
    let elapsed = 0;
    const cluster = new PveCluster({ nodes: 2, guests: 2, release: "9.2" }, { elapsed: () => elapsed });
    const options = { users: [AUDITOR], knobs: { unauthorizedDelayMs: 0 } };
    const [one, two] = [new PveApi(cluster, options), new PveApi(cluster, { ...options, node: "pve2" })];
    opened.push(one, two);
    const base = await one.start();
    const told = await ask(base, "/access/ticket", { method: "POST", headers: {}, body: form(PASSWORD) });
    const headers = cookie(ticketIn(told));
    const other = await two.start();
    expect((await ask(other, "/cluster/status", { headers })).status).toBe(200);
    elapsed = 7_199_000;
    expect((await ask(base, "/version", { headers })).status).toBe(200);
    elapsed = 7_200_000;
    expect((await ask(base, "/version", { headers })).status).toBe(401);
  });

  test("can be replaced by a ticket that is still valid", async () => {
    const started = await start();
    const first = ticketIn(await login(started, PASSWORD));
    const second = ticketIn(await login(started, first));
    expect((await started.get("/version", cookie(second))).status).toBe(200);
  });

  test("that is wrong gets a 401", async () => {
    expect((await login(await start(), "wrong")).status).toBe(401);
  });

  test("of an account with a second factor buys a ticket that opens nothing", async () => {
    const started = await start({}, { users: [{ ...AUDITOR, secondFactor: true }] });
    const told = await login(started, PASSWORD);
    expect(JSON.parse(text(told)).data).toMatchObject({ NeedTFA: 1 });
    expect((await started.get("/version", cookie(ticketIn(told)))).status).toBe(401);
  });
});

describe("an error", () => {
  const FORBIDDEN: PveUser = { ...AUDITOR, acl: {} };

  test("stands in the status line; in the body as well since release 9", async () => {
    const phrase = "Permission check failed (/nodes/pve1, Sys.Audit)";
    const now = await (await start({}, { users: [FORBIDDEN] })).get("/nodes/pve1/status");
    expect([now.status, now.phrase]).toEqual([403, phrase]);
    expect(JSON.parse(text(now))).toEqual({ data: null, message: `${phrase}\n` });
    const before = await (await start({ release: "8.4" }, { users: [FORBIDDEN] })).get("/nodes/pve1/status");
    expect([before.status, before.phrase, text(before)]).toEqual([403, phrase, '{"data":null}']);
  });

  test("is told in the way of the node that the call is for", async () => {
    const { get } = await start({ release: "mixed" }, { users: [FORBIDDEN] });
    expect(text(await get("/nodes/pve2/status"))).toBe('{"data":null}');
  });

  test("can be told in the way of the other age", async () => {
    const { get } = await start({}, { users: [FORBIDDEN], errorBodies: "old" });
    expect(text(await get("/nodes/pve1/status"))).toBe('{"data":null}');
  });

  test("about a parameter names it", async () => {
    const { get } = await start();
    const told = await get("/nodes/pve1/rrddata");
    expect([told.status, told.phrase]).toEqual([400, "Parameter verification failed."]);
    expect(JSON.parse(text(told)).errors).toHaveProperty("timeframe");
  });

  test.each([
    ["/nodes/pve9/status", 500, "hostname lookup 'pve9' failed - "],
    [
      "/nodes/pve2/qemu/100/config",
      500,
      "Configuration file 'nodes/pve2/qemu-server/100.conf' does not exist",
    ],
    ["/nodes/pve1/quantum", 501, "Method 'GET /nodes/pve1/quantum' not implemented"],
    ["/constructor", 501, "Method 'GET /constructor' not implemented"],
  ])("for %s is %i %s", async (path, status, phrase) => {
    const told = await (await start()).get(path);
    expect(told.status).toBe(status);
    expect(told.phrase).toStartWith(phrase);
  });

  test("of a GET with a body is 501, and the body is remembered", async () => {
    const { api, base } = await start();
    expect(
      (await ask(base, "/version", { headers: { authorization: AUDITOR_TOKEN }, body: "x=1" })).status,
    ).toBe(501);
    expect(api.requests.bodies).toEqual(["x=1"]);
  });
});

describe("another node that is", () => {
  const withNode = (condition: NodeCondition, knobs: Partial<PveApiKnobs> = {}) =>
    start({}, { knobs }, { happenings: [{ atMs: 0, kind: "node", node: "pve3", condition }] });

  test.each([
    ["offline", 595, "No route to host"],
    ["hung", 596, "Connection timed out"],
    ["cut", 597, "Connection reset by peer"],
  ] as const)("%s costs a %i, and the others nothing", async (condition, status, phrase) => {
    const { get } = await withNode(condition, { hangMs: 20 });
    expect(await get("/nodes/pve3/status")).toMatchObject({ status, phrase });
    expect((await get("/nodes/pve2/status")).status).toBe(200);
    expect((await get("/cluster/resources")).status).toBe(200);
  });

  test("slow is late", async () => {
    const { get } = await withNode("slow", { slowMs: 100 });
    const [slow, fast] = ["pve3", "pve2"].map((node) => get(`/nodes/${node}/status`));
    expect(await inOrderOf({ slow, fast })).toEqual(["fast", "slow"]);
  });

  test("too slow for the asked one is given up", async () => {
    const { get } = await start({}, { knobs: { smartMs: 20, hangMs: 30 } });
    expect((await get("/nodes/pve3/disks/list")).status).toBe(596);
    expect((await get("/nodes/pve1/disks/list")).status).toBe(200);
  });

  test("asked through a node that is off is not reached at all", async () => {
    const happenings = [{ atMs: 0, kind: "node", node: "pve1", condition: "offline" }] as const;
    const { get } = await start({}, {}, { happenings });
    expect(get("/version")).rejects.toThrow();
  });
});

describe("a connection", () => {
  const once = () => new Agent({ keepAlive: true, maxSockets: 1 });
  const askOver = async ({ base }: Started, agent: Agent, paths: readonly string[]) => {
    const told: Told[] = [];
    for (const path of paths)
      told.push(await ask(base, path, { agent, headers: { authorization: AUDITOR_TOKEN } }));
    agent.destroy();
    return told;
  };

  test("takes a hundred requests", async () => {
    const started = await start({}, { knobs: { requestsPerConnection: 3 } });
    const told = await askOver(started, once(), ["/version", "/version", "/version", "/version"]);
    expect(told.map(({ headers }) => headers["connection"])).toEqual([
      "Keep-Alive",
      "Keep-Alive",
      "close",
      "Keep-Alive",
    ]);
    expect(started.api.requests.connections).toBe(2);
  });

  test("ends after an error", async () => {
    const started = await start();
    const told = await askOver(started, once(), ["/nope", "/version"]);
    expect(told.map(({ headers }) => headers["connection"])).toEqual(["close", "Keep-Alive"]);
    expect(started.api.requests.connections).toBe(2);
  });

  test("ends when it is idle", async () => {
    const { base } = await start({}, { tls: false, knobs: { idleMs: 30 } });
    const socket = connect(Number(new URL(base).port), "127.0.0.1");
    await new Promise<void>((resolve) => socket.on("close", () => resolve()).resume());
    expect(socket.destroyed).toBe(true);
  });

  test("is reset now and then instead of an answer", async () => {
    const { get } = await start({}, { knobs: { resetEvery: 2 } });
    const settled = [];
    for (let i = 0; i < 4; i++) settled.push((await Promise.allSettled([get("/version")]))[0]?.status);
    expect(settled).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
  });

  test("carries gzip from a KB on, if that is accepted", async () => {
    const { get } = await start();
    const accepted = { authorization: AUDITOR_TOKEN, "accept-encoding": "gzip" };
    const large = await get("/cluster/resources", accepted);
    expect(large.headers["content-encoding"]).toBe("gzip");
    expect(JSON.parse(gunzipSync(large.body).toString()).data.length).toBeGreaterThan(10);
    expect((await get("/version", accepted)).headers).not.toHaveProperty("content-encoding");
    expect((await get("/cluster/resources")).headers).not.toHaveProperty("content-encoding");
  });

  test("carries two requests that came at once, in their order", async () => {
    const { base } = await start({}, { tls: false });
    const socket = connect(Number(new URL(base).port), "127.0.0.1");
    const get = (path: string) =>
      `GET /api2/json${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${AUDITOR_TOKEN}\r\n\r\n`;
    let told = "";
    await new Promise<void>((resolve) => {
      socket.on("data", (bytes) => {
        told += bytes.toString();
        if (told.includes("quorate")) resolve();
      });
      socket.write(get("/version") + get("/cluster/status"));
    });
    socket.destroy();
    expect(told.indexOf("repoid")).toBeLessThan(told.indexOf("quorate"));
  });
});

describe("drives that sleep", () => {
  const happenings = ["/dev/sdc", "/dev/sdd"].map((devpath) => {
    return { atMs: 0, kind: "drive", node: "pve1", devpath, sleeps: true } as const;
  });

  test("are woken by a full list only, and once until they sleep again", async () => {
    let elapsed = 0;
    const { api, get } = await start({}, {}, { happenings, elapsed: () => elapsed });
    await get("/nodes/pve1/disks/list?skipsmart=1");
    expect(api.wakeups).toEqual(new Map());
    await get("/nodes/pve1/disks/list");
    await get("/nodes/pve1/disks/list");
    expect(api.wakeups).toEqual(
      new Map([
        ["pve1//dev/sdc", 1],
        ["pve1//dev/sdd", 1],
      ]),
    );
    elapsed = 21 * 60_000;
    await get("/nodes/pve1/disks/list");
    expect(api.wakeups.get("pve1//dev/sdc")).toBe(2);
  });
});

describe("calls for replication jobs", () => {
  test("exclude each other in the whole cluster: a loser tries again", async () => {
    const { get } = await start({}, { knobs: { replicationMs: 30, lockRetryMs: 10 } });
    const told = await Promise.all(["pve1", "pve2", "pve3"].map((node) => get(`/nodes/${node}/replication`)));
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test("that lose for too long, or have no quorum, get a 500", async () => {
    const { api, get } = await start(
      {},
      { knobs: { replicationMs: 200, lockRetryMs: 10, lockTimeoutMs: 30 } },
    );
    const told = await Promise.all([get("/nodes/pve1/replication"), get("/nodes/pve1/replication")]);
    expect(told.map(({ status }) => status).toSorted()).toEqual([200, 500]);
    api.cluster.befall({ kind: "quorum", quorate: false });
    expect((await get("/nodes/pve1/replication")).phrase).toContain("got lock request timeout");
  });
});

test("a node works on so many calls at a time", async () => {
  const { get } = await start({}, { knobs: { smartMs: 20, workersPerNode: 1 } });
  const [drives, status] = ["disks/list", "status"].map((path) => get(`/nodes/pve1/${path}`));
  expect(await inOrderOf({ drives, status })).toEqual(["drives", "status"]);
});

test("what was asked is counted, by path, and how much of it at once", async () => {
  const { api, get } = await start({}, { knobs: { latencyMs: 30 } });
  await Promise.all(["/version", "/nodes/pve2/qemu", "/nodes/pve2/lxc?full=1"].map((path) => get(path)));
  await get("/nodes/pve2/qemu");
  const { requests } = api;
  expect(Object.fromEntries(requests.counts)).toEqual({
    "/version": 1,
    "/nodes/pve2/qemu": 2,
    "/nodes/pve2/lxc": 1,
  });
  expect([requests.highest, requests.highestPerNode.get("pve2")]).toEqual([3, 2]);
  expect(requests.seen.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(requests.seen.map(({ path }) => path)).toContain("/nodes/pve2/lxc?full=1");
  requests.clear();
  expect(requests.counts.size).toBe(0);
});

test("a call that was given up is open no more", async () => {
  const happenings = [{ atMs: 0, kind: "node", node: "pve3", condition: "hung" }] as const;
  const { api, base, get } = await start({}, {}, { happenings });
  const hangs = new AbortController();
  const given = fetch(`${base}/api2/json/nodes/pve3/status`, {
    headers: { authorization: AUDITOR_TOKEN },
    signal: hangs.signal,
    tls: { rejectUnauthorized: false },
  });
  while (api.requests.seen.length === 0) await Bun.sleep(1);
  hangs.abort();
  await Promise.allSettled([given]);
  while (api.requests.open > 0) await Bun.sleep(1);
  await get("/version");
  expect(api.requests.highest).toBe(1);
});

test("the same call at the same moment has the same answer; a second later another order", async () => {
  let elapsed = 0;
  const { get } = await start({}, {}, { elapsed: () => elapsed });
  const ids = async () => text(await get("/cluster/resources")).match(/"id":"[^"]+"/g);
  const first = await ids();
  expect(await ids()).toEqual(first);
  elapsed = 1000;
  expect(await ids()).not.toEqual(first);
  expect((await ids())?.toSorted()).toEqual(first?.toSorted());
});

describe("numbers", () => {
  const kinds = (told: Told) =>
    new Set(JSON.parse(text(told)).data.map((row: object) => typeof Reflect.get(row, "maxmem")));

  test("are texts here and there, each key in the same way throughout an answer", async () => {
    const found = new Set<string>();
    for (let seed = 1; seed <= 8; seed++) {
      const { get } = await start({ seed });
      const kind = kinds(await get("/cluster/resources"));
      kind.delete("undefined");
      expect(kind.size).toBe(1);
      for (const one of kind) found.add(String(one));
    }
    expect([...found].toSorted()).toEqual(["number", "string"]);
  });

  test("are numbers if the usual types are wanted, and truth is 1 or 0", async () => {
    const { get } = await start({}, { types: "usual" });
    expect(kinds(await get("/cluster/resources"))).toEqual(new Set(["number", "undefined"]));
    const status = JSON.parse(text(await get("/cluster/status"))).data;
    expect(new Set(status.map((row: object) => Reflect.get(row, "online")))).toEqual(new Set([1, undefined]));
  });

  test("falsehood is an empty text where it is loose", async () => {
    const values = new Set<unknown>();
    for (let seed = 1; seed <= 12; seed++) {
      const told = await (await start({ seed })).get("/cluster/status");
      for (const row of JSON.parse(text(told)).data) values.add(row.local);
    }
    expect(values).toEqual(new Set([1, 0, "1", "", undefined]));
  });
});

test("a fault is done instead of an answer, whatever stands in its status line", async () => {
  const phrase = "one\u001b[31m word";
  const fault = (path: string) => (path === "/version" ? { status: 599, phrase } : undefined);
  const { base, get } = await start({}, { tls: false, fault });
  const socket = connect(Number(new URL(base).port), "127.0.0.1");
  socket.write("GET /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n");
  let told = "";
  socket.on("data", (bytes) => {
    told += bytes.toString();
  });
  await new Promise((resolve) => socket.on("close", resolve));
  expect(told).toStartWith(`HTTP/1.1 599 ${phrase}\r\n`);
  expect((await get("/cluster/status")).status).toBe(200);
});
