/**
 * A Kubernetes node whose kubelet directory is made of real mounts: the paths that the kubelet and CSI drivers make, with
 * real loop devices on them. What is true of it is asked of losetup, lsblk and findmnt, never of our own code.
 */
import { createHash } from "node:crypto";
import { mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { type LocalFileSystem, MountNamespace, type SilentMount } from "../../support/real-mounts.ts";

export const DRIVER = "block.csi.example.com";

export interface Volume {
  /** Name of the PersistentVolume, or of the pod's own volume. */
  readonly name: string;
  readonly handle: string;
  readonly driver?: string;
}

export class KubeletNode {
  readonly mounts: MountNamespace;
  readonly root: string;

  static async open(): Promise<KubeletNode> {
    return new KubeletNode(await MountNamespace.open());
  }

  private constructor(mounts: MountNamespace) {
    this.mounts = mounts;
    this.root = join(mounts.directory, "var/lib/kubelet");
    mounts.makeDirectory(join(this.root, "pods"));
    mounts.run("chmod", "-R", "0750", this.root);
  }

  /** A disk of its own with a file system: `/dev/loop9`. */
  disk(image: string, fileSystem?: LocalFileSystem): string {
    const device = this.mounts.attach(this.mounts.image(image));
    if (fileSystem !== undefined) this.mounts.format(device, fileSystem);
    return device;
  }

  /** The kernel's name of the loop device that has this image. */
  deviceOf(image: string): string {
    const path = join(dirname(this.mounts.directory), `${image}.img`);
    const device = this.mounts.run("losetup", "--associated", path, "--noheadings", "--output", "NAME");
    return this.mounts.run("lsblk", "--nodeps", "--noheadings", "--output", "KNAME", device.trim()).trim();
  }

  /** What findmnt says of the uppermost mount at a path: `/dev/loop9 ext4`. */
  mountedAt(path: string): string {
    const table = this.mounts.run("findmnt", "--noheadings", "--raw", "--output", "SOURCE,FSTYPE", path);
    return table.split("\n").at(-1) ?? "";
  }

  podDirectory(pod: string, { name }: Volume): string {
    return join(this.root, "pods", pod, "volumes/kubernetes.io~csi", name.replaceAll("/", "~"));
  }

  /** What the kubelet writes before it asks the driver to publish a volume. Gives the place of the mount. */
  publish(pod: string, volume: Volume, lifecycle: "Persistent" | "Ephemeral" = "Persistent"): string {
    const directory = this.podDirectory(pod, volume);
    this.#writeData(directory, {
      ...this.#names(volume),
      specVolID: volume.name,
      nodeName: "node-a",
      volumeLifecycleMode: lifecycle,
      attachmentID: "csi-0",
    });
    return this.mounts.makeDirectory(join(directory, "mount"));
  }

  unpublish(pod: string, volume: Volume): void {
    this.mounts.run("rm", "-rf", "--one-file-system", this.podDirectory(pod, volume));
  }

  /** The staging directory of Kubernetes 1.24 and later. Gives the place of the mount. */
  stage(volume: Volume): string {
    const hash = createHash("sha256").update(volume.handle).digest("hex");
    const directory = join(this.root, "plugins/kubernetes.io/csi", volume.driver ?? DRIVER, hash);
    this.#writeData(directory, this.#names(volume));
    return this.mounts.makeDirectory(join(directory, "globalmount"));
  }

  /** The staging directory before Kubernetes 1.24. */
  stageByName(volume: Volume): string {
    const directory = join(this.root, "plugins/kubernetes.io/csi/pv", volume.name);
    this.#writeData(directory, this.#names(volume));
    return this.mounts.makeDirectory(join(directory, "globalmount"));
  }

  /** All files of a block volume for one pod but the binds. Gives the places of the device nodes. */
  blockVolume(pod: string, volume: Volume): { staging: string; publish: string; node: string } {
    const devices = join(this.root, "plugins/kubernetes.io/csi/volumeDevices");
    const paths = {
      staging: join(devices, "staging", volume.name, volume.handle),
      publish: join(devices, "publish", volume.name, pod),
      node: join(devices, volume.name, "dev", pod),
    };
    this.#writeData(join(devices, volume.name, "data"), {
      ...this.#names(volume),
      specVolID: volume.name,
      nodeName: "node-a",
      attachmentID: "csi-0",
    });
    for (const path of Object.values(paths)) this.mounts.makeDirectory(dirname(path));
    const inPod = join(this.root, "pods", pod, "volumeDevices/kubernetes.io~csi");
    this.mounts.makeDirectory(inPod);
    symlinkSync(paths.publish, this.mounts.fromOutside(join(inPod, volume.name)));
    return paths;
  }

  #names({ handle, driver = DRIVER }: Volume): Record<string, string> {
    return { volumeHandle: handle, driverName: driver };
  }

  #writeData(directory: string, content: Record<string, string>): void {
    mkdirSync(this.mounts.fromOutside(directory), { recursive: true });
    this.mounts.write(join(directory, "vol_data.json"), JSON.stringify(content));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mounts[Symbol.asyncDispose]();
  }
}

const volume = (name: string, more: Partial<Volume> = {}): Volume => ({
  name,
  handle: `handle-of-${name}`,
  ...more,
});

