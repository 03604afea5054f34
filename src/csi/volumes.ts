/** Which device each volume is on: what the kubelet wrote and the mount table in, one discovery out. Reads no file. */
import type { Backing, BlockDevices } from "../host/block-devices.ts";
import type { Mount, MountsBelow } from "../host/mountinfo.ts";
import type { Discovery, SkippedPath, SkipReason, VolumeDevice, VolumeEntry } from "./model.ts";

/** What a volume's entries are held against. */
export interface Host {
  readonly mounts: MountsBelow;
  /** Mounts whose mount point stands directly in one of the entries' `mountParents`, sorted by mount point. */
  readonly mountsIn: (directory: string) => readonly Mount[];
  readonly devices: Pick<BlockDevices, "nameOf" | "exists" | "dmNamed" | "backing">;
  /** `major:minor` of the block device whose node stands at a path; undefined for anything else. */
  readonly nodeNumber: (path: string) => string | undefined;
}

/** All that names one volume: (driver, handle). */
export interface Volume {
  readonly driver: string;
  readonly handle: string;
  readonly entries: readonly VolumeEntry[];
}

/** Where a volume leads: to devices, each with the names of PersistentVolumes that lead there, or nowhere. */
export type Resolution =
  | { readonly devices: ReadonlyMap<string, ReadonlySet<string>> }
  | { readonly skipped: SkippedPath };

/** The entries by volume, each volume once. */
export function volumesOf(entries: readonly VolumeEntry[]): Volume[] {
  const volumes = new Map<string, { driver: string; handle: string; entries: VolumeEntry[] }>();
  for (const entry of entries) {
    const { driver, handle } = entry;
    // The length keeps ("a", "bc") and ("ab", "c") apart, whatever the names hold.
    const key = `${driver.length} ${driver}${handle}`;
    const known = volumes.get(key);
    if (known === undefined) volumes.set(key, { driver, handle, entries: [entry] });
    else known.entries.push(entry);
  }
  return [...volumes.values()];
}

/**
 * The entries of a volume may disagree: a pod may be gone while the volume is still staged. What leads to a device
 * counts; where none does, the reason that says most.
 */
export function resolveVolume({ entries }: Volume, host: Host): Resolution {
  const devices = new Map<string, Set<string>>();
  let skipped: SkippedPath | undefined;
  for (const entry of entries) {
    const lead = leadOf(entry, host);
    if (typeof lead === "string") {
      if (skipped === undefined || weight(lead) < weight(skipped.reason))
        skipped = { path: entry.path, reason: lead };
      continue;
    }
    const names = devices.get(lead.device) ?? new Set();
    devices.set(lead.device, names);
    if (entry.persistentVolume !== undefined) names.add(entry.persistentVolume);
  }
  return devices.size === 0 && skipped !== undefined ? { skipped } : { devices };
}

/** The device of a path below /dev. */
export function deviceAt(path: string, devices: Host["devices"]): string | undefined {
  if (path.startsWith("/dev/mapper/")) return devices.dmNamed(path.slice("/dev/mapper/".length));
  // `/dev/cciss/c0d0` is the device cciss/c0d0.
  const names = [path.slice("/dev/".length), path.slice(path.lastIndexOf("/") + 1)];
  return names.find((name) => devices.exists(name));
}

/**
 * `unnamed`: what is no volume's. Sorted as the exposition sorts, so that it need not; the same for the same host.
 */
export function discoveryOf(
  resolved: ReadonlyMap<Volume, Resolution>,
  unnamed: readonly SkippedPath[],
  backingOf: (device: string) => Backing,
): Discovery {
  const found: VolumeDevice[] = [];
  const skippedPaths = [...unnamed];
  for (const [volume, resolution] of resolved) {
    if ("skipped" in resolution) {
      skippedPaths.push(resolution.skipped);
      continue;
    }
    const volumeDevices = devicesOf(volume, resolution.devices, backingOf);
    found.push(...volumeDevices);
    const path = volume.entries[0]?.path ?? "";
    if (volumeDevices.some(({ backing }) => !backing.complete))
      skippedPaths.push({ path, reason: "backing_unresolved" });
  }
  const skipped = noneSkipped();
  for (const { reason } of skippedPaths) skipped[reason]++;
  return {
    volumes: found.sort(byLabels),
    skipped,
    skippedPaths: skippedPaths.sort((a, b) => compare(a.path, b.path) || compare(a.reason, b.reason)),
  };
}

/**
 * The mounts directly in each of the directories that entries name. Whatever else is mounted is passed over by the
 * length of its directory's path: of ten thousand mounts few are such.
 */
export function mountsByDirectory({ below }: MountsBelow, entries: readonly VolumeEntry[]): Host["mountsIn"] {
  const found = new Map<string, Mount[]>();
  const lengths = new Set<number>();
  for (const { mountParents } of entries) {
    for (const parent of mountParents) {
      found.set(parent, []);
      lengths.add(parent.length);
    }
  }
  for (const mount of below.values()) {
    const length = mount.mountPoint.lastIndexOf("/");
    if (lengths.has(length)) found.get(mount.mountPoint.slice(0, length))?.push(mount);
  }
  for (const mounts of found.values()) mounts.sort((a, b) => compare(a.mountPoint, b.mountPoint));
  return (directory) => found.get(directory) ?? [];
}

type Lead = { readonly device: string } | SkipReason;

/** What the kubelet says itself, then what a mount says, then that there is no mount. */
const BY_WEIGHT: readonly SkipReason[] = [
  "ephemeral",
  "same_filesystem",
  "network_filesystem",
  "virtual_filesystem",
  "unresolved",
  "no_mount",
];
const weight = (reason: SkipReason): number => BY_WEIGHT.indexOf(reason);

