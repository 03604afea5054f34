/**
 * Discovery against a full walk, while everything changes: the process that discovery.test.ts starts in a mount namespace
 * of its own. Mounts, unmounts, new, changed and deleted files and block devices come and go in any order, and after any
 * of them a discovery that remembers must find what one finds that has never seen this host.
 *
 *     bun interleaving.ts DIRECTORY LOOP_A LOOP_B signals|plain [SEED]
 *
 * DIRECTORY is on a file system of its own. `signals`: the kernel tells of changes, by poll(2) and inotify(7). `plain`: it
 * tells of none, since the mount table is a copy and the kubelet's directory lies on an overlay.
 */
import { dlopen } from "bun:ffi";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { CsiDiscovery, type DiscoveryOptions, type Sources } from "../../../src/csi/discovery.ts";
import { KubeletError } from "../../../src/csi/kubelet.ts";
import { BlockDevices } from "../../../src/host/block-devices.ts";
import { MountTable } from "../../../src/host/mountinfo.ts";
import { WatchedFiles } from "../../../src/host/watched-files.ts";
import { DirectFiles } from "../../support/direct-files.ts";

const [directory = "", loopA = "", loopB = "", mode = "signals", seed] = process.argv.slice(2);

const { symbols: libc } = dlopen("libc.so.6", {
  mount: { args: ["buffer", "buffer", "buffer", "u64", "buffer"], returns: "i32" },
  umount2: { args: ["buffer", "i32"], returns: "i32" },
  mknod: { args: ["buffer", "u32", "u64"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "u64"], returns: "i32" },
});
const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
const MS_BIND = 4096n;
const MNT_DETACH = 2;
const S_IFBLK = 0o60600;

const mount = (source: string, target: string, type: string, flags = 0n, options = "") =>
  libc.mount(text(source), text(target), text(type), flags, text(options));
const bind = (source: string, target: string) => mount(source, target, "none", MS_BIND);
const unmount = (target: string) => libc.umount2(text(target), MNT_DETACH);

/** Every change may fail, because another took away what it needs; then nothing changed. */
type Change = () => unknown;
const tolerant = (change: Change): void => {
  try {
    change();
  } catch {
    // ENOENT, EBUSY, ENOTDIR …
  }
};

const PODS = ["pod-0", "pod-1"];
const VOLUMES = ["pv-0", "pv 1\n"];
const TRIDENT = "csi.trident.netapp.io";
/** Numbers that none else takes, nor another run of the tests. */
const SPARE_LOOPS = [0, 1].map((index) => 700_000 + (process.pid % 100_000) * 2 + index);

const root = join(directory, "kubelet");
const rootfs = join(directory, "rootfs");
const nodes = join(directory, "nodes");
const plain = join(directory, "plain");
const plugins = join(root, "plugins/kubernetes.io/csi");
const published = (pod: string, pv: string) => join(root, "pods", pod, "volumes/kubernetes.io~csi", pv);
const staged = (pv: string) => join(plugins, TRIDENT, `sha-of-${pv}`);
const stagedOld = (pv: string) => join(plugins, "pv", pv);
const blockData = (pv: string) => join(plugins, "volumeDevices", pv, "data");
const blockPlaces = (pod: string, pv: string) => [
  join(plugins, "volumeDevices/staging", pv),
  join(plugins, "volumeDevices/staging", pv, "file"),
  join(plugins, "volumeDevices/publish", pv),
  join(plugins, "volumeDevices/publish", pv, pod),
  join(plugins, "volumeDevices", pv, "dev", pod),
];

const FILES = VOLUMES.flatMap((pv) =>
  [...PODS.map((pod) => published(pod, pv)), staged(pv), stagedOld(pv), blockData(pv)].map((place) =>
    join(place, "vol_data.json"),
  ),
);
const MOUNT_POINTS = VOLUMES.flatMap((pv) => [
  ...PODS.map((pod) => join(published(pod, pv), "mount")),
  ...[staged(pv), stagedOld(pv)].flatMap((place) => [
    join(place, "globalmount"),
    join(place, "globalmount/child"),
  ]),
]);
/** A mount on one of these hides what the kubelet wrote below it. */
const COVERED = [join(root, "pods"), join(root, "pods/pod-0"), published("pod-1", "pv-0"), plugins];
const BLOCK_PLACES = PODS.flatMap((pod) => VOLUMES.flatMap((pv) => blockPlaces(pod, pv)));
const dataOf = (pv: string) =>
  JSON.stringify({ driverName: TRIDENT, volumeHandle: `of-${pv}`, specVolID: pv });
