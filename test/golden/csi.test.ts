/** The whole exposition, and the log, of Kubernetes nodes; fixtures/golden/README.md says what each shows. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CsiNode, collectOn, type NodeDescription } from "../support/csi-node.ts";
import { expectGolden } from "../support/golden.ts";
import { type FileSystemVolume, publishedDirectory, type Volume } from "../support/kubelet-tree.ts";

const DRIVER = "driver.example";
const onDevice = (name: string, device: string, about: Partial<FileSystemVolume> = {}): Volume => ({
  driver: DRIVER,
  handle: `vol-${name}`,
  pv: `pv-${name}`,
  pods: [`pod-${name}`],
  mount: { device },
  ...about,
});
const on = (name: string, fstype: string, device: string, source: string, root = "/"): Volume =>
  onDevice(name, device, { mount: { device, fstype, source, root } });

const DEVICES: NodeDescription["devices"] = [
  { name: "loop0", dev: "7:0" },
  { name: "loop1", dev: "7:1" },
  { name: "sda", dev: "8:0" },
  { name: "sda1", dev: "8:1", partitionOf: "sda" },
  { name: "sdb", dev: "8:16" },
  { name: "sdc", dev: "8:32" },
  { name: "sdd", dev: "8:48" },
  { name: "sde", dev: "8:64" },
  { name: "sdf", dev: "8:80" },
  { name: "nvme1n1", dev: "259:0" },
  { name: "nvme1n1p1", dev: "259:1", partitionOf: "nvme1n1" },
  { name: "rbd0", dev: "252:0" },
  { name: "md0", dev: "9:0", slaves: ["sde", "sdf"] },
  { name: "dm-0", dev: "253:0", slaves: ["sdc", "sdd"], dm: { name: "mpatha", uuid: "mpath-3600a0b80" } },
  { name: "dm-1", dev: "253:1", slaves: ["dm-0"], dm: { name: "luks-a", uuid: "CRYPT-LUKS2-1" } },
  { name: "dm-2", dev: "253:2", slaves: ["sda1", "sdb"], dm: { name: "vg-lv", uuid: "LVM-1" } },
  { name: "dm-3", dev: "253:3", slaves: ["rbd0"], dm: { name: "luks-b", uuid: "CRYPT-LUKS2-2" } },
  { name: "dm-4", dev: "253:4", slaves: ["md0"], dm: { name: "luks-c", uuid: "CRYPT-LUKS2-3" } },
  { name: "dm-5", dev: "253:5", slaves: ["dm-6"], dm: { name: "loop-a", uuid: "LVM-2" } },
  { name: "dm-6", dev: "253:6", slaves: ["dm-5"], dm: { name: "loop-b", uuid: "LVM-3" } },
];

const MAPPED: NodeDescription = {
  devices: DEVICES,
  volumes: [
    onDevice("shared", "7:0", { pods: ["pod-1", "pod-2"], staged: true }),
    { kind: "block", driver: DRIVER, handle: "raw", pv: "pv-raw", pods: ["pod-1"], device: "loop1" },
    onDevice("staged-only", "8:16", { pods: [], staged: true }),
    onDevice("staged-before-1.24", "8:16", { pods: [], staged: "pv" }),
    onDevice("staged-child", "8:16", { pods: [], staged: true, stagedChild: "vol-staged-child" }),
    onDevice("luks-on-multipath", "253:1"),
    onDevice("luks-on-rbd", "253:3"),
    onDevice("luks-on-raid", "253:4"),
    onDevice("lv-on-two-disks", "253:2"),
    onDevice("partition", "259:1"),
    on("btrfs", "btrfs", "0:45", "/dev/sdb"),
    on("btrfs-on-lv", "btrfs", "0:46", "/dev/mapper/vg-lv"),
    onDevice("cyclic", "253:5"),
    onDevice("named", "8:32", { pv: "tenant/claim", pods: ["pod-3"] }),
    onDevice("named", "8:32", { pv: "other-name", pods: ["pod-4"] }),
    onDevice("same-handle", "8:48", { pods: ["pod-5"] }),
    onDevice("same-handle", "8:64", { pods: ["pod-6"], driver: "other.example" }),
    onDevice("odd", "8:80", { handle: 'a"\n}\\', pv: "prüfung" }),
  ],
};

const SKIPPED: NodeDescription = {
  devices: [{ name: "sdb", dev: "8:16" }],
  volumes: [
    onDevice("good", "8:16"),
    on("hostpath", "ext4", "254:0", "/dev/vda1", "/csi-data-dir/hp-0003"),
    onDevice("inline", "", {
      ephemeral: true,
      mount: { device: "0:70", fstype: "tmpfs", source: "secrets inline" },
    }),
    { driver: DRIVER, handle: "vol-orphan", pv: "pv-orphan", pods: ["pod-orphan"] },
    { driver: DRIVER, handle: "vol-unstaged", pv: "pv-unstaged", staged: true },
    on("nfs", "nfs4", "0:71", "10.0.0.1:/export"),
    on("rclone", "fuse.rclone", "0:72", "remote:bucket"),
    onDevice("pulled", "8:240"),
    { kind: "block", driver: DRIVER, handle: "gone", pv: "pv-gone", pods: ["p"], device: "sdz//deleted" },
  ],
};

describe.each(Object.entries({ mapped: MAPPED, skipped: SKIPPED }))(
  "a node with %s volumes",
  (name, described) => {
    test("gives the exposition and the log of its golden files, and the same bytes again", async () => {
      using node = new CsiNode(described);
      if (name === "skipped") spoil(node);
      using collecting = collectOn(node);
      const exposition = await collecting.scrape();
      expectGolden(`csi/${name}.prom`, exposition);
      const log = collecting.logLines();
      expectGolden(`csi/${name}.log`, log.map((line) => `${line}\n`).join(""));
      expect(withoutCounts(await collecting.scrape())).toBe(withoutCounts(exposition));
      expect(collecting.logLines()).toEqual([]);
    });
  },
);

/** Beside the volumes stands what cannot be one. */
function spoil({ kubelet }: CsiNode): void {
  const directory = (pv: string): string => {
    const path = publishedDirectory(kubelet, "pod-bad", pv);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const files: Record<string, string> = {
    empty: "",
    truncated: '{"driverName": "driver.exa',
    list: '["driver.example"]',
    "no-handle": '{"driverName": "driver.example"}',
    "number-as-handle": '{"driverName": "driver.example", "volumeHandle": 7}',
    large: `{"driverName": "driver.example", "volumeHandle": "a"}${" ".repeat(2 * 1024 * 1024)}`,
    "long-handle": JSON.stringify({ driverName: "driver.example", volumeHandle: "h".repeat(1025) }),
  };
  for (const [pv, text] of Object.entries(files)) writeFileSync(join(directory(pv), "vol_data.json"), text);
  symlinkSync("/etc/hostname", join(directory("symlink"), "vol_data.json"));
  mkdirSync(join(directory("directory"), "vol_data.json"));
  symlinkSync("/etc", join(directory("empty"), "../linked"));
}

test("a node without the kubelet's pods gives nothing but the failure", async () => {
  using node = new CsiNode(MAPPED);
  rmSync(join(node.kubelet, "pods"), { recursive: true });
  using collecting = collectOn(node);
  expectGolden("csi/no-pods.prom", await collecting.scrape());
  expectGolden(
    "csi/no-pods.log",
    collecting
      .logLines()
      .map((line) => `${line}\n`)
      .join(""),
  );
});

test("the OpenMetrics exposition of mapped volumes is that of its golden file", async () => {
  using node = new CsiNode(MAPPED);
  using collecting = collectOn(node);
  expectGolden("csi/mapped.openmetrics", await collecting.scrape("openmetrics"));
});

/** Each scrape is one discovery more. */
const withoutCounts = (exposition: string): string =>
  exposition.replace(/^(\w+_discovery_duration_seconds_count\{.*\}) .*$/gm, "$1 N");
