/** The simulated REST service of Mayastor over real connections, held against the description of the API. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Node, Volume, Volumes } from "../../src/demo/mayastor-api.ts";
import { livingCluster } from "../../src/demo/mayastor-cluster.ts";
import { type Fault, MayastorRest, type MayastorRestOptions } from "../../src/demo/mayastor-rest.ts";
import { errorsOf, PATHS } from "../support/mayastor-openapi.ts";
import { makeCertificates } from "../web/certificates.ts";

const running: MayastorRest[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((rest) => rest.stop()));
});

async function started(options: MayastorRestOptions = {}, elapsedMs = 0) {
  const rest = new MayastorRest(() => livingCluster(elapsedMs), options);
  running.push(rest);
  return { rest, base: await rest.start() };
}

const MINUTES = Array.from({ length: 61 }, (_, minute) => minute);
const JWT = "eyJhbGciOiJSUzI1NiJ9.bWFkZSB1cA.c2lnbmF0dXJl";
const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

describe("what the service answers", () => {
  test.each(PATHS)("is what the API description says of %s, at every minute of an hour", async (path) => {
    let elapsedMs = 0;
    const rest = new MayastorRest(() => livingCluster(elapsedMs));
    running.push(rest);
    const base = await rest.start();
    const errors = new Set<string>();
    for (const minute of MINUTES) {
      elapsedMs = minute * 60_000 + 7000;
      const query = path === "/volumes" ? "?max_entries=4" : "";
      const answer = await fetch(`${base}/v0${path.replace("{id}", "worker-3")}${query}`);
      for (const error of errorsOf(path, answer.status, await answer.json())) errors.add(error);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("application/json");
    }
    expect([...errors]).toEqual([]);
  });

  test("would be found to differ from the description", () => {
    const node = { id: "a", state: { grpcEndpoint: "10.1.0.1:10124", id: "a", status: "Away" } };
    expect(errorsOf("/nodes/{id}", 200, node)).toEqual([
      "/state/status: must be equal to one of the allowed values",
    ]);
    expect(errorsOf("/nodes/{id}", 200, { id: "a", stat: "Online" })).toEqual([
      ": must NOT have additional properties",
    ]);
  });

  test("comes in another order each time", async () => {
    const { base } = await started();
    const idsIn = async () => {
      const nodes: Node[] = await (await fetch(`${base}/v0/nodes`)).json();
      return nodes.map(({ id }) => id).join();
    };
    const orders = await Promise.all(Array.from({ length: 20 }, idsIn));
    expect(new Set(orders).size).toBeGreaterThan(1);
    expect(new Set(orders.map((order) => order.split(",").sort().join())).size).toBe(1);
  });

  test("comes in the order that a given random makes", async () => {
    const { base } = await started({ random: () => 0 });
    const nodes: Node[] = await (await fetch(`${base}/v0/nodes`)).json();
    expect(nodes.map(({ id }) => id)).toEqual(livingCluster(0).nodes.map(({ id }) => id));
  });

  test("is one node, its pools and its replicas where one is asked for", async () => {
    const { base } = await started();
    const get = async (path: string) => (await fetch(`${base}/v0/nodes/${path}`)).json();
    expect(await get("worker-1")).toMatchObject({ id: "worker-1", state: { status: "Online" } });
    const pools: { id: string }[] = await get("worker-1/pools");
    expect(pools.map(({ id }) => id).sort()).toEqual(["pool-1", "pool-1b"]);
    const replicas: { node: string }[] = await get("worker-1/replicas");
    expect(replicas.length).toBeGreaterThan(2);
    expect(new Set(replicas.map(({ node }) => node))).toEqual(new Set(["worker-1"]));
  });

  test("is each volume once, over pages", async () => {
    const { base } = await started();
    const volumes: Volume[] = [];
    const pages: number[] = [];
    for (let token: number | undefined = 0; token !== undefined; ) {
      const page: Volumes = await (
        await fetch(`${base}/v0/volumes?max_entries=4&starting_token=${token}`)
      ).json();
      volumes.push(...page.entries);
      pages.push(page.entries.length);
      token = page.next_token;
    }
    expect(pages).toEqual([4, 4, 2]);
    const uuids = volumes.map(({ spec }) => spec.uuid);
    expect(uuids.sort()).toEqual(
      livingCluster(0)
        .volumes.map(({ spec }) => spec.uuid)
        .sort(),
    );
  });

  test("is all volumes where no more than 0 are asked for", async () => {
    const { base } = await started();
    const page: Volumes = await (await fetch(`${base}/v0/volumes?max_entries=0`)).json();
    expect(page.entries).toHaveLength(livingCluster(0).volumes.length);
    expect(page.next_token).toBeUndefined();
  });

  test("is remembered by path, and by whether the token was shown", async () => {
    const { rest, base } = await started({ token: "right" });
    await fetch(`${base}/v0/volumes?max_entries=1`, bearer("right"));
    await fetch(`${base}/v0/nodes`, bearer("wrong"));
    expect(rest.requests).toEqual([
      { path: "/v0/volumes?max_entries=1", authorized: true },
      { path: "/v0/nodes", authorized: false },
    ]);
  });
});

describe("an error", () => {
  test.each([
    ["/nodes/{id}", "/v0/nodes/nobody", 404, "NotFound"],
    ["/nodes/{id}/pools", "/v0/nodes/nobody/pools", 404, "NotFound"],
    ["/nodes/{id}/replicas", "/v0/nodes/nobody/replicas", 404, "NotFound"],
    ["/nodes", "/v1/nodes", 404, "NotFound"],
    ["/nodes", "/v0/nodes/worker-1/pools/pool-1", 404, "NotFound"],
    ["/nodes", "/v0/specs", 404, "NotFound"],
    ["/volumes", "/v0/volumes", 400, "Deserialize"],
    ["/volumes", "/v0/volumes?max_entries=some", 400, "Deserialize"],
    ["/volumes", "/v0/volumes?max_entries=1&starting_token=-1", 400, "Deserialize"],
  ])("of %s for %s has its status and kind", async (path, asked, status, kind) => {
    const { base } = await started();
    const answer = await fetch(`${base}${asked}`);
    const body: unknown = await answer.json();
    expect(answer.status).toBe(status);
    expect(body).toMatchObject({ kind });
    expect(errorsOf(path, status, body)).toEqual([]);
  });

  test("about a wrong token repeats it", async () => {
    const { base } = await started({ token: "right" });
    const answer = await fetch(`${base}/v0/nodes?node_id=worker-1`, bearer(JWT));
    const body: unknown = await answer.json();
    expect(answer.status).toBe(401);
    expect(body).toEqual({
      details: `Unauthorized token(${JWT}) for uri(/v0/nodes)`,
      message: "/v0/nodes",
      kind: "Unauthorized",
    });
    expect(errorsOf("/nodes", 401, body)).toEqual([]);
  });

  test("about no token at all is the same", async () => {
    const { base } = await started({ token: "right" });
    const answer = await fetch(`${base}/v0/nodes`);
    expect(answer.status).toBe(401);
    expect(errorsOf("/nodes", 401, await answer.json())).toEqual([]);
  });

  test.each([
    [400, "InvalidArgument"],
    [401, "Unauthorized"],
    [403, "PermissionDenied"],
    [408, "Timeout"],
    [409, "Conflict"],
    [412, "FailedPrecondition"],
    [416, "OutOfRange"],
    [422, "AlreadyExists"],
    [500, "Internal"],
    [501, "Unimplemented"],
    [503, "Unavailable"],
    [504, "DeadlineExceeded"],
    [507, "ResourceExhausted"],
  ])("%d that it is told to make is of kind %s", async (status, kind) => {
    const { base } = await started({ fault: () => ({ kind: "status", status }) });
    const answer = await fetch(`${base}/v0/pools`);
    const body: unknown = await answer.json();
    expect(answer.status).toBe(status);
    expect(body).toMatchObject({ kind });
    expect(errorsOf("/pools", status, body)).toEqual([]);
  });

  test("may have another kind", async () => {
    const { base } = await started({ fault: () => ({ kind: "status", status: 503, word: "Aborted" }) });
    expect(await (await fetch(`${base}/v0/pools`)).json()).toMatchObject({ kind: "Aborted" });
  });
});

describe("what goes wrong when it is told to:", () => {
  /** The answer to one request with this fault. */
  async function withFault(fault: Fault, options: RequestInit = {}): Promise<Response> {
    const { base } = await started({ fault: () => fault });
    return fetch(`${base}/v0/nodes`, { redirect: "manual", ...options });
  }
  /** How fetch fails within a second. */
  const failureOf = async (answer: Promise<unknown>): Promise<unknown> => {
    try {
      await answer;
      return undefined;
    } catch (error) {
      return error instanceof Error && "code" in error && error.name !== "TimeoutError" ? error.code : error;
    }
  };
  const soon = () => ({ signal: AbortSignal.timeout(300) });

  test("an error of a proxy is HTML", async () => {
    const answer = await withFault({ kind: "status", status: 502, html: true });
    expect(answer.status).toBe(502);
    expect(answer.headers.get("content-type")).toBe("text/html");
    expect(await answer.text()).toStartWith("<html>");
  });

  test("a token is repeated, though it is the right one", async () => {
    const answer = await withFault({ kind: "echo_token" }, bearer(JWT));
    expect(answer.status).toBe(401);
    expect(await answer.text()).toContain(JWT);
  });

  test("no header ever comes", async () => {
    expect(await failureOf(withFault({ kind: "hang" }, soon()))).toMatchObject({ name: "TimeoutError" });
  });

  test("half of a body comes, and no more", async () => {
    const answer = await withFault({ kind: "hang_in_body" }, soon());
    expect(answer.status).toBe(200);
    expect(await failureOf(answer.text())).toMatchObject({ name: "TimeoutError" });
  });

  test("the right answer comes late", async () => {
    const begin = performance.now();
    const answer = await withFault({ kind: "slow", ms: 60 });
    const nodes: unknown = await answer.json();
    expect(performance.now() - begin).toBeGreaterThan(50);
    expect(nodes).toHaveLength(8);
  });

  test("half of a body comes, and the connection ends", async () => {
    const answer = await withFault({ kind: "truncated" });
    expect(answer.status).toBe(200);
    expect(await failureOf(answer.text())).toBe("ECONNRESET");
  });

  test("a body does not end, and waits for its reader", async () => {
    const answer = await withFault({ kind: "endless" });
    const before = process.memoryUsage().rss;
    await Bun.sleep(200);
    const reader = answer.body?.getReader();
    let bytes = 0;
    while (bytes < 32 * 1024 ** 2) bytes += (await reader?.read())?.value?.length ?? Number.POSITIVE_INFINITY;
    expect(bytes).toBeFinite();
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 ** 2);
    await reader?.cancel();
  });

  test("another place is named", async () => {
    const answer = await withFault({ kind: "redirect", to: "http://192.0.2.1/elsewhere" });
    expect(answer.status).toBe(307);
    expect(answer.headers.get("location")).toBe("http://192.0.2.1/elsewhere");
  });

  test("what comes is no JSON", async () => {
    const answer = await withFault({ kind: "not_json" });
    const text = await answer.text();
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(() => JSON.parse(text)).toThrow(SyntaxError);
  });

  test("the connection is reset", async () => {
    expect(await failureOf(withFault({ kind: "reset" }))).toBe("ECONNRESET");
  });

  test("one path alone fails", async () => {
    const fault = (path: string): Fault | undefined =>
      path.startsWith("/v0/volumes?") ? { kind: "status", status: 503 } : undefined;
    const { base } = await started({ fault });
    expect((await fetch(`${base}/v0/volumes?max_entries=2`)).status).toBe(503);
    expect((await fetch(`${base}/v0/nodes`)).status).toBe(200);
  });
});

