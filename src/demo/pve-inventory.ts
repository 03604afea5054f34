/** What a simulated Proxmox VE cluster consists of, before anything befalls it: nodes, guests, storages, drives. */
import { chance, picked } from "./pve-chance.ts";
import type { PveClusterSize } from "./pve-cluster.ts";

export interface Inventory {
  readonly nodes: readonly NodePlan[];
  readonly guests: readonly GuestPlan[];
  readonly storages: readonly StoragePlan[];
  /** By node, in the order of their names. */
  readonly drives: ReadonlyMap<string, readonly DrivePlan[]>;
}

export interface NodePlan {
  readonly name: string;
  readonly nodeid: number;
  readonly ip: string;
  readonly release: 8 | 9;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly rootBytes: number;
  readonly swapBytes: number;
  /** Undefined: no key boot-info. */
  readonly boot: { readonly mode: "efi" | "legacy-bios"; readonly secureboot?: boolean } | undefined;
  /** Of its subscription; "" without one. */
  readonly level: "" | "c";
  /** Seconds before the moment 0 at which it booted. */
  readonly upSeconds: number;
}

export interface GuestPlan {
  readonly vmid: number;
  readonly type: "qemu" | "lxc";
  /** `qemu/100`. */
  readonly id: string;
  readonly name: string;
  readonly node: string;
  readonly template: boolean;
  readonly runs: boolean;
  /** The state that HA is asked for; undefined: HA does not care for it. */
  readonly ha: "started" | "stopped" | "ignored" | undefined;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly tags: string | undefined;
  readonly pool: string | undefined;
  readonly onboot: boolean | undefined;
  readonly agent: boolean;
  /** By a backup job. */
  readonly covered: boolean;
  /** It is backed up by a job of its own, not by the one for all. */
  readonly ownJob: boolean;
  readonly replicatesTo: string | undefined;
  readonly upSeconds: number;
  /** Share of its CPUs, in the middle. */
  readonly load: number;
  /** In bytes a second. */
  readonly rates: {
    readonly netin: number;
    readonly netout: number;
    readonly diskread: number;
    readonly diskwrite: number;
  };
  readonly phase: number;
}

export interface StoragePlan {
  readonly id: string;
  readonly type: string;
  readonly content: readonly string[];
  readonly shared: boolean;
  readonly sizeBytes: number;
  readonly usedShare: number;
}

export interface DrivePlan {
  readonly devpath: string;
  readonly type: "nvme" | "ssd" | "hdd" | "usb" | "unknown";
  readonly rpm: number;
  readonly vendor: string;
  readonly model: string;
  readonly serial: string;
  readonly wwn: string;
  readonly sizeBytes: number;
  readonly gpt: boolean;
  /** Undefined: it is free. */
  readonly used: string | undefined;
  readonly osds: readonly string[];
  /** The word of smartctl. */
  readonly health: string;
  /** Percentage of its life that remains; undefined: it does not tell. */
  readonly remaining: number | undefined;
  readonly zfsPool: string | undefined;
}

const GIB = 1024 ** 3;
const DAY = 24 * 3600;

