/**
 * The Kubernetes side of the demo's host: CSI volumes of many drivers, each on another kind of device, and what goes
 * wrong with them. All of it is a function of the moment.
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { Mount } from "../host/mountinfo.ts";
import { addBlockDevices, type BlockDevice, deviceNumberOf } from "./block-devices.ts";
import type { Disk, DiskLoad } from "./disk-statistics.ts";
import type { FileTree } from "./file-tree.ts";
import { addKubelet, type MountedAs, rootMount, type Volume } from "./kubelet-tree.ts";
import { uuidOf } from "./made-up-uuid.ts";
import { activeSeconds, isActive } from "./nvme-recording.ts";

/** One line a PersistentVolume, for people: what the simulation shows. */
export const LIVING_NODE_SHOWS: readonly (readonly [persistentVolume: string, what: string])[] = [
  ["data-postgres-0", "the EBS volume nvme1n1, throttled as nvme1 is"],
  ["warehouse", "a partition of the EBS volume nvme2n1"],
  ["orders", "the NVMe over TCP namespace nvme7n1, which loses its second path"],
  ["ledger", "LUKS on the multipath device dm-0, whose path sdb is offline for 40 s in every two minutes"],
  ["media", "the multipath device dm-2, in use by two pods"],
  ["archive", "a logical volume over nvme5n1, worn out, and nvme6n1, too hot"],
  ["vm-disk", "rbd0 as a raw block device for a virtual machine"],
  ["backups", "btrfs on sde"],
  ["(unknown)", "a volume staged on sdf that no pod uses"],
  ["report-1, …", "the volume of a job, another one each minute: for 35 s there is one"],
  ["home, models", "NFS and S3: no block device, skipped"],
  ["secrets, cache", "an inline volume, and one on the node's own disk: skipped"],
  ["left-behind", "an orphan, described but not mounted: skipped"],
];

/** What is another at another time. */
export interface Moment {
  /** The path sdb of a multipath device is offline. */
  readonly failedPath: boolean;
  /** The second controller of an NVMe subsystem connects anew. */
  readonly lostController: boolean;
  /** The job that runs, by its number: its volume is mounted a little after it is described, and unmounted before. */
  readonly job: { readonly number: number; readonly mounted: boolean } | undefined;
}

const PATH_FAILS = { everySeconds: 120, forSeconds: 40, afterSeconds: 30 };
/** For longer than the alert about it waits (deploy/prometheus/csi.rules.yml). */
const CONTROLLER_LOST = { everySeconds: 720, forSeconds: 420, afterSeconds: 60 };
const JOB_RUNS = { everySeconds: 60, forSeconds: 37, afterSeconds: 15 };
const JOB_MOUNTED = { everySeconds: 60, forSeconds: 33, afterSeconds: 17 };

export function momentAt(seconds: number): Moment {
  const { afterSeconds, everySeconds } = JOB_RUNS;
  const number = Math.floor((seconds - afterSeconds) / everySeconds) + 1;
  return {
    failedPath: isActive(PATH_FAILS, seconds),
    lostController: isActive(CONTROLLER_LOST, seconds),
    job: isActive(JOB_RUNS, seconds) ? { number, mounted: isActive(JOB_MOUNTED, seconds) } : undefined,
  };
}

const ROOT_DEVICE = "nvme0n1p1";

/** Adds the block devices beside the NVMe controllers to a tree that has /sys as its root. */
export function addNodeDevices(sysfs: FileTree, moment: Moment): void {
  addBlockDevices(sysfs, [...DISKS, ...pathsOf(moment), ...STACKED, ...jobDevices(moment)]);
}