/** Every kind of volume that a node without device mapper can carry. */
export const VOLUMES = {
  shared: volume("pv-ext4"),
  xfs: volume("pv-xfs"),
  btrfs: volume("pv-btrfs"),
  subvolume: volume("pv-btrfs-subvolume"),
  stagedOnly: volume("pv-staged-only"),
  block: volume("pv-block"),
  blockNodeOnly: volume("pv-block-node-only"),
  blockDeleted: volume("pv-block-deleted"),
  partition: volume("pv-partition"),
  stacked: volume("pv-stacked"),
  strange: volume("name with space\nand newline"),
  twin: volume("pv-twin", { handle: "handle-of-pv-ext4", driver: "other.csi.example.com" }),
  inline: volume("secrets inline", { handle: `csi-${"5".repeat(64)}`, driver: "secrets.csi.example.com" }),
  memory: volume("pv-memory"),
  hostPath: volume("pv-hostpath", { driver: "hostpath.csi.example.com" }),
  orphan: volume("pv-orphan"),
  silent: volume("pv-silent", { driver: "fuse.csi.example.com" }),
  silentStaged: volume("pv-silent-staged", { driver: "fuse.csi.example.com" }),
} as const;

export const POD_A = "0a0a0a0a-0000-4000-8000-00000000000a";
export const POD_B = "0b0b0b0b-0000-4000-8000-00000000000b";

/** Far above the numbers that anyone attaches, so that nobody takes it in between, nor another run of the tests. */
export const DELETED_LOOP = 600_000 + (process.pid % 100_000);
const ADD_AND_REMOVE = `
import fcntl, sys
control = open("/dev/loop-control", "rb")
fcntl.ioctl(control, {"add": 0x4C80, "remove": 0x4C81}[sys.argv[1]], int(sys.argv[2]))
`;

/** Mounts all of `VOLUMES`; answers those that never answer. */
export async function mountVolumes(node: KubeletNode): Promise<readonly SilentMount[]> {
  const { mounts } = node;
  const v = VOLUMES;
  const bind = (from: string, to: string) => mounts.mount(from, to, "--bind");

  const shared = node.stage(v.shared);
  mounts.mount(node.disk("shared", "ext4"), shared);
  for (const pod of [POD_A, POD_B]) bind(shared, node.publish(pod, v.shared));

  const xfs = node.stageByName(v.xfs);
  mounts.mount(node.disk("xfs", "xfs"), xfs);
  bind(xfs, node.publish(POD_A, v.xfs));

  const btrfs = node.stage(v.btrfs);
  mounts.mount(node.disk("btrfs", "btrfs"), btrfs);
  bind(btrfs, node.publish(POD_A, v.btrfs));
  mounts.run("btrfs", "-q", "subvolume", "create", join(btrfs, "volume"));
  bind(join(btrfs, "volume"), node.publish(POD_B, v.subvolume));

  const stagedOnly = join(node.stage(v.stagedOnly), v.stagedOnly.handle);
  mounts.mount(node.disk("staged-only", "ext4"), stagedOnly);

  const block = node.blockVolume(POD_A, v.block);
  const blockDevice = node.disk("block");
  for (const path of Object.values(block)) mounts.bindFile(blockDevice, path);

  const nodeOnly = node.blockVolume(POD_A, v.blockNodeOnly);
  const [major = "", minor = ""] = mounts
    .run("lsblk", "--nodeps", "--noheadings", "--raw", "--output", "MAJ:MIN", node.disk("block-node-only"))
    .split(":");
  mounts.run("mknod", nodeOnly.node, "b", major, minor);

  const loopControl = (verb: "add" | "remove") =>
    mounts.run("python3", "-c", ADD_AND_REMOVE, verb, String(DELETED_LOOP));
  loopControl("add");
  try {
    mounts.bindFile(`/dev/loop${DELETED_LOOP}`, node.blockVolume(POD_A, v.blockDeleted).publish);
  } finally {
    loopControl("remove");
  }

  const whole = node.disk("partition");
  mounts.run("addpart", whole, "1", "2048", "204800");
  const partition = `${whole}p1`;
  mounts.format(partition, "ext4");
  mounts.mount(partition, node.publish(POD_A, v.partition));

  const stacked = node.publish(POD_A, v.stacked);
  mounts.mount(node.disk("stacked-below", "ext4"), stacked);
  mounts.mount(node.disk("stacked-above", "ext4"), stacked);

  mounts.mount(node.disk("strange", "ext4"), node.publish(POD_A, v.strange));
  mounts.mount(node.disk("twin", "ext4"), node.publish(POD_B, v.twin));
  mounts.mount("tmpfs", node.publish(POD_A, v.inline, "Ephemeral"), "-t", "tmpfs");
  mounts.mount("tmpfs", node.publish(POD_A, v.memory), "-t", "tmpfs");
  bind(mounts.makeDirectory(join(mounts.directory, "csi-data-dir/hp-0003")), node.publish(POD_A, v.hostPath));
  node.publish(POD_A, v.orphan);
  return [
    await mounts.mountSilent(node.publish(POD_B, v.silent)),
    await mounts.mountSilent(node.stage(v.silentStaged)),
  ];
}
