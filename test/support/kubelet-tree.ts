/**
 * A kubelet's directory as CSI volumes shape it (pkg/volume/csi of Kubernetes), and the lines of /proc/self/mountinfo
 * that go with it.
 *
 *     const mounts = buildKubelet(root, [
 *       { driver: "d", handle: "h", pv: "pv-1", pods: ["uid-1", "uid-2"], staged: true, mount: { device: "7:0" } },
 *       { kind: "block", driver: "d", handle: "b", pv: "pv-2", pods: ["uid-1"], device: "loop1" },
 *     ]);
 *     writeFileSync(path, mountInfoText([rootMount("254:0"), ...mounts]));
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Mount, MountsBelow } from "../../src/host/mountinfo.ts";

export type Volume = FileSystemVolume | BlockVolume;

interface Identity {
  readonly driver: string;
  readonly handle: string;
  /** Name of the PersistentVolume. */
  readonly pv: string;
  /** UIDs of the pods that use it. */
  readonly pods?: readonly string[];
  /** Takes the place of members of each of its vol_data.json; undefined takes a member out. */
  readonly json?: Readonly<Record<string, unknown>>;
}

export interface FileSystemVolume extends Identity {
  readonly kind?: "filesystem";
  /** Staged as Kubernetes does it since 1.24, or in `pv/<pv>` as before. */
  readonly staged?: boolean | "pv";
  /** The mount is on this child of `globalmount`. */
  readonly stagedChild?: string;
  /** What is mounted for each pod and where it is staged; nothing is where this is missing. */
  readonly mount?: MountedAs;
  /** An inline volume: its mode says so, and `pv` is the pod's name for it. */
  readonly ephemeral?: boolean;
}

export interface BlockVolume extends Identity {
  readonly kind: "block";
  /** Name of the device node that is bound wherever the volume is; nothing is bound where this is missing. */
  readonly device?: string;
  /** `major:minor` of devtmpfs. */
  readonly devtmpfs?: string;
  /** What is bound: everything, unless this says less. */
  readonly binds?: readonly ("staging" | "publish" | "dev")[];
  /** Old kubelets bound to `publish/<spec>` itself. */
  readonly oldPublish?: boolean;
  /** The driver bound to this file in `staging/<spec>`. */
  readonly stagingChild?: string;
}

/** ext4 on the device, all of it, if nothing else is said. */
export type MountedAs = Pick<Mount, "device"> & Partial<Pick<Mount, "root" | "fstype" | "source">>;

/** Makes the directories (`root` as well) and answers the mounts. A volume may be added to a tree that is there already. */
export function buildKubelet(root: string, volumes: readonly Volume[]): Mount[] {
  mkdirSync(join(root, "pods"), { recursive: true });
  return volumes.flatMap((volume) =>
    volume.kind === "block" ? buildBlock(root, volume) : buildFileSystem(root, volume),
  );
}

/** Pods without a volume of CSI. */
export function buildPods(root: string, uids: readonly string[]): void {
  for (const uid of uids) mkdirSync(join(podDirectory(root, uid), "volumes"), { recursive: true });
}

/** Takes a volume away from a pod, or all of a pod if `pv` is missing, as the kubelet does. */
export function removeFromPod(root: string, uid: string, pv?: string): void {
  rmSync(pv === undefined ? podDirectory(root, uid) : publishedDirectory(root, uid, pv), { recursive: true });
}

const podDirectory = (root: string, uid: string): string => join(root, "pods", uid);

/** The volume's directory in a pod: it holds `vol_data.json` and `mount`. */
export const publishedDirectory = (root: string, uid: string, pv: string): string =>
  join(podDirectory(root, uid), "volumes/kubernetes.io~csi", specOf(pv));

/** Holds `vol_data.json` and `globalmount`. */
export const stagedDirectory = (root: string, driver: string, handle: string): string =>
  join(root, "plugins/kubernetes.io/csi", driver, createHash("sha256").update(handle).digest("hex"));

/** The same before Kubernetes 1.24. */
export const oldStagedDirectory = (root: string, pv: string): string =>
  join(root, "plugins/kubernetes.io/csi/pv", pv);

export const volumeDevices = (root: string): string => join(root, "plugins/kubernetes.io/csi/volumeDevices");

/** Holds `data/vol_data.json` and `dev`. */
export const blockDirectory = (root: string, pv: string): string => join(volumeDevices(root), specOf(pv));

/** The directory that the kubelet makes for a name. */
export const specOf = (pv: string): string => pv.replaceAll("/", "~");

