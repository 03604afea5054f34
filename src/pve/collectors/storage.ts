/** Each node's storages as the node itself finds them, from /nodes/NODE/storage. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { addNumber, booleanOf, labelOf, type Row, rowsOf } from "../values.ts";

const LABELS = ["node", "storage", "type"] as const;

const TOTAL = pveGauge("pve_storage_total_bytes", "Size of the storage in bytes", LABELS);
const USED = pveGauge("pve_storage_used_bytes", "Used bytes of the storage", LABELS);
const AVAILABLE = pveGauge("pve_storage_available_bytes", "Free bytes of the storage", LABELS);
const ACTIVE = pveGauge("pve_storage_active", "Whether the node can use the storage", LABELS);
const ENABLED = pveGauge("pve_storage_enabled", "Whether the storage is enabled", LABELS);

/** A hung NFS server holds the whole list up. */
const LIMIT_MS = 5000;

export const STORAGE: PveCollector = {
  name: "storage",
  help: "Storages as each node finds them",
  scope: "node",
  defaults: { pve: false, metrics: false },
  descriptors: [TOTAL, USED, AVAILABLE, ACTIVE, ENABLED],
  always: [],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/storage`;
      addStorages(report, node, rowsOf(await round.get(path, { node, limitMs: LIMIT_MS }), path, report));
    }),
};

function addStorages(report: Report, node: string, rows: readonly Row[]): void {
  const seen = new Set<string>();
  for (const row of rows) {
    const storage = labelOf(report, row["storage"]);
    if (storage === "") report.lose("invalid");
    else if (seen.has(storage)) report.leaveOut("duplicate");
    else addStorage(report, { node, storage, type: labelOf(report, row["type"]) }, row);
    seen.add(storage);
  }
}

function addStorage(
  report: Report,
  labels: { readonly node: string; readonly storage: string; readonly type: string },
  row: Row,
): void {
  const active = booleanOf(row["active"]);
  const enabled = booleanOf(row["enabled"]);
  if (active !== undefined) report.add(ACTIVE, labels, Number(active));
  if (enabled !== undefined) report.add(ENABLED, labels, Number(enabled));
  // Otherwise the sizes are 0, and mean nothing.
  if (active !== true) return;
  addNumber(report, TOTAL, labels, row["total"]);
  addNumber(report, USED, labels, row["used"]);
  addNumber(report, AVAILABLE, labels, row["avail"]);
}
