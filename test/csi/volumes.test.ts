import { describe, expect, test } from "bun:test";
import type { SkippedPath, VolumeEntry } from "../../src/csi/model.ts";
import {
  discoveryOf,
  type Host,
  mountsByDirectory,
  type Resolution,
  resolveVolume,
  type Volume,
  volumesOf,
} from "../../src/csi/volumes.ts";
import type { Backing } from "../../src/host/block-devices.ts";
import type { Mount } from "../../src/host/mountinfo.ts";

const ROOT = "/var/lib/kubelet";
const HOLDER = mount("/", { device: "254:0", source: "/dev/vda" });

function mount(mountPoint: string, about: Partial<Mount> = {}): Mount {
  return { device: "7:0", root: "/", mountPoint, fstype: "ext4", source: "/dev/loop0", ...about };
}

/** A node of a raw block volume, bound from devtmpfs: the device number is that of devtmpfs. */
const bound = (mountPoint: string, root: string, about: Partial<Mount> = {}): Mount =>
  mount(mountPoint, { device: "0:5", root, fstype: "devtmpfs", source: "devtmpfs", ...about });

interface HostDescription {
  readonly mounts?: readonly Mount[];
  readonly holder?: Mount | undefined;
  /** Number → name. */
  readonly devices?: Readonly<Record<string, string>>;
  /** Name of a device mapper → name. */
  readonly mapped?: Readonly<Record<string, string>>;
  readonly nodes?: Readonly<Record<string, string>>;
}

type OpenHost = Omit<Host, "mountsIn">;

const LOOPS = { "7:0": "loop0", "7:1": "loop1", "8:16": "sdb", "104:0": "cciss/c0d0" };

function host({ mounts = [], devices = LOOPS, mapped = {}, nodes = {}, ...rest }: HostDescription): OpenHost {
  const table = {
    holder: "holder" in rest ? rest.holder : HOLDER,
    below: new Map(mounts.map((one) => [one.mountPoint, one])),
  };
  return {
    mounts: table,
    devices: {
      nameOf: (number) => devices[number],
      exists: (name) => Object.values(devices).includes(name),
      dmNamed: (name) => mapped[name],
      backing: leaf,
    },
    nodeNumber: (path) => nodes[path],
  };
}

const leaf = (device: string): Backing => ({ devices: [{ device, role: "leaf" }], complete: true });

const entry = (about: Partial<VolumeEntry> = {}): VolumeEntry => ({
  path: `${ROOT}/pods/a/volumes/kubernetes.io~csi/pv-1/vol_data.json`,
  kind: "published",
  driver: "driver.example",
  handle: "vol-1",
  persistentVolume: "pv-1",
  ephemeral: false,
  mountPoints: [],
  mountParents: [],
  deviceNodes: [],
  ...about,
});

const PUBLISHED = `${ROOT}/pods/a/volumes/kubernetes.io~csi/pv-1/mount`;
const published = (about: Partial<VolumeEntry> = {}) => entry({ mountPoints: [PUBLISHED], ...about });

const STAGING = `${ROOT}/plugins/kubernetes.io/csi/driver.example/0a/globalmount`;
const staged = (about: Partial<VolumeEntry> = {}) =>
  entry({
    kind: "staged",
    path: `${ROOT}/plugins/kubernetes.io/csi/driver.example/0a/vol_data.json`,
    persistentVolume: undefined,
    mountPoints: [STAGING],
    mountParents: [STAGING],
    ...about,
  });

const BLOCK = `${ROOT}/plugins/kubernetes.io/csi/volumeDevices`;
const block = (about: Partial<VolumeEntry> = {}) =>
  entry({
    kind: "block",
    path: `${BLOCK}/pv-1/data/vol_data.json`,
    mountPoints: [`${BLOCK}/publish/pv-1/uid`, `${BLOCK}/pv-1/dev/uid`],
    mountParents: [`${BLOCK}/staging/pv-1`],
    deviceNodes: [`${BLOCK}/pv-1/dev/uid`],
    ...about,
  });

function discover(entries: readonly VolumeEntry[], open: OpenHost, unnamed: readonly SkippedPath[] = []) {
  const on = { ...open, mountsIn: mountsByDirectory(open.mounts, entries) };
  const resolved = new Map<Volume, Resolution>();
  for (const volume of volumesOf(entries)) resolved.set(volume, resolveVolume(volume, on));
  return discoveryOf(resolved, unnamed, on.devices.backing);
}

/** The devices of one entry, or the reason why it has none. */
function leadOf(one: VolumeEntry, description: HostDescription): string {
  const { volumes, skippedPaths } = discover([one], host(description));
  return volumes.map(({ device }) => device).join(" ") || (skippedPaths[0]?.reason ?? "nothing");
}