const OTHER = { driverName: "other", volumeHandle: "of-pv-0" };
const CONTENTS = [
  ...[...VOLUMES.map(dataOf), JSON.stringify(OTHER), "{", ""],
  JSON.stringify({ ...OTHER, volumeLifecycleMode: "Ephemeral" }),
];
/** Device nodes are called as their devices; the last device comes and goes. */
const SPARE_NODE = join(nodes, `loop${SPARE_LOOPS[0]}`);
const NODES = [...[loopA, loopB].map((device) => join(nodes, basename(device))), SPARE_NODE];
const DISKS = [join(directory, "disk-a"), join(directory, "disk-b")];

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function replace(path: string, content: string): void {
  writeFileSync(`${path}~`, content);
  renameSync(`${path}~`, path);
}

function link(path: string): void {
  rmSync(path, { recursive: true });
  symlinkSync(FILES[0] ?? "", path);
}

function bindDirectory(source: string, path: string): void {
  mkdirSync(path, { recursive: true });
  bind(source, path);
}

function mountMemory(path: string): void {
  mkdirSync(path, { recursive: true });
  mount("memory", path, "tmpfs");
}

function bindNode(node: string, path: string): void {
  write(path, "");
  bind(node, path);
}

/** The node of the device that `name` ends with. */
function makeNode(path: string, name = path): void {
  const minor = Number(/\d+$/.exec(name)?.[0]);
  mkdirSync(dirname(path), { recursive: true });
  libc.mknod(text(path), S_IFBLK, BigInt((7 << 8) | (minor & 0xff)) | (BigInt(minor >> 8) << 20n));
}

function loopControl(request: number, loop: number): void {
  const control = openSync("/dev/loop-control", "r");
  libc.ioctl(control, BigInt(request), BigInt(loop));
  closeSync(control);
}
const LOOP_CTL_ADD = 0x4c80;
const LOOP_CTL_REMOVE = 0x4c81;

/** By name, so that a counterexample can be read. */
type Named = readonly [string, Change];
const quoted = (path: string): string => JSON.stringify(path.replace(directory, ""));

const OF_FILES: readonly Named[] = FILES.flatMap((path): Named[] => [
  ...CONTENTS.map((content): Named => [`write ${quoted(path)} ${content}`, () => write(path, content)]),
  [`replace ${quoted(path)}`, () => replace(path, CONTENTS[0] ?? "")],
  [`unlink ${quoted(path)}`, () => unlinkSync(path)],
  [`symlink ${quoted(path)}`, () => link(path)],
  [`clear ${quoted(dirname(path))}`, () => rmSync(dirname(path), { recursive: true })],
  [`symlink ${quoted(dirname(path))}`, () => link(dirname(path))],
]);

const OF_MOUNTS: readonly Named[] = MOUNT_POINTS.flatMap((path): Named[] => [
  ...[...DISKS, plain].map(
    (source): Named => [`bind ${quoted(source)} to ${quoted(path)}`, () => bindDirectory(source, path)],
  ),
  [`memory on ${quoted(path)}`, () => mountMemory(path)],
  [`unmount ${quoted(path)}`, () => unmount(path)],
]);

const COVERING: readonly Named[] = COVERED.flatMap((path): Named[] => [
  [`memory over ${quoted(path)}`, () => mountMemory(path)],
  [`bind pod-0 over ${quoted(path)}`, () => bindDirectory(join(root, "pods/pod-0"), path)],
  [`uncover ${quoted(path)}`, () => unmount(path)],
]);

const OF_BLOCK_VOLUMES: readonly Named[] = BLOCK_PLACES.flatMap((path): Named[] => [
  ...NODES.flatMap((node): Named[] => [
    [`bind ${quoted(node)} to ${quoted(path)}`, () => bindNode(node, path)],
    [`make ${quoted(node)} at ${quoted(path)}`, () => makeNode(path, node)],
  ]),
  [`unmount ${quoted(path)}`, () => unmount(path)],
  [`unlink ${quoted(path)}`, () => unlinkSync(path)],
]);

