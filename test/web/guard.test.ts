import { describe, expect, test } from "bun:test";
import { hashSync } from "bcryptjs";
import { BasicAuth } from "../../src/web/basic-auth.ts";
import { guard } from "../../src/web/guard.ts";
import { line } from "../../src/web/line.ts";
import { TokenBucket } from "../../src/web/token-bucket.ts";
import type { WebConfig } from "../../src/web/web-config.ts";

const OPEN: WebConfig = {
  file: "web.yml",
  stamps: new Map(),
  tls: undefined,
  headers: new Map(),
  users: new Map(),
  rateLimit: undefined,
  warnings: [],
};
const COST = 4;
const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const ask = (authorization?: string) =>
  new Request("http://node-a/metrics", authorization === undefined ? {} : { headers: { authorization } });

describe("basic auth", () => {
  const users = new Map([
    ["alice", hashSync("correct horse", COST)],
    ["bob", hashSync("päss€wörd:with:colons", COST).replace("$2b$", "$2y$")],
    ["carol", hashSync("x".repeat(80), COST).replace("$2b$", "$2a$")],
  ]);
  const statusOf = async (authorization?: string) =>
    (
      await guard(
        () => ({ ...OPEN, users }),
        async () => line(200, "in"),
      )(ask(authorization))
    ).status;

  test("lets in who knows the password, by $2a$, $2b$ and $2y$ hashes", async () => {
    expect(await statusOf(basic("alice", "correct horse"))).toBe(200);
    expect(await statusOf(basic("bob", "päss€wörd:with:colons"))).toBe(200);
    expect(await statusOf(basic("alice", "correct horse").replace("Basic", "bAsIc"))).toBe(200);
  });

  test("looks at 72 bytes of a longer password, as every bcrypt does", async () => {
    expect(await statusOf(basic("carol", "x".repeat(80)))).toBe(200);
    expect(await statusOf(basic("carol", "x".repeat(71)))).toBe(401);
  });

  test("answers anybody else 401 and asks for the password", async () => {
    for (const wrong of [
      undefined,
      "",
      "Basic",
      "Basic ",
      "Basic !!!",
      `Basic ${Buffer.from("alice").toString("base64")}`,
      `Bearer ${Buffer.from("alice:correct horse").toString("base64")}`,
      basic("alice", ""),
      basic("alice", "correct hors"),
      basic("alice", "correct horse\0"),
      basic("Alice", "correct horse"),
      basic("", "correct horse"),
      basic("mallory", "correct horse"),
      basic("__proto__", "correct horse"),
      basic("bob", "correct horse"),
    ]) {
      expect([wrong, await statusOf(wrong)]).toEqual([wrong, 401]);
    }
    const handle = guard(
      () => ({ ...OPEN, users }),
      () => expect.unreachable(),
    );
    const response = await handle(ask());
    expect(response.headers.get("www-authenticate")).toBe('Basic realm="plumbline", charset="UTF-8"');
    expect(await response.text()).toBe("unauthorized\n");
  });

  test("an unknown user is compared with a hash as costly as the costliest known one", async () => {
    const costs: string[] = [];
    const auth = new BasicAuth(
      new Map([
        ["cheap", hashSync("a", 4)],
        ["costly", hashSync("b", 6)],
      ]),
      async (_password, hash) => {
        costs.push(hash.slice(4, 6));
        return true;
      },
    );
    // Even if the password happens to be that of the hash it was compared with.
    expect(await auth.check(basic("nobody", "b"))).toBe("denied");
    expect(costs).toEqual(["06"]);
  });

  test("remembers a right password, and by nothing that could be read as one", async () => {
    let compared = 0;
    const auth = new BasicAuth(users, async () => {
      compared++;
      return true;
    });
    for (let i = 0; i < 5; i++) expect(await auth.check(basic("alice", "correct horse"))).toBe("ok");
    expect(compared).toBe(1);
    expect(Bun.inspect(auth, { depth: 10 })).not.toContain("correct horse");
    expect(await auth.check(basic("bob", "correct horse"))).toBe("ok");
    expect(compared).toBe(2);
  });

  test("does not remember a wrong password", async () => {
    let compared = 0;
    const auth = new BasicAuth(users, async () => {
      compared++;
      return false;
    });
    for (let i = 0; i < 3; i++) expect(await auth.check(basic("alice", "wrong"))).toBe("denied");
    expect(compared).toBe(3);
  });

  test("forgets the one not seen for the longest beyond a hundred", async () => {
    let compared = 0;
    const auth = new BasicAuth(users, async () => {
      compared++;
      return true;
    });
    for (let i = 0; i < 101; i++) await auth.check(basic("alice", `password ${i}`));
    await auth.check(basic("alice", "password 100"));
    expect(compared).toBe(101);
    await auth.check(basic("alice", "password 0"));
    expect(compared).toBe(102);
  });

  test("compares once for all who bring the same at the same time, one password after the other", async () => {
    let now = 0;
    let most = 0;
    let compared = 0;
    const auth = new BasicAuth(users, async () => {
      compared++;
      most = Math.max(most, ++now);
      await Bun.sleep(1);
      now--;
      return true;
    });
    const same = Array.from({ length: 40 }, () => auth.check(basic("alice", "correct horse")));
    const others = ["a", "b", "c"].map((password) => auth.check(basic("alice", password)));
    expect(new Set(await Promise.all([...same, ...others]))).toEqual(new Set(["ok"]));
    expect([compared, most]).toEqual([4, 1]);
  });

  test("a flood of guesses is turned away, while who is known comes in at once", async () => {
    const flood = Promise.withResolvers<boolean>();
    let known = true;
    const auth = new BasicAuth(users, () => (known ? Promise.resolve(true) : flood.promise));
    expect(await auth.check(basic("alice", "correct horse"))).toBe("ok");
    known = false;
    const guesses = Array.from({ length: 200 }, (_, i) => auth.check(basic("alice", `guess ${i}`)));
    expect(await auth.check(basic("alice", "correct horse"))).toBe("ok");
    flood.resolve(false);
    const verdicts = await Promise.all(guesses);
    expect(verdicts.filter((verdict) => verdict === "busy")).toHaveLength(150);
    expect(verdicts).not.toContain("ok");
  });

  test("the event loop goes on while a password is compared", async () => {
    const auth = new BasicAuth(new Map([["alice", hashSync("correct horse", 10)]]));
    let turns = 0;
    const turning = setInterval(() => turns++, 1);
    await auth.check(basic("alice", "wrong"));
    clearInterval(turning);
    expect(turns).toBeGreaterThan(0);
  });
});

