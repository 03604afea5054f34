/** The Proxmox VE cluster of the demo: three nodes to which, within an hour and again in the next one, most happens. */
import { PveCluster } from "./pve-cluster.ts";
import type { PveEvent, PveHappening } from "./pve-events.ts";

/** One line a thing, for people: what the cluster shows. */
export const LIVING_PVE_SHOWS: readonly (readonly [subject: string, what: string])[] = [
  [
    "pve3",
    "without power from minute 1 to 12: fenced, its HA services recovered elsewhere, later moved back",
  ],
  ["pve2", "in maintenance from minute 18 to 26: its HA services leave and come back"],
  ["pve1 /dev/nvme0n1", "fails SMART from minute 3 to 10; its ZFS pool is degraded"],
  ["the cluster", "without a quorum from minute 44 to 47"],
  ["ct:102", "an HA service in error from minute 50 to 56"],
  ["qemu/103, qemu/107", "not backed up for three days; a backup that failed its verification"],
  ["pve2 /dev/nvme1n1", "6 % of its life remains"],
  ["smb", "not reachable from pve3"],
];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const LIVING_PVE_SIZE = { nodes: 3, guests: 24, storages: 8, release: "9.2", name: "home" } as const;

/** What is so for long. */
const FOR_LONG: readonly PveHappening[] = [
  { atMs: -3 * DAY, kind: "backup", vmid: 103, fails: true },
  { atMs: -30 * DAY, kind: "drive", node: "pve2", devpath: "/dev/nvme1n1", remaining: 6 },
  { atMs: -1 * DAY, kind: "storage", node: "pve3", storage: "smb", available: false },
];

/** What happens in each hour; at its end all is as it was at its beginning. */
const HOURLY: readonly (readonly [minute: number, event: PveEvent])[] = [
  [1, { kind: "node", node: "pve3", condition: "offline" }],
  [3, { kind: "drive", node: "pve1", devpath: "/dev/nvme0n1", health: "FAILED!" }],
  [10, { kind: "drive", node: "pve1", devpath: "/dev/nvme0n1", health: "PASSED" }],
  [12, { kind: "node", node: "pve3", condition: "online" }],
  ...[102, 104, 120, 122].map((vmid) => [14, { kind: "migrate", vmid, to: "pve3" }] as const),
  [18, { kind: "maintenance", node: "pve2", on: true }],
  [26, { kind: "maintenance", node: "pve2", on: false }],
  [44, { kind: "quorum", quorate: false }],
  [47, { kind: "quorum", quorate: true }],
  [50, { kind: "guest", vmid: 102, status: "error" }],
  [56, { kind: "guest", vmid: 102, status: "running" }],
];

/** A node is lost, its services are being recovered, a drive fails, and backups are old. */
export const LIVING_PVE_WORST_MS = 3.2 * MINUTE;

/** Moments of the first hour at each of which something else is to be seen. */
export const LIVING_PVE_MOMENTS: readonly (readonly [name: string, atMs: number])[] = [
  ["all well", 0.5 * MINUTE],
  ["node lost", 1.5 * MINUTE],
  ["node fenced", 2.5 * MINUTE],
  ["services in recovery, and a drive failed", LIVING_PVE_WORST_MS],
  ["services recovered", 5 * MINUTE],
  ["node forgotten by its statistics", 8 * MINUTE],
  ["drive replaced", 11 * MINUTE],
  ["node back", 13 * MINUTE],
  ["services on their way back", 14.1 * MINUTE],
  ["services back", 16 * MINUTE],
  ["maintenance begins", 18.1 * MINUTE],
  ["maintenance", 22 * MINUTE],
  ["maintenance over", 28 * MINUTE],
  ["no quorum", 46 * MINUTE],
  ["quorum back", 48 * MINUTE],
  ["service in error", 53 * MINUTE],
  ["service repaired", 58 * MINUTE],
];

/** For a demo that nobody leaves running for longer. */
const HOURS = 72;

/** `elapsed`: milliseconds since the Unix time `since`. */
export function livingPveCluster(elapsed: () => number, since?: number): PveCluster {
  const happenings = Array.from({ length: HOURS }, (_, hour) =>
    HOURLY.map(([minute, event]) => ({ ...event, atMs: hour * HOUR + minute * MINUTE })),
  ).flat();
  const size = { ...LIVING_PVE_SIZE, ...(since !== undefined && { since }) };
  return new PveCluster(size, { elapsed, happenings: [...FOR_LONG, ...happenings] });
}