describe("a file system volume", () => {
  test("is on the device whose number the mount table tells", () => {
    expect(leadOf(published(), { mounts: [mount(PUBLISHED)] })).toBe("loop0");
  });

  test("is on the device that btrfs names as its source, having no number of its own", () => {
    const btrfs = mount(PUBLISHED, { device: "0:45", fstype: "btrfs", source: "/dev/sdb" });
    expect(leadOf(published(), { mounts: [btrfs] })).toBe("sdb");
  });

  test("is on the dm device that has the name of a source below /dev/mapper", () => {
    const source = "/dev/mapper/vg-my--lv";
    const btrfs = mount(PUBLISHED, { device: "0:45", fstype: "btrfs", source });
    expect(leadOf(published(), { mounts: [btrfs], mapped: { "vg-my--lv": "dm-4" } })).toBe("dm-4");
    expect(leadOf(published(), { mounts: [btrfs] })).toBe("unresolved");
  });

  test("is on a device whose name has a slash", () => {
    const btrfs = mount(PUBLISHED, { device: "0:45", fstype: "btrfs", source: "/dev/cciss/c0d0" });
    expect(leadOf(published(), { mounts: [btrfs] })).toBe("cciss/c0d0");
  });

  test("that is staged below globalmount is found in a direct child, the first by name", () => {
    const child = mount(`${STAGING}/vol-1`, { device: "8:16" });
    const deeper = mount(`${STAGING}/vol-1/inner`);
    expect(leadOf(staged(), { mounts: [deeper, child] })).toBe("sdb");
    expect(leadOf(staged(), { mounts: [deeper] })).toBe("no_mount");
  });

  test("is not what is mounted inside of it", () => {
    const inside = mount(`${STAGING}/data`, { device: "8:16" });
    const volume = mount(STAGING, { device: "0:50", fstype: "nfs4", source: "filer:/export" });
    expect(leadOf(staged(), { mounts: [inside, volume] })).toBe("network_filesystem");
  });

  test("that a driver staged as a node of devtmpfs is on the device of that node", () => {
    expect(leadOf(staged(), { mounts: [bound(`${STAGING}/device`, "/loop1")] })).toBe("loop1");
  });
});

describe("a raw block volume", () => {
  test.each([
    ["publish", `${BLOCK}/publish/pv-1/uid`],
    ["dev", `${BLOCK}/pv-1/dev/uid`],
    ["staging", `${BLOCK}/staging/pv-1/node`],
  ])("is on the device that is the root of its bind mount on %s", (_, mountPoint) => {
    expect(leadOf(block(), { mounts: [bound(mountPoint, "/loop1")] })).toBe("loop1");
  });

  test("is found also where /dev is a container's own tmpfs", () => {
    const node = bound(`${BLOCK}/publish/pv-1/uid`, "/loop1", { fstype: "tmpfs", source: "tmpfs" });
    expect(leadOf(block(), { mounts: [node] })).toBe("loop1");
  });

  test("is not on the disk of the file system that holds its node", () => {
    const node = mount(`${BLOCK}/pv-1/dev/uid`, { device: "8:16", root: "/dev-nodes/x", source: "/dev/sdb" });
    expect(leadOf(block(), { mounts: [node] })).toBe("unresolved");
  });

  test("has the device of the number of its node where no mount tells", () => {
    const nodes = { [`${BLOCK}/pv-1/dev/uid`]: "7:1" };
    expect(leadOf(block(), { nodes })).toBe("loop1");
    const node = mount(`${BLOCK}/pv-1/dev/uid`, { device: "8:16", root: "/dev-nodes/x", source: "/dev/sdb" });
    expect(leadOf(block(), { nodes, mounts: [node] })).toBe("loop1");
  });

  test("whose node has a number that no device has is unresolved where it is mounted, else has no mount", () => {
    const nodes = { [`${BLOCK}/pv-1/dev/uid`]: "9:9" };
    expect(leadOf(block(), { nodes, mounts: [bound(`${BLOCK}/pv-1/dev/uid`, "/gone")] })).toBe("unresolved");
    expect(leadOf(block(), { nodes })).toBe("no_mount");
  });

  test("whose node was deleted is unresolved, whatever has its number now", () => {
    const at = `${BLOCK}/pv-1/dev/uid`;
    const gone = bound(at, "/loop1//deleted");
    expect(leadOf(block(), { mounts: [gone], nodes: { [at]: "7:0" } })).toBe("unresolved");
  });

  test.each([
    ["nfs4", "network_filesystem"],
    ["fuse.s3fs", "virtual_filesystem"],
    ["fuse", "virtual_filesystem"],
  ])("that is a file on %s is never looked at: it may not answer", (fstype, reason) => {
    const at = `${BLOCK}/pv-1/dev/uid`;
    const on = host({ mounts: [mount(at, { device: "0:60", root: "/disk.img", fstype, source: "x" })] });
    const touchy: OpenHost = {
      ...on,
      nodeNumber() {
        throw new Error("looked at");
      },
    };
    expect(discover([block()], touchy).skippedPaths).toMatchObject([{ reason }]);
  });
});

