/** Who has a password: when a ticket is bought, when another one is, and what becomes of a password in between. */
import { describe, expect, test } from "bun:test";
import { PveApi, type PveApiKnobs } from "../../src/demo/pve-api.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, type PveUser } from "../../src/demo/pve-users.ts";
import { Tickets } from "../../src/pve/ticket.ts";
import { answer, type Conduct, json, silence } from "../support/hostile-server.ts";
import { byPassword, Caller, hostile, PASSWORD, refusing, secret } from "./calling.ts";

const MINUTE_MS = 60_000;

describe("a ticket", () => {
  /** Tickets by their number, and a clock. */
  function numbered() {
    const bought: string[] = [];
    const clock = { ms: 0 };
    const buy = async () => {
      bought.push(`ticket ${bought.length + 1}`);
      return `ticket ${bought.length}`;
    };
    return { tickets: new Tickets(buy, () => clock.ms), bought, clock };
  }

  test("is bought once for all who ask at the same time", async () => {
    const { tickets, bought } = numbered();
    const all = await Promise.all([tickets.current(), tickets.current(), tickets.insteadOf("other")]);
    expect(all).toEqual(["ticket 1", "ticket 1", "ticket 1"]);
    expect(bought).toHaveLength(1);
  });

  test("is kept for 90 minutes, and no longer", async () => {
    const { tickets, clock } = numbered();
    await tickets.current();
    clock.ms = 90 * MINUTE_MS - 1;
    expect(await tickets.current()).toBe("ticket 1");
    clock.ms = 90 * MINUTE_MS;
    expect(await tickets.current()).toBe("ticket 2");
    clock.ms = 180 * MINUTE_MS - 1;
    expect(await tickets.current()).toBe("ticket 2");
  });

  test("that is refused is replaced, once for all to whom it was", async () => {
    const { tickets } = numbered();
    const refused = await tickets.current();
    expect(await tickets.insteadOf(refused)).toBe("ticket 2");
    expect(await tickets.insteadOf(refused)).toBe("ticket 2");
  });

  test("that could not be bought is tried for again by whoever asks next", async () => {
    let fails = true;
    const tickets = new Tickets(async () => {
      if (fails) throw new Error("no");
      return "ticket";
    });
    await expect(tickets.current()).rejects.toThrow("no");
    fails = false;
    expect(await tickets.current()).toBe("ticket");
  });
});

async function simulated(users: readonly PveUser[] = [AUDITOR], knobs: Partial<PveApiKnobs> = {}) {
  let elapsedMs = 0;
  const cluster = new PveCluster({ nodes: 3, guests: 12, release: "9.2" }, { elapsed: () => elapsedMs });
  const api = new PveApi(cluster, { users, knobs: { unauthorizedDelayMs: 0, ...knobs } });
  const url = await api.start();
  return {
    api,
    url,
    logins: () => api.requests.counts.get("/access/ticket") ?? 0,
    pass: (ms: number) => {
      elapsedMs += ms;
    },
    [Symbol.asyncDispose]: () => api.stop(),
  };
}