/** As the kubelet and a driver do it: else volumes that are whole would be rare. */
const WHOLE_VOLUMES: readonly Named[] = VOLUMES.flatMap((pv, index): Named[] => {
  const disk = DISKS[index] ?? "";
  return [
    ...PODS.flatMap((pod): Named[] => [
      [
        `publish ${quoted(pv)} in ${pod}`,
        () => {
          write(join(published(pod, pv), "vol_data.json"), dataOf(pv));
          bindDirectory(disk, join(published(pod, pv), "mount"));
        },
      ],
      [
        `unpublish ${quoted(pv)} in ${pod}`,
        () => {
          unmount(join(published(pod, pv), "mount"));
          rmSync(published(pod, pv), { recursive: true });
        },
      ],
      ...[NODES[index] ?? "", SPARE_NODE].map(
        (node): Named => [
          `publish block ${quoted(pv)} in ${pod} as ${quoted(node)}`,
          () => {
            write(join(blockData(pv), "vol_data.json"), dataOf(pv));
            for (const place of blockPlaces(pod, pv).slice(3)) bindNode(node, place);
          },
        ],
      ),
    ]),
    [
      `stage ${quoted(pv)}`,
      () => {
        write(join(staged(pv), "vol_data.json"), dataOf(pv));
        bindDirectory(disk, join(staged(pv), "globalmount"));
      },
    ],
    [`unstage ${quoted(pv)}`, () => unmount(join(staged(pv), "globalmount"))],
  ];
});

const OF_DIRECTORIES: readonly Named[] = [
  ...PODS.flatMap((pod): Named[] => [
    [`rename ${pod}`, () => renameSync(join(root, "pods", pod), join(root, "pods/pod-2"))],
    [`rename to ${pod}`, () => renameSync(join(root, "pods/pod-2"), join(root, "pods", pod))],
    [`remove ${pod}`, () => rmSync(join(root, "pods", pod), { recursive: true })],
  ]),
  ["rename pods", () => renameSync(join(root, "pods"), join(root, "gone"))],
  ["rename pods back", () => renameSync(join(root, "gone"), join(root, "pods"))],
  ["remove plugins", () => rmSync(plugins, { recursive: true })],
];

/**
 * The node of a device goes with it. Deleted by hand while the device stays, nothing tells of it: the kernel signals no
 * change of the mount table, and the device that is remembered is still the volume's.
 */
const OF_DEVICES: readonly Named[] = SPARE_LOOPS.flatMap((loop): Named[] => {
  const node = join(nodes, `loop${loop}`);
  return [
    [
      `add loop${loop}`,
      () => {
        loopControl(LOOP_CTL_ADD, loop);
        makeNode(node);
      },
    ],
    [
      `remove loop${loop}`,
      () => {
        loopControl(LOOP_CTL_REMOVE, loop);
        unlinkSync(node);
      },
    ],
    [`remove loop${loop} but not its node`, () => loopControl(LOOP_CTL_REMOVE, loop)],
  ];
});

const OF_VENDORS: readonly Named[] = VOLUMES.flatMap((pv): Named[] => {
  const trident = join(rootfs, "var/lib/trident/tracking", `of-${pv}.json`);
  const hpe = join(plugins, "csi.hpe.com", `sha-of-${pv}`);
  const device = { path_name: basename(loopA) };
  return [
    [`track ${quoted(pv)}`, () => write(trident, JSON.stringify({ devicePath: loopA }))],
    [`track ${quoted(pv)} elsewhere`, () => write(trident, JSON.stringify({ rawDevicePath: loopB }))],
    [`spoil the tracking of ${quoted(pv)}`, () => write(trident, "{")],
    [`stop tracking ${quoted(pv)}`, () => unlinkSync(trident)],
    [
      `stage ${quoted(pv)} at HPE`,
      () => {
        const names = { driverName: "csi.hpe.com", volumeHandle: `of-${pv}` };
        write(join(hpe, "vol_data.json"), JSON.stringify(names));
        write(join(hpe, "globalmount/deviceInfo.json"), JSON.stringify({ volume_id: `of-${pv}`, device }));
      },
    ],
    [`unstage ${quoted(pv)} at HPE`, () => rmSync(hpe, { recursive: true })],
  ];
});

interface Observer {
  look(): Promise<unknown>;
  close(): void;
}

const MOUNTINFO = "/proc/self/mountinfo";
const COPY = join(directory, "mountinfo");

/** Sees through the means that plumbline has, and remembers. */
function remembering(): Observer {
  return observer(new WatchedFiles(), new MountTable(mode === "plain" ? COPY : MOUNTINFO));
}

