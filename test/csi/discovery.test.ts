import { describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  blockDeviceNumber,
  CsiDiscovery,
  type DiscoveryOptions,
  type Sources,
} from "../../src/csi/discovery.ts";
import { KubeletError } from "../../src/csi/kubelet.ts";
import { BlockDevices } from "../../src/host/block-devices.ts";
import { MountInfoError, MountTable } from "../../src/host/mountinfo.ts";
import { WatchedFiles } from "../../src/host/watched-files.ts";
import { CsiNode } from "../support/csi-node.ts";
import {
  blockDirectory,
  publishedDirectory,
  removeFromPod,
  stagedDirectory,
} from "../support/kubelet-tree.ts";
import { buildBlockDevices } from "../support/sysfs-tree.ts";

const LOOP0 = { name: "loop0", dev: "7:0" };
const LOOP1 = { name: "loop1", dev: "7:1" };
const DRIVER = "driver.example";

const ONE = { driver: DRIVER, handle: "vol-1", pv: "pv-1", pods: ["a"], mount: { device: "7:0" } };
const TWO = { driver: DRIVER, handle: "vol-2", pv: "pv-2", pods: ["b"], mount: { device: "7:1" } };
const RAW = { kind: "block", driver: DRIVER, handle: "raw-1", pv: "pv-raw", pods: ["a"] } as const;

const within = (ms: number, signal = new AbortController().signal) => ({
  signal,
  deadline: performance.now() + ms,
});

interface Changes extends Partial<DiscoveryOptions> {
  readonly refresh?: () => number;
  readonly nodeNumber?: (path: string) => string | undefined;
}

/** A discovery on real files, and how often it listed a directory. */
function open(node: CsiNode, { refresh, nodeNumber, ...options }: Changes = {}) {
  const files = new WatchedFiles();
  const mounts = new MountTable(join(node.procfs, "self/mountinfo"));
  // As in sysfs: else a /sys of ordinary files, where an inode number may come again, is read in each discovery.
  const devices = new BlockDevices(node.sysfs, () => true);
  let listed = 0;
  const counting: Sources["files"] = {
    refresh: refresh ?? ((below) => files.refresh(below)),
    list: (directory) => {
      listed++;
      return files.list(directory);
    },
    read: (path, maxBytes) => files.read(path, maxBytes),
    token: (path) => files.token(path),
    forgetAll: () => files.forgetAll(),
  };
  const discovery = new CsiDiscovery(
    { kubelet: node.kubelet, rootfs: node.directory, vendors: [], ...options },
    { files: counting, mounts, devices, ...(nodeNumber && { nodeNumber }) },
  );
  const run = async () => discovery.run(within(10_000));
  return {
    discovery,
    run,
    /** `handle@device` of all volumes, and the reasons why there are no more. */
    async seen(): Promise<string[]> {
      const { discovery: found } = await run();
      return [
        ...found.volumes.map(({ handle, device }) => `${handle}@${device}`),
        ...found.skippedPaths.map(({ reason }) => reason),
      ];
    },
    listed: () => listed,
    [Symbol.dispose]() {
      files.close();
      mounts.close();
    },
  };
}

describe("a discovery", () => {
  test("finds one volume in two pods and where it is staged as one", async () => {
    using node = new CsiNode({ volumes: [{ ...ONE, pods: ["a", "b"], staged: true }], devices: [LOOP0] });
    using opened = open(node);
    expect(await opened.seen()).toEqual(["vol-1@loop0"]);
  });

  test("finds a raw block volume by its binds, and leaves the pod's symlink alone", async () => {
    using node = new CsiNode({ volumes: [{ ...RAW, device: "loop1" }], devices: [LOOP1] });
    const link = join(node.kubelet, "pods/a/volumeDevices/kubernetes.io~csi/pv-raw");
    const before = lstatSync(link);
    using opened = open(node);
    expect(await opened.seen()).toEqual(["raw-1@loop1"]);
    expect(lstatSync(link).atimeMs).toBe(before.atimeMs);
  });

  test("finds the volumes of a kubelet's directory that is a symlink, whose mounts have resolved paths", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    const kubelet = join(node.directory, "kubelet");
    symlinkSync(node.kubelet, kubelet);
    using opened = open(node, { kubelet });
    expect(await opened.seen()).toEqual(["vol-1@loop0"]);
  });

  test("looks below the other directory once the symlink leads there", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using other = new CsiNode();
    const kubelet = join(node.directory, "kubelet");
    symlinkSync(node.kubelet, kubelet);
    using opened = open(node, { kubelet });
    await opened.run();
    symlinkSync(other.kubelet, join(node.directory, "next"));
    renameSync(join(node.directory, "next"), kubelet);
    expect(await opened.seen()).toEqual([]);
  });

  test("needs nothing staged: plugins may be missing", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    rmSync(join(node.kubelet, "plugins"), { recursive: true, force: true });
    using opened = open(node);
    expect(await opened.seen()).toEqual(["vol-1@loop0"]);
  });
});

