/** A Kubernetes node of real mounts for the benchmark, below one directory of a mount namespace that is ours alone. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLibrary } from "../../src/runtime/ffi.ts";

export interface Node {
  /** The kubelet's directory. */
  readonly root: string;
  readonly volumes: number;
  /** `major:minor` of all devices. */
  readonly deviceNumbers: readonly string[];
  /** Volumes that can still come: to be mounted, and their file written. */
  readonly spare: readonly {
    readonly handle: string;
    readonly device: string;
    readonly mountPoint: string;
    readonly file: string;
    readonly json: string;
  }[];
}

const DRIVER = "block.csi.example.com";
const MS_BIND = 0x1000n;

/** A third of the volumes mounted in a pod and staged, a sixth staged alone, half of them raw block devices. */
export function buildNode(
  directory: string,
  { volumes, mounts, spare }: { readonly volumes: number; readonly mounts: number; readonly spare: number },
): Node {
  const root = join(directory, "kubelet");
  const csi = join(root, "plugins/kubernetes.io/csi");
  const loops = attach(directory, volumes + spare);
  let mounted = 0;
  const mount = (source: string, target: string, fstype = "none", flags = MS_BIND): void => {
    const c = (text: string) => new TextEncoder().encode(`${text}\0`);
    if (libc.mount(c(source), c(target), c(fstype), flags, 0n) !== 0)
      throw new Error(`cannot mount ${target}`);
    mounted++;
  };

  const uid = (index: number): string => `6f1c0000-0000-4000-8000-${String(index).padStart(12, "0")}`;
  for (let index = 0; index < volumes; index++) {
    const device = `/dev/${loops[index]}`;
    const pv = `pvc-${String(index).padStart(8, "0")}`;
    const handle = `vol-${pv}`;
    const pod = join(root, "pods", uid(index), "volumes/kubernetes.io~csi");
    mkdirSync(pod, { recursive: true });
    if (index % 2 === 0) {
      const staged = join(csi, DRIVER, createHash("sha256").update(handle).digest("hex"));
      mkdirSync(join(staged, "globalmount"), { recursive: true });
      writeFileSync(
        join(staged, "vol_data.json"),
        JSON.stringify({ driverName: DRIVER, volumeHandle: handle }),
      );
      mount(device, join(staged, "globalmount"), "ext4", 0n);
      if (index % 6 === 0) continue;
      mkdirSync(join(pod, pv, "mount"), { recursive: true });
      writeFileSync(join(pod, pv, "vol_data.json"), volumeFile(pv, handle));
      mount(join(staged, "globalmount"), join(pod, pv, "mount"));
    } else {
      const spec = join(csi, "volumeDevices", pv);
      const nodes = [
        join(csi, "volumeDevices/staging", pv, "block"),
        join(csi, "volumeDevices/publish", pv, uid(index)),
        join(spec, "dev", uid(index)),
      ];
      mkdirSync(join(spec, "data"), { recursive: true });
      writeFileSync(join(spec, "data/vol_data.json"), volumeFile(pv, handle));
      for (const node of nodes) {
        mkdirSync(join(node, ".."), { recursive: true });
        writeFileSync(node, "");
        mount(device, node);
      }
    }
  }
  const projected = join(directory, "projected");
  mkdirSync(projected);
  mount("tmpfs", projected, "tmpfs", 0n);
  for (let index = 0; mounted < mounts; index++) {
    const name = `kube-api-access-${Math.floor(index / volumes)}`;
    const target = join(root, "pods", uid(index % volumes), "volumes/kubernetes.io~projected", name);
    mkdirSync(target, { recursive: true });
    mount(projected, target);
  }
  const result: Node = {
    root,
    volumes,
    deviceNumbers: loops.map((loop) => readFileSync(`/sys/class/block/${loop}/dev`, "latin1").trim()),
    spare: loops.slice(volumes).map((loop, index) => {
      const pv = `pvc-spare-${index}`;
      const data = join(csi, "volumeDevices", pv, "data");
      const publish = join(csi, "volumeDevices/publish", pv);
      const handle = `vol-${pv}`;
      return {
        handle,
        device: `/dev/${loop}`,
        mountPoint: join(publish, uid(index)),
        file: join(data, "vol_data.json"),
        json: volumeFile(pv, handle),
      };
    }),
  };
  // A device in use goes when its last mount does, and those go with the namespace.
  spawnSync("losetup", ["-d", ...loops.slice(0, volumes).map((loop) => `/dev/${loop}`)]);
  return result;
}

const libc = openLibrary("libc.so.6", {
  mount: { args: ["bytes", "bytes", "bytes", "u64", "u64"], returns: "i32" },
});

/** Loop devices over copies of one small ext4 file system. */
function attach(directory: string, count: number): string[] {
  const images = join(directory, "images");
  mkdirSync(images, { recursive: true });
  const first = join(images, "0");
  writeFileSync(first, "");
  truncateSync(first, 1 << 20);
  run("mkfs.ext4", ["-q", "-O", "^has_journal", first]);
  return Array.from({ length: count }, (_, index) => {
    const image = join(images, String(index));
    if (index > 0) copyFileSync(first, image);
    return run("losetup", ["--find", "--show", image]).trim().replace("/dev/", "");
  });
}

function run(command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr || done.error}`);
  return done.stdout;
}

function volumeFile(pv: string, handle: string): string {
  return JSON.stringify({
    attachmentID: `csi-${createHash("sha256").update(handle).digest("hex")}`,
    driverName: DRIVER,
    nodeName: "node-a",
    specVolID: pv,
    volumeHandle: handle,
    volumeLifecycleMode: "Persistent",
  });
}