/** Adds the volumes to a tree that shall stand at `root`, the kubelet's directory; answers the node's mount table. */
export function addNodeVolumes(tree: FileTree, root: string, sysfs: FileTree, moment: Moment): Mount[] {
  const on = (name: string, fstype = "ext4", source = `/dev/${name}`): MountedAs => ({
    device: deviceNumberOf(sysfs, name),
    fstype,
    source,
  });
  const volumes = [...mappedVolumes(on), ...skippedVolumes(on), ...jobVolumes(on, moment)];
  const mounts = addKubelet(tree, root, volumes);
  return [
    { ...rootMount(deviceNumberOf(sysfs, ROOT_DEVICE)), source: `/dev/${ROOT_DEVICE}` },
    { device: "0:21", root: "/", mountPoint: "/proc", fstype: "proc", source: "proc" },
    { device: "0:22", root: "/", mountPoint: "/sys", fstype: "sysfs", source: "sysfs" },
    { device: "0:6", root: "/", mountPoint: "/dev", fstype: "devtmpfs", source: "devtmpfs" },
    ...mounts,
  ];
}

/** How busy each block device of the tree has been since the demo began. */
export function disksAt(sysfs: FileTree, seconds: number): Disk[] {
  const numbered = [...sysfs.entries.keys()].flatMap((path) => /^dev\/block\/(.+)$/.exec(path)?.[1] ?? []);
  return numbered.map((dev) => {
    const name = posix.basename(sysfs.linked(`dev/block/${dev}`) ?? "");
    return { name, dev, load: LOADS[name], seconds: busySeconds(name, seconds) };
  });
}

const DATABASE = { readsPerSecond: 1900, writesPerSecond: 1100, bytesEach: 16_384 };
const WAREHOUSE = { readsPerSecond: 300, writesPerSecond: 240, bytesEach: 131_072 };
const ORDERS = { readsPerSecond: 300, writesPerSecond: 160, bytesEach: 65_536 };
const LEDGER = { readsPerSecond: 240, writesPerSecond: 420, bytesEach: 8192 };
const MEDIA = { readsPerSecond: 110, writesPerSecond: 30, bytesEach: 262_144 };
const ARCHIVE = { readsPerSecond: 60, writesPerSecond: 180, bytesEach: 65_536 };
const VIRTUAL_MACHINE = { readsPerSecond: 90, writesPerSecond: 140, bytesEach: 4096 };
const BACKUPS = { readsPerSecond: 2, writesPerSecond: 75, bytesEach: 524_288 };
const JOB = { readsPerSecond: 700, writesPerSecond: 900, bytesEach: 16_384 };

const half = ({ readsPerSecond, writesPerSecond, bytesEach }: DiskLoad): DiskLoad => {
  return { readsPerSecond: readsPerSecond / 2, writesPerSecond: writesPerSecond / 2, bytesEach };
};

const LOADS: Readonly<Record<string, DiskLoad>> = {
  nvme0n1: { readsPerSecond: 4, writesPerSecond: 22, bytesEach: 8192 },
  [ROOT_DEVICE]: { readsPerSecond: 4, writesPerSecond: 22, bytesEach: 8192 },
  nvme1n1: DATABASE,
  nvme2n1: WAREHOUSE,
  nvme2n1p1: WAREHOUSE,
  nvme7n1: ORDERS,
  "dm-1": LEDGER,
  "dm-0": LEDGER,
  sda: half(LEDGER),
  sdb: half(LEDGER),
  "dm-2": MEDIA,
  sdc: half(MEDIA),
  sdd: half(MEDIA),
  "dm-3": ARCHIVE,
  nvme5n1: half(ARCHIVE),
  nvme6n1: half(ARCHIVE),
  rbd0: VIRTUAL_MACHINE,
  sde: BACKUPS,
  "dm-4": JOB,
};

function busySeconds(name: string, seconds: number): number {
  if (name === "sdb") return seconds - activeSeconds(PATH_FAILS, seconds);
  // Each job has a device of its own that begins at 0.
  if (name === "dm-4")
    return isActive(JOB_RUNS, seconds) ? (seconds - JOB_RUNS.afterSeconds) % JOB_RUNS.everySeconds : 0;
  return seconds;
}

const GIB_SECTORS = 2n * 1024n ** 2n;