describe("a result is remembered", () => {
  test("as the same object while nothing changes", async () => {
    using node = new CsiNode({ volumes: [ONE, { ...RAW, device: "loop1" }], devices: [LOOP0, LOOP1] });
    using opened = open(node);
    const first = await opened.run();
    expect((await opened.run()).discovery).toBe(first.discovery);
    expect((await opened.run()).discovery).toBe(first.discovery);
  });

  test("without a look at the kubelet's files where they are known not to have changed", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    // Whatever file system holds the tree, and whether or not it tells of changes.
    using opened = open(node, { refresh: () => 1 });
    const first = await opened.run();
    const listed = opened.listed();
    expect((await opened.run()).discovery).toBe(first.discovery);
    expect(opened.listed()).toBe(listed);
  });

  test("until a volume is published", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0, LOOP1] });
    using opened = open(node);
    await opened.run();
    node.add(TWO);
    expect(await opened.seen()).toEqual(["vol-1@loop0", "vol-2@loop1"]);
  });

  test("until the file of a volume comes without a mount, and then until the mount comes", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0, LOOP1] });
    using opened = open(node);
    await opened.run();
    const before = node.mounts.length;
    node.add(TWO);
    const coming = node.mounts.splice(before);
    node.writeMounts();
    expect(await opened.seen()).toEqual(["vol-1@loop0", "no_mount"]);
    node.mounts.push(...coming);
    node.writeMounts();
    expect(await opened.seen()).toEqual(["vol-1@loop0", "vol-2@loop1"]);
  });

  test("until a volume is unmounted, and then until its pod is gone", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using opened = open(node);
    await opened.run();
    node.mounts = [];
    node.writeMounts();
    expect(await opened.seen()).toEqual(["no_mount"]);
    removeFromPod(node.kubelet, "a");
    expect(await opened.seen()).toEqual([]);
  });

  test("until a file says something else", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using opened = open(node);
    await opened.run();
    const file = join(publishedDirectory(node.kubelet, "a", "pv-1"), "vol_data.json");
    writeFileSync(file, JSON.stringify({ driverName: DRIVER, volumeHandle: "vol-9" }));
    expect(await opened.seen()).toEqual(["vol-9@loop0"]);
  });

  test("until a device comes or goes", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP1] });
    using opened = open(node);
    expect(await opened.seen()).toEqual(["unresolved"]);
    buildBlockDevices(node.sysfs, [LOOP0]);
    expect(await opened.seen()).toEqual(["vol-1@loop0"]);
    rmSync(join(node.sysfs, "dev/block/7:0"));
    rmSync(join(node.sysfs, "class/block/loop0"));
    expect(await opened.seen()).toEqual(["unresolved"]);
  });

  test("until what lies below a device changes", async () => {
    const disks = [
      { name: "sda", dev: "8:0" },
      { name: "sdb", dev: "8:16" },
    ];
    const dm = { name: "dm-0", dev: "7:0", slaves: ["sda"], dm: { name: "vg-lv", uuid: "LVM-1" } };
    using node = new CsiNode({ volumes: [ONE], devices: [...disks, dm] });
    using opened = open(node);
    const backing = async () =>
      (await opened.run()).discovery.volumes.flatMap((volume) =>
        volume.backing.devices.map(({ device }) => device),
      );
    expect(await backing()).toEqual(["sda"]);
    const slaves = join(node.sysfs, "class/block/dm-0/slaves");
    rmSync(join(slaves, "sda"));
    symlinkSync("../../sdb", join(slaves, "sdb"));
    expect(await backing()).toEqual(["sdb"]);
  });

  test("until a device node has another number, of which nothing tells", async () => {
    using node = new CsiNode({ volumes: [RAW], devices: [LOOP0, LOOP1] });
    const path = join(blockDirectory(node.kubelet, "pv-raw"), "dev/a");
    let number: string | undefined = "7:0";
    using opened = open(node, { nodeNumber: (asked) => (asked === path ? number : undefined) });
    expect(await opened.seen()).toEqual(["raw-1@loop0"]);
    number = "7:1";
    expect(await opened.seen()).toEqual(["raw-1@loop1"]);
    number = undefined;
    expect(await opened.seen()).toEqual(["no_mount"]);
  });

  test("not over a failure: what changed meanwhile is seen afterwards", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0, LOOP1] });
    using opened = open(node);
    await opened.run();
    const pods = join(node.kubelet, "pods");
    renameSync(pods, `${pods}-away`);
    await expect(opened.run()).rejects.toThrow(KubeletError);
    renameSync(`${pods}-away`, pods);
    node.add(TWO);
    expect(await opened.seen()).toEqual(["vol-1@loop0", "vol-2@loop1"]);
  });
});

