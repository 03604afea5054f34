/** ZFS pools of each node: health and size, from /nodes/NODE/disks/zfs. Needs Sys.Audit on `/` itself. */
import { StateLabel } from "../../metrics/states.ts";
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { isNotInstalled } from "../optional.ts";
import { addPercentage } from "../percentage.ts";
import { addNumber, labelOf, nameIn, numberOf, type Row, rowsOf } from "../values.ts";

const LABELS = ["node", "pool"] as const;
const HEALTHS = [
  "ONLINE",
  "DEGRADED",
  "FAULTED",
  "OFFLINE",
  "UNAVAIL",
  "REMOVED",
  "SUSPENDED",
  "other",
] as const;

const HEALTH_STATE = pveGauge(
  "pve_zfs_pool_health_state",
  "Health of the ZFS pool, 1 for what `zpool list` calls it or for other, 0 for the rest",
  [...LABELS, "state"],
);
const SIZE = pveGauge("pve_zfs_pool_size_bytes", "Size of the ZFS pool in bytes", LABELS);
const ALLOC = pveGauge("pve_zfs_pool_alloc_bytes", "Allocated bytes of the ZFS pool", LABELS);
const FREE = pveGauge("pve_zfs_pool_free_bytes", "Free bytes of the ZFS pool", LABELS);
const FRAG = pveGauge(
  "pve_zfs_pool_frag_ratio",
  "Fragmentation of the ZFS pool's free space, 0 to 1",
  LABELS,
);
const DEDUP = pveGauge("pve_zfs_pool_dedup_ratio", "Deduplication ratio of the ZFS pool, 1 for none", LABELS);

export const ZFS: PveCollector = {
  name: "zfs",
  help: "Health and size of ZFS pools",
  scope: "node",
  defaults: { pve: false, metrics: true },
  descriptors: [HEALTH_STATE, SIZE, ALLOC, FREE, FRAG, DEDUP],
  always: [],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/disks/zfs`;
      try {
        addPools(report, node, rowsOf(await round.get(path, { node }), path, report));
      } catch (error) {
        if (!isNotInstalled(error)) throw error;
      }
    }),
};

function addPools(report: Report, node: string, rows: readonly Row[]): void {
  const seen = new Set<string>();
  for (const row of rows) {
    const pool = labelOf(report, row["name"]);
    if (pool === "") report.lose("invalid");
    else if (seen.has(pool)) report.leaveOut("duplicate");
    else addPool(report, { node, pool }, row);
    seen.add(pool);
  }
}

const STATES = new StateLabel("state", HEALTHS);

function addPool(report: Report, labels: { readonly node: string; readonly pool: string }, row: Row): void {
  const { health, size, alloc, free, frag, dedup } = row;
  if (typeof health === "string" && health !== "")
    report.addStates(HEALTH_STATE, labels, STATES.only(nameIn(HEALTHS, health) ?? "other"));
  // A pool that cannot be read has the size 0.
  if (numberOf(size) === 0) return;
  addNumber(report, SIZE, labels, size);
  addNumber(report, ALLOC, labels, alloc);
  addNumber(report, FREE, labels, free);
  addPercentage(report, FRAG, labels, frag);
  addNumber(report, DEDUP, labels, dedup);
}