function leadOf(entry: VolumeEntry, host: Host): Lead {
  if (entry.ephemeral) return "ephemeral";
  const leadOfMount = entry.kind === "block" ? blockLead : fileSystemLead;
  let reason: SkipReason | undefined;
  for (const mount of mountsOf(entry, host)) {
    const lead = leadOfMount(mount, host);
    if (typeof lead !== "string") return lead;
    if (reason === undefined || weight(lead) < weight(reason)) reason = lead;
  }
  for (const node of entry.deviceNodes) {
    const device = deviceOfNode(node, host);
    if (device !== undefined) return { device };
  }
  return reason ?? "no_mount";
}

function mountsOf({ mountPoints, mountParents }: VolumeEntry, { mounts, mountsIn }: Host): readonly Mount[] {
  const own: Mount[] = [];
  for (const mountPoint of mountPoints) {
    const mount = mounts.below.get(mountPoint);
    if (mount !== undefined) own.push(mount);
  }
  // What is mounted inside of the volume is not the volume.
  return own.length > 0 ? own : mountParents.flatMap((parent) => mountsIn(parent));
}

const NETWORK = new Set([
  "nfs",
  "nfs4",
  "cifs",
  "smb3",
  "ceph",
  "glusterfs",
  "lustre",
  "9p",
  "wekafs",
  "fuse.glusterfs",
]);
/** The source of some of these (`/dev/fuse`) looks like a device. */
const VIRTUAL = /^(?:fuse(?:\..*)?|tmpfs|overlay|zfs)$/;

function fileSystemLead(mount: Mount, host: Host): Lead {
  if (mount.fstype === "devtmpfs") return named(boundDevice(mount, host));
  if (NETWORK.has(mount.fstype)) return "network_filesystem";
  if (isOn(mount, host.mounts.holder)) return "same_filesystem";
  const { devices } = host;
  if (hasNumber(mount)) return named(isDeleted(mount) ? undefined : devices.nameOf(mount.device));
  if (VIRTUAL.test(mount.fstype) || !mount.source.startsWith("/dev/")) return "virtual_filesystem";
  return named(isDeleted(mount) ? undefined : deviceAt(mount.source, devices));
}

/** The device number of the mount is that of the file system which holds the node: the root field is the device. */
function blockLead(mount: Mount, host: Host): Lead {
  const device = boundDevice(mount, host);
  if (device !== undefined) return { device };
  if (NETWORK.has(mount.fstype)) return "network_filesystem";
  return holdsNodes(mount) ? "unresolved" : "virtual_filesystem";
}

const named = (device: string | undefined): Lead => (device === undefined ? "unresolved" : { device });

function boundDevice(mount: Mount, { devices }: Host): string | undefined {
  const name = mount.root.slice(1);
  return name !== "" && !isDeleted(mount) && devices.exists(name) ? name : undefined;
}

/** A path on a file system that may not answer is not looked at. */
function deviceOfNode(path: string, { mounts, devices, nodeNumber }: Host): string | undefined {
  const mount = mounts.below.get(path);
  if (mount !== undefined && (isDeleted(mount) || !holdsNodes(mount))) return undefined;
  const number = nodeNumber(path);
  return number === undefined ? undefined : devices.nameOf(number);
}

const hasNumber = ({ device }: Mount): boolean => !device.startsWith("0:");

/** The node's file is gone, and its number may be another device's by now. */
const isDeleted = ({ root }: Mount): boolean => root.endsWith("//deleted");

/** Whether device nodes are to be expected on it: of devtmpfs, of a container's /dev, or of a disk's file system. */
const holdsNodes = (mount: Mount): boolean =>
  hasNumber(mount) ||
  mount.fstype === "devtmpfs" ||
  mount.fstype === "tmpfs" ||
  (mount.source.startsWith("/dev/") && !VIRTUAL.test(mount.fstype) && !NETWORK.has(mount.fstype));

/** A directory of the disk that holds the kubelet's own files: the volume has no device for itself. */
function isOn(mount: Mount, holder: Mount | undefined): boolean {
  if (holder === undefined) return false;
  return (
    mount.device === holder.device || (mount.source.startsWith("/dev/") && mount.source === holder.source)
  );
}

/** One for each device and name; a device that is led to without a name has those of the volume's other entries. */
function devicesOf(
  { driver, handle, entries }: Volume,
  resolved: ReadonlyMap<string, ReadonlySet<string>>,
  backingOf: (device: string) => Backing,
): VolumeDevice[] {
  return [...resolved].flatMap(([device, own]) => {
    const names = own.size > 0 ? own : namesOf(entries);
    const backing = backingOf(device);
    return Array.from(names, (persistentVolume) => ({ driver, handle, persistentVolume, device, backing }));
  });
}

function namesOf(entries: readonly VolumeEntry[]): Iterable<string> {
  const names = new Set(entries.flatMap(({ persistentVolume }) => persistentVolume ?? []));
  return names.size > 0 ? names : [""];
}

function noneSkipped(): Record<SkipReason, number> {
  return {
    bad_json: 0,
    unreadable: 0,
    unsafe_path: 0,
    no_mount: 0,
    ephemeral: 0,
    same_filesystem: 0,
    network_filesystem: 0,
    virtual_filesystem: 0,
    unresolved: 0,
    backing_unresolved: 0,
  };
}

const byLabels = (a: VolumeDevice, b: VolumeDevice): number =>
  compare(a.driver, b.driver) ||
  compare(a.handle, b.handle) ||
  compare(a.persistentVolume, b.persistentVolume) ||
  compare(a.device, b.device);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