const DISKS: readonly BlockDevice[] = [
  { name: ROOT_DEVICE, dev: "259:64", partitionOf: "nvme0n1", sectors: 29n * GIB_SECTORS },
  { name: "nvme2n1p1", dev: "259:65", partitionOf: "nvme2n1", sectors: 2047n * GIB_SECTORS },
  { name: "rbd0", dev: "252:0", sectors: 64n * GIB_SECTORS },
  { name: "sde", dev: "8:64", sectors: 200n * GIB_SECTORS, scsi: { address: "4:0:0:1" } },
  { name: "sdf", dev: "8:80", sectors: 20n * GIB_SECTORS, scsi: { address: "5:0:0:1" } },
];

const LEDGER_SECTORS = 100n * GIB_SECTORS;
const MEDIA_SECTORS = 800n * GIB_SECTORS;

/** Two SCSI hosts lead to one array with two units. */
function pathsOf({ failedPath }: Moment): BlockDevice[] {
  const state = failedPath ? "offline" : "running";
  return [
    { name: "sda", dev: "8:0", sectors: LEDGER_SECTORS, scsi: { address: "2:0:0:1" } },
    { name: "sdb", dev: "8:16", sectors: LEDGER_SECTORS, scsi: { address: "3:0:0:1", state } },
    { name: "sdc", dev: "8:32", sectors: MEDIA_SECTORS, scsi: { address: "2:0:0:2" } },
    { name: "sdd", dev: "8:48", sectors: MEDIA_SECTORS, scsi: { address: "3:0:0:2" } },
  ];
}

const STACKED: readonly BlockDevice[] = [
  {
    name: "dm-0",
    dev: "253:0",
    sectors: LEDGER_SECTORS,
    slaves: ["sda", "sdb"],
    dm: { name: "mpatha", uuid: "mpath-3600a09803830436a5a2b4d6f51734c41" },
  },
  {
    name: "dm-1",
    dev: "253:1",
    sectors: LEDGER_SECTORS - 32_768n,
    slaves: ["dm-0"],
    dm: { name: "luks-ledger", uuid: "CRYPT-LUKS2-0d3f6a2b8c1e4f5791b2c3d4e5f60718-luks-ledger" },
  },
  {
    name: "dm-2",
    dev: "253:2",
    sectors: MEDIA_SECTORS,
    slaves: ["sdc", "sdd"],
    dm: { name: "mpathb", uuid: "mpath-360002ac0000000000000004a0001d2f4" },
  },
  {
    name: "dm-3",
    dev: "253:3",
    sectors: 900n * GIB_SECTORS,
    slaves: ["nvme5n1", "nvme6n1"],
    dm: {
      name: "storage-archive",
      uuid: "LVM-3pQ8vXcWm2Kf7sTzYbNr4LdGhJ6aEoUiZ1x9R5tMwVqSyBkCnPgDfHjLuAeI",
    },
  },
];

function jobDevices({ job }: Moment): BlockDevice[] {
  if (job === undefined) return [];
  const name = `scratch-${jobVolume(job.number)}`;
  const uuid = `LVM-${digest("scratch").slice(0, 32)}${digest(name).slice(0, 32)}`;
  return [
    {
      name: "dm-4",
      dev: "253:4",
      sectors: 50n * GIB_SECTORS,
      slaves: ["nvme3n1"],
      dm: { name: name.replaceAll("-", "--"), uuid },
    },
  ];
}

type On = (device: string, fstype?: string, source?: string) => MountedAs;