describe("a discovery fails", () => {
  async function failure(node: CsiNode, options: Partial<DiscoveryOptions> = {}): Promise<unknown> {
    using opened = open(node, options);
    return opened.run().then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  test("where the kubelet's directory is missing", async () => {
    using node = new CsiNode();
    const error = await failure(node, { kubelet: join(node.directory, "nowhere") });
    expect(error).toBeInstanceOf(KubeletError);
    expect(error).toMatchObject({
      code: "ENOENT",
      message: `cannot read ${node.directory}/nowhere: no such file or directory`,
    });
  });

  test("where pods is missing", async () => {
    using node = new CsiNode();
    rmSync(join(node.kubelet, "pods"), { recursive: true });
    const error = await failure(node);
    expect(error).toBeInstanceOf(KubeletError);
    expect(error).toMatchObject({ code: "ENOENT", message: expect.stringContaining("/kubelet/pods") });
  });

  test("where the kubelet's directory is a file", async () => {
    using node = new CsiNode();
    const kubelet = node.write("a-file", "");
    expect(await failure(node, { kubelet })).toMatchObject({ name: "KubeletError", code: "ENOTDIR" });
  });

  test("where the mount table is missing", async () => {
    using node = new CsiNode();
    rmSync(join(node.procfs, "self/mountinfo"));
    expect(await failure(node)).toBeInstanceOf(MountInfoError);
  });

  test("where its time is over before it has walked or resolved", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using opened = open(node);
    await expect(opened.discovery.run(within(-1))).rejects.toThrow("before the deadline");
    expect(await opened.seen()).toEqual(["vol-1@loop0"]);
    node.mounts = [];
    node.writeMounts();
    await expect(opened.discovery.run(within(-1))).rejects.toThrow("before the deadline");
  });

  test("with the signal's reason where nobody waits any more", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using opened = open(node);
    const gone = new Error("nobody waits");
    await expect(opened.discovery.run(within(1000, AbortSignal.abort(gone)))).rejects.toBe(gone);
  });
});

