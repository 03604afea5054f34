/** Load, swap, root file system and boot mode of each node, from /nodes/NODE/status. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { addNumber, booleanOf, labelOf, partOf, type Row, rowOf } from "../values.ts";

const LABELS = ["node"] as const;

const LOAD1 = pveGauge("pve_node_load1", "1-minute load average", LABELS);
const LOAD5 = pveGauge("pve_node_load5", "5-minute load average", LABELS);
const LOAD15 = pveGauge("pve_node_load15", "15-minute load average", LABELS);
const SWAP_TOTAL = pveGauge("pve_node_swap_total_bytes", "Total swap in bytes", LABELS);
const SWAP_USED = pveGauge("pve_node_swap_used_bytes", "Used swap in bytes", LABELS);
const SWAP_FREE = pveGauge("pve_node_swap_free_bytes", "Free swap in bytes", LABELS);
const ROOTFS_TOTAL = pveGauge("pve_node_rootfs_total_bytes", "Root filesystem total in bytes", LABELS);
const ROOTFS_USED = pveGauge("pve_node_rootfs_used_bytes", "Root filesystem used in bytes", LABELS);
const ROOTFS_AVAILABLE = pveGauge(
  "pve_node_rootfs_available_bytes",
  "Root filesystem available in bytes",
  LABELS,
);
const KSM_SHARED = pveGauge("pve_node_ksm_shared_bytes", "KSM shared memory in bytes", LABELS);
const MEMORY_AVAILABLE = pveGauge(
  "pve_node_memory_available_bytes",
  "Memory of the node that programs can still have, in bytes; since Proxmox VE 9",
  LABELS,
);
const BOOT_MODE = pveGauge("pve_node_boot_mode_info", "Boot mode info (always 1)", [
  ...LABELS,
  "mode",
  "secureboot",
]);

export const NODE_STATUS: PveCollector = {
  name: "node-status",
  help: "Load, swap, root file system and boot mode of nodes",
  scope: "node",
  defaults: { pve: false, metrics: true },
  descriptors: [
    LOAD1,
    LOAD5,
    LOAD15,
    SWAP_TOTAL,
    SWAP_USED,
    SWAP_FREE,
    ROOTFS_TOTAL,
    ROOTFS_USED,
    ROOTFS_AVAILABLE,
    KSM_SHARED,
    MEMORY_AVAILABLE,
    BOOT_MODE,
  ],
  always: [],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/status`;
      addNode(report, node, rowOf(await round.get(path, { node }), path));
    }),
};

function addNode(report: Report, node: string, status: Row): void {
  const labels = { node };
  const [load1, load5, load15] = loadsOf(report, status["loadavg"]);
  addNumber(report, LOAD1, labels, load1);
  addNumber(report, LOAD5, labels, load5);
  addNumber(report, LOAD15, labels, load15);
  const swap = partOf(report, status["swap"]);
  addNumber(report, SWAP_TOTAL, labels, swap["total"]);
  addNumber(report, SWAP_USED, labels, swap["used"]);
  addNumber(report, SWAP_FREE, labels, swap["free"]);
  const rootfs = partOf(report, status["rootfs"]);
  addNumber(report, ROOTFS_TOTAL, labels, rootfs["total"]);
  addNumber(report, ROOTFS_USED, labels, rootfs["used"]);
  // `free` also counts what is reserved for root.
  addNumber(report, ROOTFS_AVAILABLE, labels, rootfs["avail"]);
  addNumber(report, KSM_SHARED, labels, partOf(report, status["ksm"])["shared"]);
  addNumber(report, MEMORY_AVAILABLE, labels, partOf(report, status["memory"])["available"]);
  addBootMode(report, node, partOf(report, status["boot-info"]));
}

function addBootMode(report: Report, node: string, boot: Row): void {
  const mode = labelOf(report, boot["mode"]);
  if (mode === "") return;
  // Not there on a legacy BIOS, or where the EFI variables cannot be read.
  const isSecure = booleanOf(boot["secureboot"]);
  report.add(BOOT_MODE, { node, mode, secureboot: isSecure === undefined ? "" : isSecure ? "1" : "0" }, 1);
}

function loadsOf(report: Report, loadavg: unknown): readonly unknown[] {
  if (Array.isArray(loadavg)) return loadavg;
  if (loadavg !== undefined && loadavg !== null) report.lose("invalid");
  return [];
}