describe("a volume is skipped", () => {
  const reasonFor = (about: Partial<Mount>, holder: Mount | undefined = HOLDER) =>
    leadOf(published(), { mounts: [mount(PUBLISHED, about)], holder });

  test("as no_mount where nothing is mounted: not yet published, or an orphan", () => {
    expect(leadOf(published(), {})).toBe("no_mount");
    expect(leadOf(staged(), {})).toBe("no_mount");
    expect(leadOf(block(), {})).toBe("no_mount");
  });

  test("as ephemeral where the kubelet says so, mounted or not", () => {
    const inline = published({ ephemeral: true });
    const tmpfs = mount(PUBLISHED, { device: "0:77", fstype: "tmpfs", source: "secrets inline" });
    expect(leadOf(inline, { mounts: [tmpfs] })).toBe("ephemeral");
    expect(leadOf(inline, { mounts: [mount(PUBLISHED)] })).toBe("ephemeral");
  });

  test("as same_filesystem where its mount is on the kubelet's own disk, by number or by source", () => {
    expect(reasonFor({ device: "254:0", root: "/csi-data-dir/hp-0003" })).toBe("same_filesystem");
    const btrfs = { fstype: "btrfs", source: "/dev/sdb" };
    const holder = mount("/", { device: "0:30", ...btrfs });
    expect(reasonFor({ device: "0:31", ...btrfs }, holder)).toBe("same_filesystem");
  });

  test("not as same_filesystem for a source that is no device, or where nobody knows what holds the kubelet", () => {
    const overlay = { fstype: "overlay", source: "overlay" };
    const holder = mount("/", { device: "0:30", ...overlay });
    expect(reasonFor({ device: "0:31", ...overlay }, holder)).toBe("virtual_filesystem");
    expect(leadOf(published(), { mounts: [mount(PUBLISHED)], holder: undefined })).toBe("loop0");
  });

  test.each(["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "wekafs"])(
    "as network_filesystem on %s",
    (fstype) => {
      expect(reasonFor({ device: "0:60", fstype, source: "server:/export" })).toBe("network_filesystem");
    },
  );

  test.each([
    ["tmpfs", "tmpfs"],
    ["overlay", "overlay"],
    ["fuse.rclone", "remote:bucket"],
    ["fuse", "/dev/fuse"],
    ["zfs", "tank/pvc-1"],
  ])("as virtual_filesystem on %s", (fstype, source) => {
    expect(reasonFor({ device: "0:61", fstype, source })).toBe("virtual_filesystem");
  });

  test("as unresolved where /sys has no such number or name", () => {
    expect(reasonFor({ device: "9:127" })).toBe("unresolved");
    expect(reasonFor({ device: "0:45", fstype: "btrfs", source: "/dev/gone" })).toBe("unresolved");
    expect(reasonFor({ device: "0:5", fstype: "devtmpfs", source: "devtmpfs", root: "/gone" })).toBe(
      "unresolved",
    );
  });

  test("as unresolved where what is mounted was deleted", () => {
    expect(reasonFor({ root: "/vol//deleted" })).toBe("unresolved");
  });
});

describe("entries of one volume", () => {
  const POD_B = `${ROOT}/pods/b/volumes/kubernetes.io~csi/pv-1/mount`;

  test("in two pods and staged are one series", () => {
    const mounts = [mount(PUBLISHED), mount(POD_B), mount(STAGING)];
    const entries = [published(), published({ path: "/b", mountPoints: [POD_B] }), staged()];
    expect(discover(entries, host({ mounts })).volumes).toEqual([
      {
        driver: "driver.example",
        handle: "vol-1",
        persistentVolume: "pv-1",
        device: "loop0",
        backing: leaf("loop0"),
      },
    ]);
  });

  test("of which one leads to a device are a volume that is not skipped", () => {
    const { volumes, skipped, skippedPaths } = discover(
      [published(), staged()],
      host({ mounts: [mount(STAGING)] }),
    );
    expect(volumes).toHaveLength(1);
    expect(skippedPaths).toEqual([]);
    expect(Object.values(skipped).every((count) => count === 0)).toBe(true);
  });

  test("that lead to two devices are two series", () => {
    const mounts = [mount(PUBLISHED), mount(STAGING, { device: "8:16" })];
    const { volumes } = discover([published(), staged()], host({ mounts }));
    expect(volumes.map(({ device, persistentVolume }) => [device, persistentVolume])).toEqual([
      ["loop0", "pv-1"],
      ["sdb", "pv-1"],
    ]);
  });

  test("with two names of PersistentVolumes are one series each, and the staged one adds none", () => {
    const mounts = [mount(PUBLISHED), mount(POD_B), mount(STAGING)];
    const other = published({ path: "/b", mountPoints: [POD_B], persistentVolume: "pv-2" });
    const { volumes } = discover([staged(), other, published()], host({ mounts }));
    expect(volumes.map(({ persistentVolume }) => persistentVolume)).toEqual(["pv-1", "pv-2"]);
  });

  test("give a staged one its PersistentVolume also where they are not mounted yet", () => {
    const { volumes } = discover([published(), staged()], host({ mounts: [mount(STAGING)] }));
    expect(volumes).toMatchObject([{ device: "loop0", persistentVolume: "pv-1" }]);
  });

  test("without any name have an empty one", () => {
    const { volumes } = discover([staged()], host({ mounts: [mount(STAGING)] }));
    expect(volumes).toMatchObject([{ persistentVolume: "" }]);
  });

  test("that lead nowhere are counted once, under the reason that says most, with the path that gave it", () => {
    const nfs = mount(STAGING, { device: "0:9", fstype: "nfs4" });
    const { skipped, skippedPaths } = discover([published(), staged()], host({ mounts: [nfs] }));
    expect(skipped.network_filesystem).toBe(1);
    expect(skipped.no_mount).toBe(0);
    expect(skippedPaths).toEqual([{ path: staged().path, reason: "network_filesystem" }]);
  });

  test("are told apart by the driver, whose handle may be another's", () => {
    const mounts = [mount(PUBLISHED), mount(STAGING, { device: "8:16" })];
    const { volumes } = discover([published(), staged({ driver: "other.example" })], host({ mounts }));
    expect(volumes.map(({ driver, device }) => [driver, device])).toEqual([
      ["driver.example", "loop0"],
      ["other.example", "sdb"],
    ]);
  });

  test("are told apart where driver and handle are the same when written one behind the other", () => {
    expect(
      volumesOf([entry({ driver: "a", handle: "bc" }), entry({ driver: "ab", handle: "c" })]),
    ).toHaveLength(2);
    expect(
      volumesOf([entry({ driver: "a\0b", handle: "c" }), entry({ driver: "a", handle: "b\0c" })]),
    ).toHaveLength(2);
  });
});

describe("a discovery", () => {
  test("keeps the device of which not all backing is known, and counts the volume once as backing_unresolved", () => {
    const on = host({ mounts: [mount(PUBLISHED), mount(STAGING, { device: "8:16" })] });
    const incomplete = { devices: [], complete: false };
    const backing = () => incomplete;
    const { volumes, skipped, skippedPaths } = discover([published(), staged()], {
      ...on,
      devices: { ...on.devices, backing },
    });
    expect(volumes.map(({ device }) => device)).toEqual(["loop0", "sdb"]);
    expect(skipped.backing_unresolved).toBe(1);
    expect(skippedPaths).toHaveLength(1);
  });

  test("counts what could not be named by its reason", () => {
    const unnamed: SkippedPath[] = [
      { path: "/b", reason: "bad_json" },
      { path: "/a", reason: "unsafe_path" },
      { path: "/c", reason: "bad_json" },
    ];
    const { skipped, skippedPaths } = discover([], host({}), unnamed);
    expect(skipped).toMatchObject({ bad_json: 2, unsafe_path: 1, no_mount: 0 });
    expect(skippedPaths.map(({ path }) => path)).toEqual(["/a", "/b", "/c"]);
  });

  test("is sorted, whatever the order of the entries and mounts", () => {
    const at = (n: number) => `${ROOT}/pods/p${n}/volumes/kubernetes.io~csi/pv/mount`;
    const entries = Array.from({ length: 20 }, (_, n) =>
      entry({ path: `/${n}`, handle: `vol-${n % 7}`, driver: `d${n % 3}`, mountPoints: [at(n)] }),
    );
    const mounts = entries.map((_, n) => mount(at(n), { device: n % 2 === 0 ? "7:0" : "8:16" }));
    const forwards = discover(entries, host({ mounts }));
    const backwards = discover(entries.toReversed(), host({ mounts: mounts.toReversed() }));
    expect(backwards.volumes).toEqual(forwards.volumes);
    const keys = forwards.volumes.map(({ driver, handle, device }) => `${driver} ${handle} ${device}`);
    expect(keys).toEqual(keys.toSorted());
  });
});
