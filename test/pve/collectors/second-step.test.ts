/** The collectors of the second step against the simulated API, through a round as in a scrape. */
import { describe, expect, test } from "bun:test";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PveCluster, type PveClusterSize } from "../../../src/demo/pve-cluster.ts";
import { AUDITOR, type PveUser } from "../../../src/demo/pve-users.ts";
import { FaultLog } from "../../../src/log/faults.ts";
import type { Log } from "../../../src/log/log.ts";
import { expose } from "../../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../../src/metrics/own.ts";
import { BACKUPS } from "../../../src/pve/collectors/backups.ts";
import { CEPH } from "../../../src/pve/collectors/ceph.ts";
import { CERTIFICATES } from "../../../src/pve/collectors/certificates.ts";
import { GUEST_FS } from "../../../src/pve/collectors/guest-fs.ts";
import { GUEST_MEMORY } from "../../../src/pve/collectors/guest-memory.ts";
import { NETWORK_STATE } from "../../../src/pve/collectors/network-state.ts";
import { NODE_RRD } from "../../../src/pve/collectors/node-rrd.ts";
import { STORAGE } from "../../../src/pve/collectors/storage.ts";
import { ZFS } from "../../../src/pve/collectors/zfs.ts";
import type { PveCollector } from "../../../src/pve/contract.ts";
import { connectWith } from "../../../src/pve/endpoints.ts";
import { TargetRound } from "../../../src/pve/round.ts";
import { Site } from "../../../src/pve/site.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { endpointAt, SECRET, secret } from "../calling.ts";

const COLLECTORS = [
  ...[GUEST_MEMORY, NETWORK_STATE, ZFS, CEPH, CERTIFICATES],
  ...[BACKUPS, NODE_RRD, STORAGE, GUEST_FS],
];
const PHYSICAL_DISKS = { smartIntervalMs: 3_600_000, excludeNodes: [] };

const RIGHTS = ["PVEAuditor", "PlumblineBackup", "VM.Monitor"];
const BACKUP_READER: PveUser = {
  ...AUDITOR,
  acl: { "/": RIGHTS },
  tokens: { metrics: { secret: SECRET, acl: { "/": RIGHTS } } },
};

/** Scrapes one target until nothing slow is left to be read; gives the last scrape. */
async function scraped(size: PveClusterSize, user = BACKUP_READER) {
  const cluster = new PveCluster({ ...size, since: Date.now() });
  await using api = new PveApi(cluster, { users: [user], knobs: { unauthorizedDelayMs: 0 } });
  const { url, tls, timeoutMs } = endpointAt(await api.start());
  const lines: unknown[] = [];
  const write = (...line: unknown[]) => void lines.push(line);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const build = { version: "", revision: "", runtime: "", runtimeVersion: "" };
  const own = new OwnMetrics(build, { processMetrics: false });
  const module = {
    credentials: { kind: "token", user: AUDITOR.name, tokenName: "metrics", secret: secret(SECRET) } as const,
    tls: { caFile: undefined, fingerprint: undefined, ...tls },
    timeoutMs,
  };
  const target = {
    ...{ name: "test", endpoints: [url], cluster: undefined, collectors: {}, configGuestLimit: 500 },
    ...{ module, physicalDisks: PHYSICAL_DISKS },
  };
  const site = new Site(target, connectWith(own, log));
  try {
    for (let read = -1; ; ) {
      const last = await scrape(site, log);
      await site.slow.idle();
      const made = site.slow.saved().filter((reading) => reading.made ?? reading.failed).length;
      if (made === read) return { ...last, log: JSON.stringify(lines) };
      read = made;
    }
  } finally {
    site.close();
  }
}

async function scrape(site: Site, log: Log) {
  const options = {
    ...{ zeroStates: true, deprecatedGauges: true },
    ...{ physicalDisks: PHYSICAL_DISKS, configGuestLimit: 500 },
  };
  const round = new TargetRound(
    site,
    { signal: new AbortController().signal, deadline: performance.now() + 60_000 },
    { way: "metrics", options, faults: new FaultLog(log) },
  );
  const results = await Promise.all(COLLECTORS.map((collector) => round.run(collector)));
  round.close();
  const text = new TextDecoder().decode(
    expose(
      results.map(({ samples }) => samples),
      "text",
    ).body,
  );
  const failed = results.filter(({ success }) => !success).map(({ collector }) => collector.name);
  return { series: seriesOfExposition(text), failed };
}

const namesOf = (series: ReadonlyMap<string, number>): Set<string> =>
  new Set([...series.keys()].map((key) => key.slice(0, key.indexOf("{"))));
const familiesOf = (...collectors: readonly PveCollector[]): string[] =>
  collectors.flatMap(({ descriptors }) => descriptors.map(({ name }) => name));

describe("against a simulated cluster", () => {
  const THREE: PveClusterSize = { nodes: 3, guests: 24, release: "9.2" };

  test("every family of every collector is there, and none fails", async () => {
    const { series, failed } = await scraped(THREE);
    expect(failed).toEqual([]);
    const missing = familiesOf(...COLLECTORS).filter((name) => !namesOf(series).has(name));
    // None is raised.
    expect(missing).toEqual(["pve_ceph_health_check"]);
  }, 30_000);

  test("release 8 has what it has, and none fails", async () => {
    const { series, failed } = await scraped({ ...THREE, release: "8.4" });
    expect(failed).toEqual([]);
    const missing = familiesOf(...COLLECTORS).filter((name) => !namesOf(series).has(name));
    const pressures = familiesOf(NODE_RRD).filter((name) => name.includes("pressure"));
    expect(missing).toEqual([...familiesOf(GUEST_MEMORY), "pve_ceph_health_check", ...pressures]);
  }, 30_000);

  test("a host without a cluster and without Ceph", async () => {
    const { series, failed } = await scraped({ nodes: 1, guests: 6, release: "9.2", standalone: true });
    expect(failed).toEqual([]);
    expect([...namesOf(series)].filter((name) => name.startsWith("pve_ceph"))).toEqual([]);
  }, 30_000);

  test("a guest's age, and one without a backup, are those of the cluster", async () => {
    const { series } = await scraped(THREE);
    const counts = [...series].filter(([key]) => key.startsWith("pve_guest_backups{"));
    const { guests } = new PveCluster(THREE).inventory;
    const without = (id: string) =>
      counts.filter(([key]) => key.includes(`"${id}"`)).every(([, count]) => count === 0);
    expect(guests.filter(({ covered }) => covered).some(({ id }) => without(id))).toBe(false);
    expect(guests.filter(({ covered }) => !covered).every(({ id }) => without(id))).toBe(true);
  }, 30_000);

  test("with PVEAuditor alone backups fail, and say which right is missing where; nothing seems never backed up", async () => {
    const { series, failed, log } = await scraped(THREE, AUDITOR);
    expect(failed).toEqual(["backups"]);
    expect([...namesOf(series)].filter((name) => name.startsWith("pve_guest_backups"))).toEqual([]);
    expect(log).toContain("Datastore.AllocateSpace on /storage/");
    expect(log).toContain("which the role PVEAuditor does not give: see `plumbline check`");
    expect(log).not.toContain(SECRET);
  }, 30_000);
});
