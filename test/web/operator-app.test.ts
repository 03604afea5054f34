import { describe, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { counter } from "../../src/metrics/descriptor.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import {
  aggregateApp,
  healthApp,
  type OperatorParts,
  type OperatorState,
} from "../../src/web/operator-app.ts";
import { BUILD, MemoryLog, settings } from "./support.ts";

const LEADS: OperatorState = { isReady: true, isLeader: true, leader: "operator-a" };
const STANDS_BY: OperatorState = { isReady: true, isLeader: false, leader: "operator-a" };
const NODES = 'csi_volume_node_device_info{node="a"} 1\n';

function parts(more: Partial<OperatorParts> = {}): OperatorParts {
  return {
    settings: settings(),
    state: () => LEADS,
    scrape: async () => new TextEncoder().encode(NODES),
    own: new OwnMetrics(BUILD, { processMetrics: false }),
    log: new MemoryLog(),
    ...more,
  };
}

const url = (path: string) => `http://operator${path}`;
const request = (path: string, init?: RequestInit) => new Request(url(path), init);

describe("the metrics of all nodes", () => {
  test("are served in the text format, also to who prefers OpenMetrics", async () => {
    const headers = { accept: "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5" };
    const response = await aggregateApp(parts()).handle(request("/metrics", { headers }));
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await response.text()).toBe(NODES);
  });

  test("are compressed for a client that takes gzip", async () => {
    const headers = { "accept-encoding": "gzip" };
    const response = await aggregateApp(parts()).handle(request("/metrics", { headers }));
    expect(gunzipSync(await response.arrayBuffer()).toString()).toBe(NODES);
  });

  test("are asked for within the time that the scraper allows, less the offset", async () => {
    const left: number[] = [];
    const app = aggregateApp(
      parts({
        scrape: async ({ deadline }) => {
          left.push(deadline - performance.now());
          return new Uint8Array();
        },
      }),
    );
    await app.handle(request("/metrics", { headers: { "x-prometheus-scrape-timeout-seconds": "30" } }));
    await app.handle(request("/metrics"));
    const [allowed = 0, otherwise = 0] = left;
    expect(allowed).toBeWithin(29_000, 29_501);
    expect(otherwise).toBeWithin(9_000, 10_001);
  });

  test("are not served by a replica that does not lead: it names the one that does, and asks no node", async () => {
    let asked = 0;
    const scrape = async () => {
      asked++;
      return new Uint8Array();
    };
    const response = await aggregateApp(parts({ state: () => STANDS_BY, scrape })).handle(
      request("/metrics"),
    );
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("15");
    expect(await response.text()).toBe("this replica does not lead; operator-a does\n");
    expect(asked).toBe(0);
  });

  test("are asked for by four at a time; a fifth comes again later", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const scrape = async () => {
      await promise;
      return new Uint8Array();
    };
    const app = aggregateApp(parts({ scrape }));
    const waiting = Array.from({ length: 4 }, () => app.handle(request("/metrics")));
    expect((await app.handle(request("/metrics"))).status).toBe(503);
    resolve();
    for (const response of await Promise.all(waiting)) expect(response.status).toBe(200);
    expect((await app.handle(request("/metrics"))).status).toBe(200);
  });

  test("that cannot be brought together are a 500 which tells nothing, and a line in the log", async () => {
    const log = new MemoryLog();
    const scrape = () => Promise.reject(new Error("secret of the inside"));
    const response = await aggregateApp(parts({ scrape, log })).handle(request("/metrics"));
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(log.text).toContain("secret of the inside");
  });
});

describe("the operator's health", () => {
  test("is well as long as it answers, whether it leads or not", async () => {
    for (const state of [LEADS, STANDS_BY, { ...STANDS_BY, isReady: false }]) {
      const response = await healthApp(parts({ state: () => state })).handle(request("/healthz"));
      expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
    }
  });

  test("is ready once it knows the cluster; a replica that stands by is ready too", async () => {
    const readyz = async (state: OperatorState) => {
      const response = await healthApp(parts({ state: () => state })).handle(request("/readyz"));
      return [response.status, await response.text()];
    };
    expect(await readyz(LEADS)).toEqual([200, "ready; this replica leads\n"]);
    expect(await readyz(STANDS_BY)).toEqual([200, "ready; this replica does not lead; operator-a does\n"]);
    expect((await readyz({ isReady: false, isLeader: false, leader: undefined }))[0]).toBe(503);
  });

  test("has the operator's own metrics beside it, in both formats", async () => {
    const own = new OwnMetrics(BUILD, { processMetrics: false });
    own.counter(counter("plumbline_operator_test_total", "Of this test", [])).inc(3);
    const app = healthApp(parts({ own }));
    expect(await (await app.handle(request("/metrics"))).text()).toContain(
      "plumbline_operator_test_total 3\n",
    );
    const headers = { accept: "application/openmetrics-text;version=1.0.0" };
    expect(await (await app.handle(request("/metrics", { headers }))).text()).toEndWith("# EOF\n");
  });
});

test.each([
  ["the metrics of all nodes", aggregateApp],
  ["the health", healthApp],
])("the address of %s says at / what there is, and 404 and 405 elsewhere", async (_, app) => {
  const { handle } = app(parts());
  expect(await (await handle(request("/"))).text()).toContain("/metrics");
  expect((await handle(request("/other"))).status).toBe(404);
  expect((await handle(request("/metrics", { method: "POST" }))).status).toBe(405);
});