describe("a user with a password", () => {
  test("logs in once for all calls", async () => {
    await using server = await simulated();
    using caller = new Caller(server.url, { credentials: byPassword() });
    const calls = await Promise.all(["/version", "/cluster/status"].map((path) => caller.get(path)));
    expect(calls.map(({ failure }) => failure)).toEqual([undefined, undefined]);
    await caller.get("/cluster/resources");
    expect(server.logins()).toBe(1);
    expect(await caller.results()).toEqual({ ok: 4 });
    expect(caller.sent[0]).toMatchObject({ method: "POST", url: `${server.url}/api2/json/access/ticket` });
  });

  test("logs in again where the ticket has become too old for the server, and the calls succeed", async () => {
    await using server = await simulated();
    using caller = new Caller(server.url, { credentials: byPassword() });
    await caller.get();
    server.pass(2 * 60 * MINUTE_MS);
    const calls = await Promise.all([caller.get(), caller.get(), caller.get()]);
    expect(calls.every(({ failure }) => failure === undefined)).toBe(true);
    expect(server.logins()).toBe(2);
  });

  test("whose new ticket is refused as well is not let in, and stops asking", async () => {
    await using server = await hostile((connection, asked) =>
      (asked.method === "POST" ? json({ data: { ticket: "PVE:x:1::y" } }) : refusing("401 No ticket"))(
        connection,
        asked,
      ),
    );
    using caller = new Caller(server.origin, { credentials: byPassword() });
    expect((await caller.get()).failure).toMatchObject({ reason: "unauthorized", status: 401 });
    expect(server.asked.map(({ method }) => method)).toEqual(["POST", "GET", "POST", "GET"]);
  });

  test("who has another password is not let in", async () => {
    await using server = await simulated();
    using caller = new Caller(server.url, { credentials: byPassword("planted-password") });
    expect((await caller.get()).failure).toMatchObject({
      reason: "unauthorized",
      status: 401,
      path: "/access/ticket",
    });
    expect(server.logins()).toBe(1);
    expect(caller.told).not.toContain("planted-password");
  });

  test("who needs a second factor is told to use a token", async () => {
    await using server = await simulated([{ ...AUDITOR, secondFactor: true }]);
    using caller = new Caller(server.url, { credentials: byPassword() });
    const { failure } = await caller.get();
    expect(failure).toMatchObject({ reason: "unauthorized" });
    expect(failure?.message).toContain("plumbline@pve; use an API token");
    expect(server.api.requests.counts.get("/version")).toBeUndefined();
  });

  test("sends the second factor that is configured, and both as a form only", async () => {
    await using server = await hostile(json({ data: { ticket: "PVE:x:1::y" } }));
    const credentials = {
      kind: "password",
      user: "a+b@pve",
      password: secret("p&ss=ö"),
      otp: secret("123456"),
    } as const;
    using caller = new Caller(server.origin, { credentials });
    await caller.get();
    expect(server.asked[0]).toMatchObject({ method: "POST", path: "/api2/json/access/ticket" });
    expect(server.asked[0]?.headers.get("content-type")).toMatch(/^application\/x-www-form-urlencoded/);
    const sent = new URLSearchParams(server.asked[0]?.body);
    expect(Object.fromEntries(sent)).toEqual({ username: "a+b@pve", password: "p&ss=ö", otp: "123456" });
  });

  test("shows the ticket as a cookie in which nothing ends it", async () => {
    const ticket = "PVE:a@pve:68::x;y=/+ z";
    await using server = await hostile(json({ data: { ticket } }));
    using caller = new Caller(server.origin, { credentials: byPassword() });
    await caller.get();
    const { headers } = server.asked[1] ?? { headers: new Map<string, string>() };
    expect(headers.get("cookie")).toBe(`PVEAuthCookie=${encodeURIComponent(ticket)}`);
    expect(headers.has("authorization")).toBe(false);
  });

  test.each([
    ["no ticket", json({ data: {} })],
    ["a ticket that is no text", json({ data: { ticket: 7 } })],
    ["an empty ticket", json({ data: { ticket: "" } })],
    ["nothing", json({ data: null })],
  ])("who gets %s for the password is told so", async (_, conduct) => {
    await using server = await hostile(conduct);
    using caller = new Caller(server.origin, { credentials: byPassword() });
    expect((await caller.get()).failure).toMatchObject({ reason: "invalid", path: "/access/ticket" });
    expect(server.asked).toHaveLength(1);
  });

  test("waits for the ticket no longer than the call may take; the next one has it", async () => {
    let late: () => void = () => {};
    await using server = await hostile((connection, asked) => {
      if (asked.method === "POST") late = () => json({ data: { ticket: "PVE:x:1::y" } })(connection, asked);
      else json({ data: 1 })(connection, asked);
    });
    using caller = new Caller(server.origin, { credentials: byPassword() });
    expect((await caller.get("/version", { limitMs: 100 })).failure).toMatchObject({
      reason: "timeout",
      path: "/version",
    });
    late();
    expect(await caller.get()).toEqual({ data: 1 });
    expect(server.asked.map(({ method }) => method)).toEqual(["POST", "GET"]);
  });

  test("waits for the ticket no longer than the endpoint's timeout", async () => {
    await using server = await hostile(silence);
    using caller = new Caller(server.origin, { credentials: byPassword(), timeoutMs: 100 });
    expect((await caller.get()).failure).toMatchObject({ reason: "timeout", path: "/access/ticket" });
  });

  test("is not waited for by a client that is closed", async () => {
    await using server = await hostile(silence);
    using caller = new Caller(server.origin, { credentials: byPassword() });
    const call = caller.get();
    while (server.asked.length === 0) await Bun.sleep(5);
    caller.client.close();
    expect((await call).failure).toMatchObject({ reason: "error" });
    while (server.open > 0) await Bun.sleep(5);
  });
});

describe("neither password nor ticket is shown", () => {
  const TICKET = "PVE:plumbline@pve:69BD1A00::planted+signature/==";
  const withTicket =
    (conduct: Conduct): Conduct =>
    (connection, asked) =>
      (asked.method === "POST" ? json({ data: { ticket: TICKET } }) : conduct)(connection, asked);
  const LONG = "planted passphrase of mine";

  test.each([
    ["by a reason phrase that repeats the ticket", withTicket(refusing(`500 ${TICKET}`)), "error"],
    ["by a reason phrase that repeats the signature", withTicket(refusing("500 planted+sig")), "error"],
    ["by a reason phrase that repeats the password", refusing(`500 wrong: ${LONG}`), "error"],
    ["by an answer that repeats the ticket", withTicket(json({ data: [TICKET] })), "invalid"],
    ["by an answer that repeats the password", withTicket(json({ data: [LONG] })), "invalid"],
    [
      "by an answer that repeats the cookie",
      withTicket(answer(200, `{"data":"${encodeURIComponent(TICKET)}"}`)),
      "invalid",
    ],
  ])("%s", async (_, conduct, reason) => {
    await using server = await hostile(conduct);
    using caller = new Caller(server.origin, { credentials: byPassword(LONG) });
    const { data, failure } = await caller.get();
    expect(data).toBeUndefined();
    expect(failure).toMatchObject({ reason });
    expect(caller.told).not.toMatch(/planted/);
  });

  test("by anything that is told of a call that succeeds", async () => {
    await using server = await simulated();
    using caller = new Caller(server.url, { credentials: byPassword() });
    await caller.get();
    expect(caller.told).toContain("/version");
    expect(caller.told).not.toContain(PASSWORD);
    expect(caller.told).not.toContain("PVE:");
  });
});