describe("the rate limit", () => {
  test("lets a burst through, then one more each interval", () => {
    let now = 0;
    const bucket = new TokenBucket(1000, 3, () => now);
    const taken = () => Array.from({ length: 5 }, () => bucket.take());
    expect(taken()).toEqual([true, true, true, false, false]);
    expect(bucket.waitMs).toBe(1000);
    now = 900;
    expect(bucket.take()).toBe(false);
    now = 1000;
    expect(taken()).toEqual([true, false, false, false, false]);
    now = 1_000_000;
    expect(taken()).toEqual([true, true, true, false, false]);
  });

  test("answers 429 with Retry-After before any password is looked at", async () => {
    const config = { ...OPEN, rateLimit: { intervalMs: 60_000, burst: 1 } };
    const handle = guard(
      () => config,
      async () => line(200, "in"),
    );
    expect((await handle(ask())).status).toBe(200);
    const refused = await handle(ask());
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("60");
  });

  test("goes on counting when something else in the file changes", async () => {
    let config: WebConfig = { ...OPEN, rateLimit: { intervalMs: 60_000, burst: 1 } };
    const handle = guard(
      () => config,
      async () => line(200, "in"),
    );
    await handle(ask());
    config = { ...config, headers: new Map([["X-Frame-Options", "deny"]]) };
    expect((await handle(ask())).status).toBe(429);
  });
});

describe("headers of the web configuration", () => {
  test("stand in every answer, also in a refusal, and take the place of our own", async () => {
    const headers = new Map([
      ["X-Frame-Options", "deny"],
      ["Content-Security-Policy", "default-src 'self'"],
    ]);
    const config = { ...OPEN, headers, users: new Map([["alice", hashSync("a", COST)]]) };
    const own = { "content-security-policy": "default-src 'none'" };
    const handle = guard(
      () => config,
      async () => line(200, "in", own),
    );
    for (const authorization of [undefined, basic("alice", "a")]) {
      const response = await handle(ask(authorization));
      expect(response.headers.get("x-frame-options")).toBe("deny");
      expect(response.headers.get("content-security-policy")).toBe("default-src 'self'");
    }
  });

  test("and users follow the file while the server runs", async () => {
    let config: WebConfig = OPEN;
    const handle = guard(
      () => config,
      async () => line(200, "in"),
    );
    expect((await handle(ask())).status).toBe(200);
    config = { ...OPEN, users: new Map([["alice", hashSync("a", COST)]]) };
    expect((await handle(ask())).status).toBe(401);
    expect((await handle(ask(basic("alice", "a")))).status).toBe(200);
    config = { ...OPEN, users: new Map([["alice", hashSync("b", COST)]]) };
    expect((await handle(ask(basic("alice", "a")))).status).toBe(401);
  });
});