function mappedVolumes(on: On): Volume[] {
  return [
    {
      driver: "ebs.csi.aws.com",
      handle: "vol-0123456789abcdef0",
      pv: "data-postgres-0",
      pods: [uuidOf("postgres-0")],
      staged: true,
      mount: on("nvme1n1"),
    },
    {
      driver: "ebs.csi.aws.com",
      handle: "vol-0fedcba9876543210",
      pv: "warehouse",
      pods: [uuidOf("clickhouse-0")],
      staged: true,
      mount: on("nvme2n1p1", "xfs"),
    },
    {
      driver: "io.openebs.csi-mayastor",
      handle: "7e5c1a52-1f0b-4c39-9d2e-6b8f0a3d4c21",
      pv: "orders",
      pods: [uuidOf("orders-0")],
      staged: true,
      mount: on("nvme7n1", "xfs"),
    },
    {
      driver: "csi.trident.netapp.io",
      handle: "pvc-5b1d0f7e-ledger",
      pv: "ledger",
      pods: [uuidOf("ledger-0")],
      staged: true,
      mount: on("dm-1", "ext4", "/dev/mapper/luks-ledger"),
    },
    {
      driver: "csi.hpe.com",
      handle: "0600a1b2c3d4e5f6070000000000000000000004a",
      pv: "media",
      pods: [uuidOf("encoder-a"), uuidOf("encoder-b")],
      staged: true,
      stagedChild: "mount",
      mount: on("dm-2", "xfs", "/dev/mapper/mpathb"),
    },
    {
      driver: "topolvm.io",
      handle: "a90e3b6c-archive",
      pv: "archive",
      pods: [uuidOf("archiver-0")],
      mount: on("dm-3", "xfs", "/dev/topolvm/archive"),
    },
    {
      kind: "block",
      driver: "rook-ceph.rbd.csi.ceph.com",
      handle: "0001-0009-rook-ceph-0000000000000002-vm-disk",
      pv: "vm-disk",
      pods: [uuidOf("virt-launcher-vm")],
      stagingChild: "0001-0009-rook-ceph-0000000000000002-vm-disk",
      device: "rbd0",
    },
    {
      driver: "csi.hetzner.cloud",
      handle: "98765432",
      pv: "backups",
      pods: [uuidOf("backup-0")],
      staged: true,
      // btrfs shows a device number of its own.
      mount: { device: "0:45", fstype: "btrfs", source: "/dev/sde" },
    },
    {
      driver: "csi.vsphere.vmware.com",
      handle: "6f1c2b3a-4d5e-4f60-8718-293a4b5c6d7e",
      // The kubelet does not write it where it stages.
      pv: "staged-only",
      staged: true,
      mount: on("sdf"),
    },
  ];
}

function skippedVolumes(on: On): Volume[] {
  return [
    {
      driver: "nfs.csi.k8s.io",
      handle: "192.0.2.20#export/home#home##",
      pv: "home",
      pods: [uuidOf("shell-0")],
      mount: { device: "0:61", fstype: "nfs4", source: "192.0.2.20:/export/home" },
    },
    {
      driver: "s3.csi.aws.com",
      handle: "example-models",
      pv: "models",
      pods: [uuidOf("inference-0")],
      mount: { device: "0:62", fstype: "fuse", source: "mountpoint-s3" },
    },
    {
      driver: "secrets-store.csi.k8s.io",
      handle: `csi-${digest("secrets")}`,
      pv: "secrets",
      pods: [uuidOf("web-0")],
      ephemeral: true,
      mount: { device: "0:63", fstype: "tmpfs", source: "tmpfs" },
    },
    {
      driver: "hostpath.csi.k8s.io",
      handle: "3c0ffee0-cache",
      pv: "cache",
      pods: [uuidOf("web-0")],
      mount: { ...on(ROOT_DEVICE), root: "/var/lib/csi-hostpath-data/3c0ffee0-cache" },
    },
    {
      driver: "ebs.csi.aws.com",
      handle: "vol-0000000000000dead",
      pv: "left-behind",
      pods: [uuidOf("gone-0")],
    },
  ];
}

function jobVolumes(on: On, { job }: Moment): Volume[] {
  if (job === undefined) return [];
  const pv = jobVolume(job.number);
  return [
    {
      driver: "topolvm.io",
      handle: digest(pv).slice(0, 32),
      pv,
      pods: [uuidOf(pv)],
      ...(job.mounted && { mount: on("dm-4", "ext4", `/dev/topolvm/${pv}`) }),
    },
  ];
}

const jobVolume = (number: number): string => `report-${number}`;

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
