/** Scrapes of a simulated cluster over the wire: how much is asked, and what is told of a host that a caller names. */
import { afterEach, describe, expect, test } from "bun:test";
import { PveApi } from "../../src/demo/pve-api.ts";
import { PveCluster, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import type { PveHappening } from "../../src/demo/pve-events.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import type { Log } from "../../src/log/log.ts";
import { PVE_COLLECTORS } from "../../src/pve/collectors.ts";
import type { Connect } from "../../src/pve/endpoints.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { TargetScraper } from "../../src/pve/scrape-target.ts";
import { openPve } from "../../src/pve/source.ts";
import { NO_PVE, type PveModule } from "../../src/pve/target.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { ownMetrics, recordingLog, seriesOf } from "../scrape/fakes.ts";
import { connectTo, FakeEndpoint, HANG, targetOf, unanswered, unauthorized } from "../support/pve-site.ts";
import { byToken, FINGERPRINT, SECRET } from "./calling.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const MODULE: PveModule = {
  credentials: byToken(),
  tls: { caFile: undefined, ...FINGERPRINT },
  timeoutMs: 5000,
};

async function simulated(size: Partial<PveClusterSize>, happenings: readonly PveHappening[] = []) {
  const cluster = new PveCluster({ nodes: 3, guests: 60, release: "9.2", ...size }, { happenings });
  const knobs = { latencyMs: 2, unauthorizedDelayMs: 0 };
  const api = new PveApi(cluster, { users: [AUDITOR], knobs });
  closing.push(() => api.stop());
  return { api, url: await api.start() };
}

/** With the collectors that are on by themselves. */
async function scrapeMetrics(url: string, timeoutMs = 10_000) {
  const log = recordingLog();
  const own = ownMetrics();
  const source = openPve(
    {
      pve: { ...NO_PVE, targets: [targetOf([url], { module: MODULE })] },
      collectors: { disableDefaults: false, chosen: {} },
      path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/var/lib/kubelet" },
      state: { directory: "/nonexistent" },
    },
    own,
    log,
  );
  closing.push(() => source.close());
  const only = PVE_COLLECTORS.filter(({ defaults }) => defaults.metrics).map(({ name }) => `pve-${name}`);
  const { sets, outcomes } = await new Scraper(source.collectors, own, log).scrape({ only, timeoutMs });
  await source.settled();
  return {
    series: seriesOf(sets),
    log,
    failed: outcomes.filter(({ success }) => !success).map(({ collector }) => collector),
  };
}

interface Asking {
  readonly collectors?: readonly string[];
  readonly timeoutMs?: number;
  readonly debugLog?: Log;
  readonly connect?: Connect;
  readonly module?: PveModule;
}

const OF_PVE = PVE_COLLECTORS.filter(({ defaults }) => defaults.pve === true).map(({ name }) => name);

async function scrapePve(endpoint: string, asking: Asking = {}) {
  const { collectors = OF_PVE, timeoutMs = 10_000, debugLog, connect, module = MODULE } = asking;
  const log = recordingLog();
  const scraper = new TargetScraper(NO_PVE, ownMetrics(), log, ...(connect === undefined ? [] : [connect]));
  closing.push(() => scraper.close());
  const answer = await scraper.scrape(
    {
      target: "pve1.lan",
      endpoint,
      moduleName: "default",
      module,
      collectors: PVE_COLLECTORS.filter(({ name }) => collectors.includes(name)),
      ...(debugLog !== undefined && { debugLog }),
    },
    { signal: new AbortController().signal, deadline: performance.now() + timeoutMs },
  );
  return { answer, log, series: answer.kind === "answered" ? seriesOf(answer.sets) : [] };
}

const scopeOf = (scope: "cluster" | "node") =>
  PVE_COLLECTORS.filter((collector) => collector.defaults.pve === true && collector.scope === scope).map(
    ({ name }) => name,
  );

