import { afterEach, describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { PVE_COLLECTORS } from "../../src/pve/collectors.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { openPve, PVE_DESCRIPTIONS, type PveSource, pveAvailability } from "../../src/pve/source.ts";
import { NO_PVE, type PveTarget } from "../../src/pve/target.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { ownMetrics, recordingLog, seriesOf } from "../scrape/fakes.ts";
import {
  clusterRow,
  connectTo,
  FakeEndpoint,
  memberRow,
  nodeGone,
  targetOf,
  unanswered,
  unauthorized,
} from "../support/pve-site.ts";

const sources: PveSource[] = [];
afterEach(() => {
  for (const source of sources.splice(0)) source.close();
});

function opened(
  targets: Readonly<Record<string, FakeEndpoint>>,
  more: Readonly<Record<string, Partial<PveTarget>>> = {},
  chosen: Settings["collectors"]["chosen"] = {},
) {
  const log = recordingLog();
  const own = ownMetrics();
  const settings = {
    pve: {
      ...NO_PVE,
      targets: Object.keys(targets).map((name) => targetOf([`https://${name}`], { name, ...more[name] })),
    },
    collectors: { disableDefaults: false, chosen },
    path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/var/lib/kubelet" },
    state: { directory: "/nonexistent" },
  };
  const source = openPve(settings, own, log, { connect: connectTo(byAddress(targets)) });
  sources.push(source);
  const scraper = new Scraper(source.collectors, own, log);
  const scrape = async (...names: readonly string[]) => {
    const { sets, outcomes } = await scraper.scrape({
      only: names.map((name) => `pve-${name}`),
      timeoutMs: 5000,
    });
    const lines = seriesOf(sets);
    return {
      lines,
      of: (name: string) => lines.filter((line) => line.startsWith(`${name}{`)),
      failed: outcomes.filter(({ success }) => !success).map(({ collector }) => collector),
    };
  };
  return { source, scrape, log };
}

const byAddress = (targets: Readonly<Record<string, FakeEndpoint>>) =>
  Object.fromEntries(Object.entries(targets).map(([name, endpoint]) => [`https://${name}`, endpoint]));

const named = (name: string): FakeEndpoint =>
  new FakeEndpoint({ "/cluster/status": [clusterRow({ name }), memberRow("pve1", { local: 1 })] });

describe("collectors of one scrape", () => {
  test("share their calls, and the next scrape asks anew", async () => {
    const endpoint = new FakeEndpoint();
    const { scrape } = opened({ home: endpoint });
    await scrape("status", "node", "cluster", "resources", "version");
    expect(endpoint.asked.toSorted()).toEqual(["/cluster/resources", "/cluster/status", "/version"]);
    await scrape("status");
    expect(endpoint.times("/cluster/status")).toBe(2);
  });

  test("end with one health block, whatever their order", async () => {
    const endpoint = new FakeEndpoint({ "/nodes/pve1": { status: "notfound" }, "/nodes/pve2": nodeGone() });
    const { scrape } = opened({ home: endpoint });
    const { of, failed } = await scrape("status", "version", "subscription");
    expect(of("plumbline_pve_target_up")).toEqual(['plumbline_pve_target_up{target="home"} 1']);
    expect(of("plumbline_pve_target_info")).toEqual([
      'plumbline_pve_target_info{target="home",cluster="prod",endpoint="https://home"} 1',
    ]);
    expect(of("plumbline_pve_node_reachable")).toEqual([
      'plumbline_pve_node_reachable{target="home",node="pve1"} 1',
      'plumbline_pve_node_reachable{target="home",node="pve2"} 0',
      'plumbline_pve_node_reachable{target="home",node="pve3"} 0',
    ]);
    expect(of("plumbline_pve_collector_success")).toEqual([
      'plumbline_pve_collector_success{target="home",collector="pve-status"} 1',
      'plumbline_pve_collector_success{target="home",collector="pve-subscription"} 0',
      'plumbline_pve_collector_success{target="home",collector="pve-version"} 1',
    ]);
    expect(of("plumbline_pve_collector_duration_seconds")).toHaveLength(3);
    expect(of("plumbline_pve_skipped")).toEqual([
      'plumbline_pve_skipped{target="home",collector="pve-subscription",reason="node_offline"} 1',
      'plumbline_pve_skipped{target="home",collector="pve-subscription",reason="unreachable"} 1',
    ]);
    expect(failed).toEqual(["pve-subscription"]);
  });
});

describe("a collector that is off by default", () => {
  const onDemand = (source: PveSource) =>
    source.collectors.flatMap(({ name, isOnDemand }) => (isOnDemand ? name : []));

  test("is asked of every target when it is named, but of one that says no", async () => {
    const answers = { "/nodes/pve1": [] };
    const targets = { a: new FakeEndpoint(answers), b: new FakeEndpoint(answers) };
    const { source, scrape } = opened(targets, { b: { collectors: { storage: false } } });
    expect(onDemand(source)).toEqual(["pve-backups", "pve-node-rrd", "pve-storage", "pve-guest-fs"]);
    await scrape("storage");
    expect(targets.a.asked).toContain("/nodes/pve1/storage");
    expect(targets.b.asked).not.toContain("/nodes/pve1/storage");
  });

  test("is not on demand where somebody switched it on or off", () => {
    const { source } = opened(
      { a: new FakeEndpoint() },
      { a: { collectors: { storage: true } } },
      {
        "pve-node-rrd": true,
        "pve-backups": false,
      },
    );
    expect(onDemand(source)).toEqual(["pve-guest-fs"]);
  });
});

describe("one target", () => {
  test("has no label cluster", async () => {
    const { lines } = await opened({ home: new FakeEndpoint() }).scrape("status");
    expect(lines).toContain('pve_up{id="node/pve1"} 1');
  });

  test("that is down has no series of its own, and the scrape goes on", async () => {
    for (const failure of [unanswered("connect"), unanswered("tls"), unauthorized()]) {
      const { scrape } = opened({ home: new FakeEndpoint({ "/cluster/status": failure }) });
      const { lines, of, failed } = await scrape("status", "version");
      expect(of("plumbline_pve_target_up")).toEqual(['plumbline_pve_target_up{target="home"} 0']);
      expect(of("plumbline_pve_target_info")).toEqual([]);
      expect(lines.filter((line) => line.startsWith("pve_"))).toEqual([]);
      expect(failed).toEqual(["pve-status", "pve-version"]);
    }
  });
});

describe("several targets", () => {
  test("have the label cluster: as configured, else the cluster's name, else the node's", async () => {
    const alone = new FakeEndpoint({ "/cluster/status": [memberRow("host7", { nodeid: 0, local: 1 })] });
    const targets = { a: named("prod"), b: named("other"), c: alone };
    const { lines } = await opened(targets, { b: { cluster: "mine" } }).scrape("status");
    expect(lines.filter((line) => line.includes('id="node/'))).toEqual([
      'pve_up{cluster="host7",id="node/host7"} 1',
      'pve_up{cluster="mine",id="node/pve1"} 1',
      'pve_up{cluster="prod",id="node/pve1"} 1',
    ]);
  });

  test("of one name go by their own from then on, with one warning", async () => {
    const endpoints = { a: named("pve"), b: named("pve") };
    const { scrape, log } = opened(endpoints);
    const both = ['pve_up{cluster="a",id="node/pve1"} 1', 'pve_up{cluster="b",id="node/pve1"} 1'];
    const nodes = async () => (await scrape("status")).lines.filter((line) => line.includes('id="node/'));
    expect(await nodes()).toEqual(both);
    endpoints.b.answers["/cluster/status"] = [clusterRow({ name: "b2" }), memberRow("pve1", { local: 1 })];
    expect(await nodes()).toEqual(both);
    expect(log.lines.filter(({ message }) => message.includes("called the same"))).toHaveLength(1);
  });

  test("do not take each other along: what one cannot say the others do", async () => {
    const targets = { a: new FakeEndpoint({ "/cluster/status": unanswered() }), b: named("prod") };
    const { of, lines, failed } = await opened(targets).scrape("status");
    expect(of("plumbline_pve_target_up")).toEqual([
      'plumbline_pve_target_up{target="a"} 0',
      'plumbline_pve_target_up{target="b"} 1',
    ]);
    expect(lines).toContain('pve_up{cluster="prod",id="node/pve1"} 1');
    expect(failed).toEqual(["pve-status"]);
  });

  test("are each asked what their own section switches on", async () => {
    const targets = { a: named("a"), b: named("b") };
    const { scrape } = opened(targets, { a: { collectors: { version: false } } });
    const { of } = await scrape("version");
    expect(targets.a.times("/version")).toBe(0);
    expect(of("plumbline_pve_collector_success")).toEqual([
      'plumbline_pve_collector_success{target="b",collector="pve-version"} 1',
    ]);
  });

  test("are asked for what is off by default only where it is switched on", async () => {
    const targets = { a: named("a"), b: named("b") };
    await opened(targets, { a: { collectors: { storage: true } } }).scrape("storage");
    expect([targets.a, targets.b].map((endpoint) => endpoint.times("/nodes/pve1/storage"))).toEqual([1, 0]);
    await opened(targets, {}, { "pve-storage": true }).scrape("storage");
    expect([targets.a, targets.b].map((endpoint) => endpoint.times("/nodes/pve1/storage"))).toEqual([2, 1]);
  });
});

describe("the source", () => {
  const settingsOf = (more: Partial<PveTarget>) => ({ ...NO_PVE, targets: [targetOf(["https://a"], more)] });

  test("describes all collectors under their full names", () => {
    expect(PVE_DESCRIPTIONS.map(({ name }) => name)).toEqual(PVE_COLLECTORS.map(({ name }) => `pve-${name}`));
  });

  test("is off without a target, and cannot be opened", () => {
    for (const { name } of PVE_DESCRIPTIONS) expect(pveAvailability(NO_PVE, name).available).toBe(false);
    expect(() => opened({})).toThrow("pve.targets names no cluster");
  });

  test("is on with a target, but for what costs much, which a target can switch on", () => {
    const off = (more: Partial<PveTarget>) =>
      PVE_DESCRIPTIONS.map(({ name }) => name).filter(
        (name) => !pveAvailability(settingsOf(more), name).available,
      );
    expect(off({})).toEqual(["pve-backups", "pve-node-rrd", "pve-storage", "pve-guest-fs"]);
    expect(off({ collectors: { backups: true, version: false } })).toEqual([
      "pve-version",
      "pve-node-rrd",
      "pve-storage",
      "pve-guest-fs",
    ]);
  });

  test("closes its connections", () => {
    const endpoint = new FakeEndpoint();
    opened({ home: endpoint }).source.close();
    expect(endpoint.isClosed).toBe(true);
  });
});

describe("check", () => {
  const check = async (endpoint: FakeEndpoint, name: string) => {
    const collector = opened({ home: endpoint }).source.collectors.find((found) => found.name === name);
    const context = { signal: new AbortController().signal, deadline: performance.now() + 5000 };
    return collector?.check(context);
  };

  test("says that a collector works", async () => {
    expect(await check(new FakeEndpoint(), "pve-status")).toMatchObject([
      { level: "ok" },
      { level: "ok", message: "works" },
    ]);
  });

  test("says what a collector could not read", async () => {
    const failing = new FakeEndpoint({ "/version": new PveFailure("error", "/version", "500 at /version") });
    expect(await check(failing, "pve-version")).toMatchObject([
      { level: "error", message: "500 at /version" },
    ]);
  });
});