describe("TLS", () => {
  const certificates = makeCertificates();
  afterAll(() => rmSync(certificates.directory, { recursive: true }));
  const { ca, server, client, stranger } = certificates;
  const statusOf = async (base: string, tls: object) =>
    (await fetch(`${base}/v0/nodes`, { tls, keepalive: false })).status;

  test("is served with the given certificate", async () => {
    const { base } = await started({ tls: server });
    expect(base).toStartWith("https://127.0.0.1:");
    expect(await statusOf(base, { ca: ca.cert })).toBe(200);
    await expect(statusOf(base, {})).rejects.toThrow("certificate");
  });

  test("with a CA for clients is for those alone that have a certificate of it", async () => {
    const { base } = await started({ tls: { ...server, clientCa: ca.cert } });
    const shown = ({ cert, key }: { cert: string; key: string }) => ({ ca: ca.cert, cert, key });
    expect(await statusOf(base, shown(client))).toBe(200);
    await expect(statusOf(base, { ca: ca.cert })).rejects.toThrow();
    await expect(statusOf(base, shown(stranger))).rejects.toThrow();
  });
});

describe("the end of the service", () => {
  test("ends requests that have no answer", async () => {
    const { rest, base } = await started({ fault: () => ({ kind: "hang" }) });
    const request = fetch(`${base}/v0/nodes`).then(
      () => "answered",
      () => "ended",
    );
    while (rest.requests.length === 0) await Bun.sleep(5);
    await rest.stop();
    expect(await request).toBe("ended");
  });

  test("leaves its port to another", async () => {
    const { rest, base } = await started();
    await fetch(`${base}/v0/nodes`);
    await rest.stop();
    const port = Number(new URL(base).port);
    expect((await started({ port })).base).toBe(base);
  });

  test("has come before it began where the port is taken", async () => {
    const { base } = await started();
    const second = new MayastorRest(() => livingCluster(0), { port: Number(new URL(base).port) });
    await expect(second.start()).rejects.toThrow("EADDRINUSE");
  });
});