describe("calls in a scrape", () => {
  const guestsOnPve1 = (api: PveApi): number =>
    [...api.cluster.at().guests.values()].filter(({ node }) => node === "pve1").length;

  test("of /pve are 5, 2 for the node, and one for each of its guests", async () => {
    const { api, url } = await simulated({});
    await scrapePve(url);
    expect(api.requests.seen).toHaveLength(5 + 2 + guestsOnPve1(api));
  });

  test("of /pve are 4 about the cluster on a standalone host", async () => {
    const { api, url } = await simulated({ nodes: 1, guests: 5, standalone: true });
    await scrapePve(url);
    expect(api.requests.seen).toHaveLength(4 + 2 + 5);
  });

  test("of /pve are 5 without the node, and 2 besides its own without the cluster", async () => {
    const { api, url } = await simulated({});
    await scrapePve(url, { collectors: scopeOf("cluster") });
    expect(api.requests.seen).toHaveLength(5);
    api.requests.clear();
    await scrapePve(url, { collectors: scopeOf("node") });
    expect(api.requests.seen).toHaveLength(2 + 2 + guestsOnPve1(api));
  });

  test.each([
    ["9.2", 3, 60, 5 + 3 + 1 + 7 * 3 + 60],
    ["8.4", 3, 60, 5 + 3 + 1 + 5 * 3 + 60],
    ["9.2", 8, 600, 5 + 3 + 1 + 7 * 8],
  ] as const)(
    "of /metrics on %s with %d nodes and %d guests are %d, and at most four are open",
    async (...given) => {
      const [release, nodes, guests, expected] = given;
      const { api, url } = await simulated({ release, nodes, guests });
      const { failed } = await scrapeMetrics(url);
      const isSlow = ({ path }: { path: string }) => /certificates|disks\/list(?!\?skipsmart)/.test(path);
      expect(failed).toEqual([]);
      expect(api.requests.seen.filter((request) => !isSlow(request))).toHaveLength(expected);
      expect(api.requests.seen.filter(isSlow).length).toBeLessThanOrEqual(1);
      expect(api.requests.highest).toBeLessThanOrEqual(4);
      // What is about the cluster is counted as the first node's.
      for (const [node, open] of api.requests.highestPerNode)
        if (node !== "pve1") expect(open).toBeLessThanOrEqual(2);
    },
  );
});

describe("a node that hangs", () => {
  test("costs only itself", async () => {
    const hung = { kind: "node", node: "pve2", condition: "hung", atMs: -1000 } as const;
    const { url } = await simulated({ guests: 12 }, [hung]);
    const { series } = await scrapeMetrics(url, 1200);
    const loads = series.filter((line) => line.startsWith("pve_node_load1{"));
    expect(loads.map((line) => /node="(\w+)"/.exec(line)?.[1])).toEqual(["pve1", "pve3"]);
    expect(series).toContain('plumbline_pve_node_reachable{target="home",node="pve2"} 0');
    expect(series).toContain('plumbline_pve_node_reachable{target="home",node="pve3"} 1');
    expect(series).toContain('plumbline_pve_collector_success{target="home",collector="pve-resources"} 1');
    expect(series).toContain('plumbline_pve_collector_success{target="home",collector="pve-node-status"} 0');
  });
});