function buildFileSystem(root: string, volume: FileSystemVolume): Mount[] {
  const { driver, handle, pv, pods = [], staged = false, stagedChild, mount, ephemeral = false } = volume;
  const mountPoints: string[] = [];
  for (const uid of pods) {
    const directory = publishedDirectory(root, uid, pv);
    writeVolumeData(directory, volume, {
      attachmentID: `csi-${digest(`${handle}/${driver}`)}`,
      driverName: driver,
      nodeName: "node-a",
      specVolID: pv,
      volumeHandle: handle,
      volumeLifecycleMode: ephemeral ? "Ephemeral" : "Persistent",
    });
    mountPoints.push(join(directory, "mount"));
  }
  if (staged !== false) {
    const directory = staged === "pv" ? oldStagedDirectory(root, pv) : stagedDirectory(root, driver, handle);
    writeVolumeData(directory, volume, { driverName: driver, volumeHandle: handle });
    mountPoints.push(join(directory, "globalmount", stagedChild ?? ""));
  }
  for (const mountPoint of mountPoints) mkdirSync(mountPoint, { recursive: true });
  if (mount === undefined) return [];
  return mountPoints.map((mountPoint) => ({
    root: "/",
    fstype: "ext4",
    source: "/dev/sdz",
    ...mount,
    mountPoint,
  }));
}

function buildBlock(root: string, volume: BlockVolume): Mount[] {
  const { driver, handle, pv, pods = [], device, devtmpfs = "0:6" } = volume;
  const { binds = ["staging", "publish", "dev"], oldPublish = false, stagingChild = "" } = volume;
  const directory = blockDirectory(root, pv);
  writeVolumeData(join(directory, "data"), volume, {
    attachmentID: `csi-${digest(`${handle}/${driver}`)}`,
    driverName: driver,
    nodeName: "node-a",
    specVolID: pv,
    volumeHandle: handle,
  });
  mkdirSync(join(directory, "dev"), { recursive: true });
  const publish = join(volumeDevices(root), "publish", specOf(pv));
  const publishedAt = (uid: string) => (oldPublish ? publish : join(publish, uid));
  const nodes = {
    staging: [join(volumeDevices(root), "staging", specOf(pv), stagingChild)],
    publish: [...new Set(pods.map(publishedAt))],
    dev: pods.map((uid) => join(directory, "dev", uid)),
  };
  for (const node of Object.values(nodes).flat()) {
    mkdirSync(dirname(node), { recursive: true });
    writeFileSync(node, "");
  }
  for (const uid of pods) {
    const links = join(podDirectory(root, uid), "volumeDevices/kubernetes.io~csi");
    mkdirSync(links, { recursive: true });
    symlinkSync(publishedAt(uid), join(links, specOf(pv)));
    buildPods(root, [uid]);
  }
  if (device === undefined) return [];
  return binds
    .flatMap((bind) => nodes[bind])
    .map((mountPoint) => ({
      device: devtmpfs,
      root: `/${device}`,
      mountPoint,
      fstype: "devtmpfs",
      source: "devtmpfs",
    }));
}

function writeVolumeData(directory: string, { json }: Identity, members: Record<string, unknown>): void {
  mkdirSync(directory, { recursive: true });
  // As Go's encoder writes it: in the order of the names, with a newline at the end.
  const sorted = Object.entries({ ...members, ...json }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(join(directory, "vol_data.json"), `${JSON.stringify(Object.fromEntries(sorted))}\n`);
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The mount of `/`. */
export const rootMount = (device: string, fstype = "ext4"): Mount => ({
  device,
  root: "/",
  mountPoint: "/",
  fstype,
  source: "/dev/root",
});

/** The lines of a mount table; every second one has two optional fields. */
export function mountInfoText(mounts: readonly Mount[]): string {
  return mounts.map((mount, index) => mountInfoLine(mount, index)).join("");
}

function mountInfoLine({ device, root, mountPoint, fstype, source }: Mount, index: number): string {
  const optional = index % 2 === 0 ? "" : "shared:1 master:2 ";
  const paths = `${escaped(root)} ${escaped(mountPoint)}`;
  return `${index + 20} 1 ${device} ${paths} rw,relatime ${optional}- ${fstype} ${escaped(source)} rw\n`;
}

/** As mangle_path() of the kernel does it. */
const escaped = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);

/** What a reader of the mount table answers for `directory`. */
export function mountsBelow(mounts: readonly Mount[], directory: string): MountsBelow {
  const within = (path: string, parent: string) => path === parent || path.startsWith(`${parent}/`);
  const below = mounts.filter(({ mountPoint }) => within(mountPoint, directory));
  const holder = mounts
    .filter(({ mountPoint }) => mountPoint === "/" || within(directory, mountPoint))
    .reduce<Mount | undefined>(
      (best, mount) =>
        best === undefined || mount.mountPoint.length >= best.mountPoint.length ? mount : best,
      undefined,
    );
  return { holder, below: new Map(below.map((mount) => [mount.mountPoint, mount])) };
}