describe("the files of vendors", () => {
  const TRIDENT = "csi.trident.netapp.io";
  const NAS = { driver: TRIDENT, handle: "pvc-7", pv: "pv-7", pods: ["a"] };
  const TRACKING = "var/lib/trident/tracking/pvc-7.json";
  const SECRET = "s3cr3t-chap-password";
  const tracked = JSON.stringify({ devicePath: "/dev/loop1", chapInfo: { password: SECRET } });

  const trident = { vendors: ["trident"] } as const;

  test("tell the device of a volume that has no mount", async () => {
    using node = new CsiNode({ volumes: [NAS], devices: [LOOP0, LOOP1] });
    node.write(TRACKING, tracked);
    using opened = open(node, trident);
    const { discovery, vendors } = await opened.run();
    expect(discovery.volumes).toMatchObject([{ handle: "pvc-7", device: "loop1", persistentVolume: "pv-7" }]);
    expect(discovery.skipped.no_mount).toBe(0);
    expect(vendors.get("trident")?.failures).toEqual([]);
    expect(JSON.stringify({ discovery, vendors: [...vendors] })).not.toContain(SECRET);
  });

  test("are not read unless they are named in the configuration", async () => {
    using node = new CsiNode({ volumes: [NAS], devices: [LOOP1] });
    node.write(TRACKING, tracked);
    using opened = open(node);
    expect(await opened.seen()).toEqual(["no_mount"]);
    expect((await opened.run()).vendors.size).toBe(0);
  });

  test("override nothing that a mount tells", async () => {
    const mounted = { ...NAS, mount: { device: "7:0" } };
    const shared = { ...NAS, mount: { device: "0:50", fstype: "nfs4", source: "filer:/x" } };
    for (const [volume, expected] of [
      [mounted, "pvc-7@loop0"],
      [shared, "network_filesystem"],
    ] as const) {
      using node = new CsiNode({ volumes: [volume], devices: [LOOP0, LOOP1] });
      node.write(TRACKING, tracked);
      using opened = open(node, trident);
      expect(await opened.seen()).toEqual([expected]);
    }
  });

  test("of another vendor's volume say nothing, nor does one about a device that is not there", async () => {
    using node = new CsiNode({
      volumes: [
        { ...NAS, driver: DRIVER },
        { ...NAS, pods: ["b"] },
      ],
      devices: [LOOP0],
    });
    node.write(TRACKING, tracked);
    using opened = open(node, trident);
    expect(await opened.seen()).toEqual(["no_mount", "no_mount"]);
  });

  test("are looked for again in each run where the directory is missing, which is no failure", async () => {
    using node = new CsiNode({ volumes: [NAS], devices: [LOOP1] });
    using opened = open(node, trident);
    expect((await opened.run()).vendors.get("trident")?.failures).toEqual([]);
    expect(await opened.seen()).toEqual(["no_mount"]);
    node.write(TRACKING, tracked);
    expect(await opened.seen()).toEqual(["pvc-7@loop1"]);
  });

  test("that cannot be used are a failure of each run, remembered or not, which does not tell what they hold", async () => {
    using node = new CsiNode({ volumes: [NAS], devices: [LOOP1] });
    node.write(TRACKING, `{"devicePath": "${SECRET}`);
    using opened = open(node, trident);
    for (let run = 0; run < 2; run++) {
      const failures = (await opened.run()).vendors.get("trident")?.failures;
      expect(failures).toMatchObject([{ path: join(node.directory, TRACKING) }]);
      expect(JSON.stringify(failures)).not.toContain(SECRET);
    }
    expect(await opened.seen()).toEqual(["no_mount"]);
  });

  test("of Trident that are still being written (tmp-…) are ignored", async () => {
    using node = new CsiNode({ volumes: [NAS], devices: [LOOP1] });
    node.write("var/lib/trident/tracking/tmp-pvc-7.json", tracked);
    using opened = open(node, trident);
    expect(await opened.seen()).toEqual(["no_mount"]);
  });

  describe("of HPE", () => {
    const HPE = { driver: "csi.hpe.com", handle: "hpe-1", pv: "pv-h", staged: true };
    const info = JSON.stringify({ volume_id: "hpe-1", device: { path_name: "loop1" } });
    const globalMount = (node: CsiNode) =>
      join(stagedDirectory(node.kubelet, HPE.driver, HPE.handle), "globalmount");

    test("tell the device of a staged volume", async () => {
      using node = new CsiNode({ volumes: [HPE], devices: [LOOP1] });
      writeFileSync(join(globalMount(node), "deviceInfo.json"), info);
      using opened = open(node, { vendors: ["hpe"] });
      expect(await opened.seen()).toEqual(["hpe-1@loop1"]);
    });

    test("inside of a mounted volume are the tenant's, and ignored", async () => {
      const mount = { device: "9:9" };
      using node = new CsiNode({ volumes: [{ ...HPE, mount }], devices: [LOOP1] });
      writeFileSync(join(globalMount(node), "deviceInfo.json"), info);
      using opened = open(node, { vendors: ["hpe"] });
      expect(await opened.seen()).toEqual(["unresolved"]);
    });
  });
});

describe("the number of a device node", () => {
  test("is none for anything else, or where nothing is", () => {
    using node = new CsiNode();
    expect(blockDeviceNumber(node.write("file", ""))).toBeUndefined();
    expect(blockDeviceNumber(node.directory)).toBeUndefined();
    expect(blockDeviceNumber("/dev/null")).toBeUndefined();
    expect(blockDeviceNumber(join(node.directory, "missing"))).toBeUndefined();
    mkdirSync(join(node.directory, "d"));
    symlinkSync("/dev/loop0", join(node.directory, "d/link"));
    expect(blockDeviceNumber(join(node.directory, "d/link"))).toBeUndefined();
  });
});
