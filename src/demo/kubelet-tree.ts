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
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Mount } from "../host/mountinfo.ts";
import { FileTree, writeTree } from "./file-tree.ts";

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
  const tree = new FileTree();
  const mounts = addKubelet(tree, root, volumes);
  mkdirSync(root, { recursive: true });
  writeTree(root, tree);
  return mounts;
}

/** Adds them to a tree that has the kubelet's directory as its root and shall stand at `root`; answers the mounts. */
export function addKubelet(tree: FileTree, root: string, volumes: readonly Volume[]): Mount[] {
  tree.directory("pods");
  return volumes.flatMap((volume) => {
    const mounts = volume.kind === "block" ? addBlock(tree, root, volume) : addFileSystem(tree, volume);
    return mounts.map((mount) => ({ ...mount, mountPoint: join(root, mount.mountPoint) }));
  });
}

export const podDirectory = (root: string, uid: string): string => join(root, "pods", uid);

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

/** With mount points that count from the kubelet's directory, as everything here that is given no root. */
function addFileSystem(tree: FileTree, volume: FileSystemVolume): Mount[] {
  const { driver, handle, pv, pods = [], staged = false, stagedChild, mount, ephemeral = false } = volume;
  const mountPoints: string[] = [];
  for (const uid of pods) {
    const directory = publishedDirectory("", uid, pv);
    addVolumeData(tree, directory, volume, {
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
    const directory = staged === "pv" ? oldStagedDirectory("", pv) : stagedDirectory("", driver, handle);
    addVolumeData(tree, directory, volume, { driverName: driver, volumeHandle: handle });
    mountPoints.push(join(directory, "globalmount", stagedChild ?? ""));
  }
  for (const mountPoint of mountPoints) tree.directory(mountPoint);
  if (mount === undefined) return [];
  return mountPoints.map((mountPoint) => ({
    root: "/",
    fstype: "ext4",
    source: "/dev/sdz",
    ...mount,
    mountPoint,
  }));
}

function addBlock(tree: FileTree, root: string, volume: BlockVolume): Mount[] {
  const { driver, handle, pv, pods = [], device, devtmpfs = "0:6" } = volume;
  const { binds = ["staging", "publish", "dev"], oldPublish = false, stagingChild = "" } = volume;
  const directory = blockDirectory("", pv);
  addVolumeData(tree, join(directory, "data"), volume, {
    attachmentID: `csi-${digest(`${handle}/${driver}`)}`,
    driverName: driver,
    nodeName: "node-a",
    specVolID: pv,
    volumeHandle: handle,
  });
  tree.directory(join(directory, "dev"));
  const publish = join(volumeDevices(""), "publish", specOf(pv));
  const publishedAt = (uid: string) => (oldPublish ? publish : join(publish, uid));
  const nodes = {
    staging: [join(volumeDevices(""), "staging", specOf(pv), stagingChild)],
    publish: [...new Set(pods.map(publishedAt))],
    dev: pods.map((uid) => join(directory, "dev", uid)),
  };
  for (const node of Object.values(nodes).flat()) tree.file(node, "");
  for (const uid of pods) {
    const pod = podDirectory("", uid);
    tree.symlink(join(pod, "volumeDevices/kubernetes.io~csi", specOf(pv)), join(root, publishedAt(uid)));
    tree.directory(join(pod, "volumes"));
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

function addVolumeData(
  tree: FileTree,
  directory: string,
  { json }: Identity,
  members: Record<string, unknown>,
): void {
  // As Go's encoder writes it: in the order of the names, with a newline at the end.
  const sorted = Object.entries({ ...members, ...json }).sort(([a], [b]) => (a < b ? -1 : 1));
  tree.file(join(directory, "vol_data.json"), `${JSON.stringify(Object.fromEntries(sorted))}\n`);
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