describe("a host that a caller names", () => {
  test("is told without the label cluster, and with the health block at the end", async () => {
    const { url } = await simulated({ name: "prod" });
    const { series } = await scrapePve(url);
    expect(series.filter((line) => line.startsWith("pve_") && line.includes("cluster="))).toEqual([]);
    expect(series).toContain('plumbline_pve_target_up{target="pve1.lan"} 1');
    expect(series).toContain(
      `plumbline_pve_target_info{target="pve1.lan",cluster="prod",endpoint="${url}"} 1`,
    );
    for (const name of OF_PVE)
      expect(series).toContain(`plumbline_collector_success{collector="pve-${name}"} 1`);
    expect(series.some((line) => /^plumbline_pve_api_requests_total\{result="ok"\} [1-9]/.test(line))).toBe(
      true,
    );
  });

  test("has of the nodes' families those of the node that answers", async () => {
    const { url } = await simulated({});
    const { series } = await scrapePve(url, { collectors: ["node-status"] });
    expect(series.filter((line) => line.startsWith("pve_node_load1{"))).toHaveLength(1);
  });

  test("that refuses the token is answered with a sentence on what to do, and without the token", async () => {
    const { url } = await simulated({});
    const module = { ...MODULE, credentials: byToken(`${SECRET.slice(0, -4)}ffff`) };
    const { answer } = await scrapePve(url, { module });
    const sentence = answer.kind === "failed" ? answer.sentence : "";
    expect(sentence).toContain("plumbline@pve");
    expect(sentence).not.toContain(SECRET.slice(0, 8));
  });

  test.each([
    ["cannot be reached", unanswered("connect"), "unreachable"],
    ["has a certificate that nobody vouches for", unanswered("tls"), "unreachable"],
    ["refuses the token", unauthorized(), "unauthorized"],
    ["does not answer in time", HANG, "timeout"],
  ])("and %s has nothing to be served", async (_, status, reason) => {
    const endpoint = new FakeEndpoint({ "/cluster/status": status });
    const connect = connectTo({ "https://a": endpoint });
    const { answer } = await scrapePve("https://a", { connect, timeoutMs: 100 });
    expect(answer).toMatchObject({ kind: "failed", failure: { reason } });
  });

  test("and answers only errors has nothing to be served", async () => {
    const error = new PveFailure("error", "/", "500", { status: 500 });
    const answers = { "/": error, "/cluster/status": error, "/cluster/resources": error, "/version": error };
    const connect = connectTo({ "https://a": new FakeEndpoint(answers) });
    expect((await scrapePve("https://a", { connect })).answer.kind).toBe("failed");
  });

  test("is served in part where something is forbidden", async () => {
    const forbidden = new PveFailure("forbidden", "/cluster/status", "403", { status: 403 });
    const connect = connectTo({ "https://a": new FakeEndpoint({ "/cluster/status": forbidden }) });
    const { series } = await scrapePve("https://a", {
      connect,
      collectors: ["cluster", "version", "resources"],
    });
    expect(series).toContain('plumbline_pve_collector_success{target="pve1.lan",collector="pve-version"} 1');
    expect(series).toContain('plumbline_pve_collector_success{target="pve1.lan",collector="pve-cluster"} 0');
    expect(series).toContain(
      'plumbline_pve_skipped{target="pve1.lan",collector="pve-cluster",reason="forbidden"} 1',
    );
  });

  test("is told of in a log of the caller's own where that is wanted, each call of it, and without the token", async () => {
    const { url } = await simulated({});
    const debugLog = recordingLog();
    const { log } = await scrapePve(url, { collectors: ["version"], debugLog });
    expect(debugLog.lines.map(({ fields }) => fields["path"])).toContain("/version");
    expect(JSON.stringify(debugLog.lines)).not.toContain(SECRET);
    expect(log.lines.filter(({ level }) => level !== "debug")).toEqual([]);
  });

  test("is one of a hundred whose connections are kept", async () => {
    const endpoints = Object.fromEntries(
      Array.from({ length: 103 }, (_, index) => [`https://host${index}`, new FakeEndpoint()]),
    );
    const scraper = new TargetScraper(NO_PVE, ownMetrics(), recordingLog(), connectTo(endpoints));
    closing.push(() => scraper.close());
    for (const endpoint of Object.keys(endpoints)) {
      const request = { target: endpoint, endpoint, moduleName: "default", module: MODULE, collectors: [] };
      await scraper.scrape(request, {
        signal: new AbortController().signal,
        deadline: performance.now() + 1000,
      });
    }
    expect(Object.values(endpoints).map(({ isClosed }) => isClosed)).toEqual(
      Array.from({ length: 103 }, (_, index) => index < 3),
    );
  });
});
