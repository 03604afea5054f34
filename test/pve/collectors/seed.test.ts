/** Nodes, pressure, HA and disks of a simulated cluster, asked over the wire as in a scrape. */
import { describe, expect, test } from "bun:test";
import { PveCluster, type PveClusterSize } from "../../../src/demo/pve-cluster.ts";
import { HA_STATUS } from "../../../src/pve/collectors/ha-status.ts";
import { NODE_STATUS } from "../../../src/pve/collectors/node-status.ts";
import { PHYSICAL_DISKS } from "../../../src/pve/collectors/physical-disks.ts";
import { VM_PRESSURE } from "../../../src/pve/collectors/vm-pressure.ts";
import { SimulatedTarget } from "../simulated-target.ts";

const COLLECTORS = [NODE_STATUS, VM_PRESSURE, HA_STATUS, PHYSICAL_DISKS];
const THREE: PveClusterSize = { nodes: 3, guests: 24, release: "9.2" };
const HOUR_MS = 3_600_000;

const missingOf = (series: ReadonlyMap<string, number>): string[] => {
  const names = new Set([...series.keys()].map((key) => key.slice(0, key.indexOf("{"))));
  return COLLECTORS.flatMap(({ descriptors }) => descriptors.map(({ name }) => name)).filter(
    (name) => !names.has(name),
  );
};
const sleeping = (node: string, devpath: string) =>
  ({ atMs: -1, kind: "drive", node, devpath, sleeps: true }) as const;
const count = (series: ReadonlyMap<string, number>, beginning: string): number =>
  [...series.keys()].filter((key) => key.startsWith(beginning)).length;

describe("the seed's collectors against a simulated cluster", () => {
  test("every family is there on release 9, and none fails", async () => {
    await using target = await SimulatedTarget.start(new PveCluster(THREE));
    const { series, failed } = await target.scrape(COLLECTORS);
    expect(failed).toEqual([]);
    expect(missingOf(series)).toEqual([]);
  });

  test("release 8 has neither pressure, available memory nor an armed state, and none fails", async () => {
    await using target = await SimulatedTarget.start(new PveCluster({ ...THREE, release: "8.4" }));
    const { series, failed } = await target.scrape(COLLECTORS);
    expect(failed).toEqual([]);
    expect(missingOf(series)).toEqual([
      "pve_node_memory_available_bytes",
      ...VM_PRESSURE.descriptors.map(({ name }) => name),
      "pve_ha_armed_state",
    ]);
  });

  test("the calls of a scrape are one, two and one a node, three for HA, and one slow reading", async () => {
    await using target = await SimulatedTarget.start(new PveCluster(THREE));
    await target.scrape(COLLECTORS);
    const asked = [...target.api.requests.counts];
    const of = (pattern: RegExp) =>
      asked.reduce((sum, [path, times]) => sum + (pattern.test(path) ? times : 0), 0);
    expect(of(/^\/nodes\/[^/]+\/status/)).toBe(3);
    expect(of(/^\/nodes\/[^/]+\/(qemu|lxc)$/)).toBe(6);
    expect(of(/^\/cluster\/ha\//)).toBe(3);
    expect(of(/^\/nodes\/[^/]+\/disks\/list/)).toBe(4);
  });
});

describe("drives that sleep", () => {
  const cluster = () =>
    new PveCluster(THREE, { happenings: [sleeping("pve1", "/dev/sdd"), sleeping("pve2", "/dev/sdd")] });

  test("are woken once in an interval, one node in a scrape, and by no other scrape", async () => {
    await using target = await SimulatedTarget.start(cluster(), { knobs: { standbyAfterMs: 0 } });
    const wakeups = () => Object.fromEntries(target.api.wakeups);
    await target.scrape(COLLECTORS);
    expect(wakeups()).toEqual({ "pve1//dev/sdd": 1 });
    for (let scrape = 0; scrape < 5; scrape++) await target.scrape(COLLECTORS);
    expect(wakeups()).toEqual({ "pve1//dev/sdd": 1, "pve2//dev/sdd": 1 });
    target.clock.ms = HOUR_MS;
    const { series } = await target.scrape(COLLECTORS);
    expect(wakeups()).toEqual({ "pve1//dev/sdd": 2, "pve2//dev/sdd": 1 });
    expect(count(series, "pve_physical_disk_health{")).toBe(count(series, "pve_physical_disk_info{"));
  });

  test("do not keep a scrape waiting past its deadline, and are told in a later one", async () => {
    await using target = await SimulatedTarget.start(cluster(), { knobs: { spinUpMs: 800 } });
    const first = await target.scrape([PHYSICAL_DISKS], 400);
    expect(first.failed).toEqual([]);
    expect(count(first.series, "pve_physical_disk_health{")).toBe(0);
    expect(count(first.series, "pve_physical_disk_info{")).toBeGreaterThan(3);
    await target.site.slow.idle();
    const later = await target.scrape([PHYSICAL_DISKS]);
    expect(count(later.series, 'pve_physical_disk_health{devpath="/dev/sdd"')).toBeGreaterThan(0);
  });
});