/** Reads everything by the plainest means, for the first time. */
function fresh(): Observer {
  const files = Object.assign(new DirectFiles(), {
    refresh: () => 0,
    forget() {},
    forgetAll() {},
    close() {},
  });
  return observer(files, new MountTable(MOUNTINFO));
}

function observer(files: Sources["files"] & { close(): void }, mounts: MountTable): Observer {
  const devices = new BlockDevices("/sys");
  const options: DiscoveryOptions = { kubelet: root, rootfs, vendors: ["trident", "hpe"] };
  const discovery = new CsiDiscovery(options, { files, mounts, devices });
  return {
    async look() {
      const limits = { signal: AbortSignal.timeout(30_000), deadline: performance.now() + 30_000 };
      try {
        const found = await discovery.run(limits);
        const failures = [...found.vendors].map(([vendor, run]) => [vendor, run.failures]);
        return { ...found.discovery, failures };
      } catch (error) {
        if (error instanceof KubeletError) return error.message;
        throw error;
      }
    },
    close() {
      for (const source of [files, mounts]) source.close();
    },
  };
}

async function compare(live: Observer): Promise<void> {
  if (mode === "plain") writeFileSync(COPY, readFileSync(MOUNTINFO));
  const found = await live.look();
  const walk = fresh();
  const truth = await walk.look();
  walk.close();
  if (!isDeepStrictEqual(found, truth))
    throw new Error(`remembered: ${JSON.stringify(found)}\nin truth: ${JSON.stringify(truth)}`);
  tally.comparisons++;
  if (JSON.stringify(truth).includes('"device"')) tally.withVolumes++;
}

const RUNS = 100;

/** So that a run in which nothing was ever found is seen to be one. */
const tally = { comparisons: 0, withVolumes: 0 };

function setUp(): void {
  mkdirSync(root, { recursive: true });
  if (mode === "plain") {
    for (const layer of ["upper", "work"]) mkdirSync(join(directory, layer), { recursive: true });
    const layers = `lowerdir=${rootfs},upperdir=${join(directory, "upper")},workdir=${join(directory, "work")}`;
    if (mount("o", root, "overlay", 0n, layers) !== 0) throw new Error(`cannot mount an overlay at ${root}`);
  }
  mkdirSync(join(root, "pods"), { recursive: true });
  for (const node of NODES) makeNode(node);
}

function tearDown(): void {
  const mounted = readFileSync(MOUNTINFO, "utf8")
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    )
    .filter((path) => path.startsWith(`${root}/`) || path === root);
  for (const path of mounted.reverse()) unmount(path);
  for (const place of [root, rootfs, nodes, join(directory, "upper"), join(directory, "work")])
    rmSync(place, { recursive: true, force: true });
  for (const loop of SPARE_LOOPS) loopControl(LOOP_CTL_REMOVE, loop);
  mkdirSync(rootfs, { recursive: true });
}

for (const [index, disk] of DISKS.entries()) {
  mkdirSync(disk, { recursive: true });
  if (mount([loopA, loopB][index] ?? "", disk, "ext4") !== 0) throw new Error(`cannot mount ${disk}`);
}
mkdirSync(plain, { recursive: true });

const CHANGES: readonly (readonly [weight: number, changes: readonly Named[]])[] = [
  [8, WHOLE_VOLUMES],
  [3, OF_FILES],
  [3, OF_MOUNTS],
  [3, OF_BLOCK_VOLUMES],
  [2, OF_DIRECTORIES],
  [3, OF_DEVICES],
  [2, OF_VENDORS],
  [1, COVERING],
];
const step = fc
  .tuple(
    fc.oneof(...CHANGES.map(([weight, changes]) => ({ weight, arbitrary: fc.constantFrom(...changes) }))),
    fc.boolean(),
  )
  .map(([[name, change], looks]) => ({
    change,
    looks,
    [fc.toStringMethod]: () => `${name}${looks ? ", look" : ""}`,
  }));
try {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 100, size: "max" }), async (steps) => {
      tearDown();
      setUp();
      const live = remembering();
      try {
        await compare(live);
        for (const { change, looks } of steps) {
          tolerant(change);
          if (looks) await compare(live);
        }
        await compare(live);
      } finally {
        live.close();
      }
    }),
    { numRuns: RUNS, ...(seed !== undefined && { seed: Number(seed) }) },
  );
} finally {
  tearDown();
}
process.stdout.write(`${JSON.stringify(tally)}\n`);