export function inventoryOf(size: PveClusterSize): Inventory {
  const nodes = numbers(size.nodes).map((i) => nodePlan(i, size));
  const guests = numbers(size.guests).map((i) => guestPlan(i, nodes, size));
  return {
    nodes,
    guests,
    storages: STORAGES.slice(0, size.storages ?? 4),
    drives: new Map(nodes.map((node) => [node.name, drivesOf(node, size)])),
  };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const hasHa = ({ ha, nodes }: PveClusterSize): boolean => ha ?? nodes > 1;
export const hasCeph = ({ ceph, nodes }: PveClusterSize): boolean => ceph ?? nodes >= 3;

function nodePlan(i: number, { seed = 1, release, standalone }: PveClusterSize): NodePlan {
  const nodeRelease = release === "9.2" || (release === "mixed" && i % 2 === 0) ? 9 : 8;
  const share = chance(seed, "node", i);
  return {
    name: `pve${i + 1}`,
    nodeid: standalone === true ? 0 : i + 1,
    ip: `192.0.2.${11 + (i % 200)}`,
    release: nodeRelease,
    cores: picked([16, 32, 64], share),
    memoryBytes: picked([64, 128, 256], share) * GIB,
    rootBytes: 94 * GIB,
    // Many a node goes without swap.
    swapBytes: i % 3 === 1 ? 0 : 8 * GIB,
    boot: bootOf(i, nodeRelease),
    level: i === 0 ? "c" : "",
    upSeconds: Math.floor((20 + 60 * share) * DAY),
  };
}

function bootOf(i: number, release: 8 | 9): NodePlan["boot"] {
  if (release === 8 && i % 4 === 3) return undefined;
  return i % 2 === 0 ? { mode: "efi", secureboot: i % 4 === 0 } : { mode: "legacy-bios" };
}

const ROLES = ["web", "db", "mail", "files", "ci", "proxy", "dns", "cache"] as const;

function guestPlan(i: number, nodes: readonly NodePlan[], size: PveClusterSize): GuestPlan {
  const { seed = 1 } = size;
  const vmid = 100 + i;
  const share = chance(seed, "guest", i);
  const rate = (word: string, highest: number) => Math.floor(highest * chance(seed, word, i) ** 3);
  const type = i % 3 === 2 ? "lxc" : "qemu";
  const template = i % 25 === 24;
  // Not every container on the same node.
  const at = (i + Math.floor(i / nodes.length)) % nodes.length;
  const here = nodes[at]?.name ?? "";
  const next = nodes[(at + 1) % nodes.length]?.name ?? "";
  const replicates = nodes.length > 1 && i % 5 === 1 && !template;
  return {
    vmid,
    type,
    id: `${type}/${vmid}`,
    name: template ? `template-${vmid}` : `${picked(ROLES, share)}-${vmid}`,
    node: here,
    template,
    runs: !template && i % 11 !== 10,
    ha: hasHa(size) && !template && !replicates && i % 2 === 0 ? requested(i) : undefined,
    cpus: picked([1, 2, 4, 8], share),
    memoryBytes: picked([1, 2, 4, 8, 16], share) * GIB,
    diskBytes: picked([8, 32, 64, 128, 500], share) * GIB,
    tags: i % 4 === 0 ? "prod;tier-1" : i % 4 === 1 ? "test" : undefined,
    pool: i % 6 < 2 ? `team-${"ab"[i % 2]}` : undefined,
    onboot: i % 7 === 6 ? undefined : i % 7 !== 5,
    agent: type === "qemu" && i % 2 === 0,
    covered: !template && i % 9 !== 8,
    ownJob: i % 4 === 3,
    replicatesTo: replicates ? next : undefined,
    upSeconds: Math.floor(40 * DAY * share),
    load: 0.02 + 0.4 * share ** 2,
    rates: {
      netin: rate("netin", 20e6),
      netout: rate("netout", 20e6),
      diskread: rate("diskread", 80e6),
      diskwrite: rate("diskwrite", 60e6),
    },
    phase: share,
  };
}

const requested = (i: number): GuestPlan["ha"] =>
  i % 14 === 12 ? "ignored" : i % 11 === 10 ? "stopped" : "started";

const TIB = 1024 * GIB;

function share(id: string, type: string, content: string, tib: number, usedShare: number): StoragePlan {
  return { id, type, content: content.split(","), shared: true, sizeBytes: tib * TIB, usedShare };
}

const STORAGES: readonly StoragePlan[] = [
  {
    id: "local",
    type: "dir",
    content: ["iso", "vztmpl", "backup"],
    shared: false,
    sizeBytes: 94 * GIB,
    usedShare: 0.26,
  },
  {
    id: "local-zfs",
    type: "zfspool",
    content: ["images", "rootdir"],
    shared: false,
    sizeBytes: 3 * TIB,
    usedShare: 0.48,
  },
  share("pbs", "pbs", "backup", 40, 0.61),
  share("nfs-1", "nfs", "images,rootdir,iso", 20, 0.72),
  share("ceph-vm", "rbd", "images,rootdir", 30, 0.35),
  share("cephfs", "cephfs", "iso,vztmpl,snippets", 5, 0.1),
  share("nfs-2", "nfs", "backup,vztmpl", 12, 0.55),
  share("smb", "cifs", "iso", 4, 0.9),
  share("iscsi-lvm", "lvm", "images,rootdir", 8, 0.8),
  share("nfs-3", "nfs", "images", 16, 0.33),
  share("pbs-offsite", "pbs", "backup", 60, 0.4),
  share("nfs-4", "nfs", "iso,snippets", 2, 0.05),
];

/** Two for the system, then those of Ceph or a pool of their own. */
function drivesOf({ name, nodeid }: NodePlan, size: PveClusterSize): DrivePlan[] {
  const { seed = 1, drivesPerNode = 4 } = size;
  return numbers(drivesPerNode).map((i) => {
    const kind = KINDS[i % KINDS.length] ?? NVME;
    const serial = Math.floor(chance(seed, "serial", name, i) * 16 ** 8)
      .toString(16)
      .toUpperCase()
      .padStart(8, "0");
    const osd = hasCeph(size) && i >= 2 ? [`${(Math.max(nodeid, 1) - 1) * (drivesPerNode - 2) + i - 2}`] : [];
    const zfsPool = i < 2 ? "rpool" : osd.length === 0 ? "tank" : undefined;
    return {
      ...kind,
      devpath: kind.type === "nvme" ? `/dev/nvme${i}n1` : `/dev/sd${letters(i)}`,
      serial: `EX${serial}`,
      wwn: kind.type === "usb" ? "unknown" : `0x5000c500${serial.toLowerCase()}`,
      gpt: i < 2,
      used: i < 2 ? "ZFS" : osd.length > 0 ? "LVM" : i % 8 === 7 ? undefined : "ZFS",
      osds: osd,
      zfsPool: i >= 2 && i % 8 === 7 ? undefined : zfsPool,
      remaining: kind.remaining && Math.round(kind.remaining - 20 * chance(seed, "worn", name, i)),
    };
  });
}

const letters = (i: number): string => {
  const last = String.fromCharCode(97 + (i % 26));
  return i < 26 ? last : `${letters(Math.floor(i / 26) - 1)}${last}`;
};

type DriveKind = Pick<DrivePlan, "type" | "rpm" | "vendor" | "model" | "sizeBytes" | "health" | "remaining">;

const NVME: DriveKind = {
  type: "nvme",
  rpm: 0,
  vendor: "unknown",
  model: "Example Datacenter SSD 2TB",
  sizeBytes: 2_000_398_934_016,
  health: "PASSED",
  remaining: 100,
};
const KINDS: readonly DriveKind[] = [
  NVME,
  NVME,
  {
    type: "ssd",
    rpm: 0,
    vendor: "ATA     ",
    model: "Example_SATA_SSD_960G",
    sizeBytes: 960_197_124_096,
    health: "PASSED",
    remaining: 98,
  },
  {
    type: "hdd",
    rpm: 7200,
    vendor: "ATA     ",
    model: "Example_HDD_8TB",
    sizeBytes: 8_001_563_222_016,
    health: "PASSED",
    remaining: undefined,
  },
  {
    type: "unknown",
    rpm: -1,
    vendor: "EXAMPLE ",
    model: "SAS10K-1200",
    sizeBytes: 1_200_243_695_616,
    health: "OK",
    remaining: undefined,
  },
  {
    type: "usb",
    rpm: -1,
    vendor: "Example ",
    model: "Stick",
    sizeBytes: 15_931_539_456,
    health: "UNKNOWN",
    remaining: undefined,
  },
];
