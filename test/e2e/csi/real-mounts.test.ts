/** CSI volumes on real mounts: what plumbline says of them is what losetup, lsblk and findmnt say. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describeUnless } from "../../support/debian.ts";
import { lackingForMounts, type SilentMount } from "../../support/real-mounts.ts";
import { seriesKey } from "../../support/series.ts";
import {
  DELETED_LOOP,
  DRIVER,
  KubeletNode,
  mountVolumes,
  POD_A,
  POD_B,
  VOLUMES,
  type Volume,
} from "./node.ts";
import { exposition, FORMS, ofCollector, serve, sorted } from "./service.ts";

const PATIENCE_MS = 60_000;

/** Both series of a volume. */
function series({ name, handle, driver = DRIVER }: Volume, device: string, backing = device): string[] {
  const labels = { node: "node-a", driver, volume_handle: handle, persistentvolume: name, device };
  const role = backing === device ? "leaf" : "partition_parent";
  return [
    seriesKey("csi_volume_node_device_info", labels),
    seriesKey("csi_volume_backing_device_info", { ...labels, backing_device: backing, role }),
  ];
}

/** What is true of `VOLUMES` once they are mounted. */
function truth(node: KubeletNode): Map<string, number> {
  const v = VOLUMES;
  const on = (volume: Volume, image: string) => series(volume, node.deviceOf(image));
  const found = [
    ...on(v.shared, "shared"),
    ...on(v.xfs, "xfs"),
    ...on(v.btrfs, "btrfs"),
    ...on(v.subvolume, "btrfs"),
    ...on({ ...v.stagedOnly, name: "" }, "staged-only"),
    ...on(v.block, "block"),
    ...on(v.blockNodeOnly, "block-node-only"),
    ...series(v.partition, `${node.deviceOf("partition")}p1`, node.deviceOf("partition")),
    ...on(v.stacked, "stacked-above"),
    ...on(v.strange, "strange"),
    ...on(v.twin, "twin"),
  ];
  return exposition(
    found,
    { [DRIVER]: 10, "other.csi.example.com": 1 },
    { unresolved: 1, ephemeral: 1, virtual_filesystem: 3, same_filesystem: 1, no_mount: 1 },
  );
}

describeUnless(lackingForMounts(), "CSI volumes on real mounts", () => {
  let node: KubeletNode;
  let silent: readonly SilentMount[] = [];
  const in_ = (volume: Volume, pod = POD_A) => join(node.podDirectory(pod, volume), "mount");
  const start = (command: readonly string[]) =>
    serve(node.mounts.enter(...command), `--path.kubelet=${node.root}`);

  beforeAll(async () => {
    node = await KubeletNode.open();
    silent = await mountVolumes(node);
  }, PATIENCE_MS);

  afterAll(async () => {
    for (const mount of silent) await mount.end();
    await node[Symbol.asyncDispose]();
  }, PATIENCE_MS);

  test("the node is what findmnt and lsblk take it for", () => {
    const mounted = (volume: Volume, pod?: string) => node.mountedAt(in_(volume, pod));
    expect(mounted(VOLUMES.shared, POD_B)).toBe(`/dev/${node.deviceOf("shared")} ext4`);
    expect(mounted(VOLUMES.xfs)).toBe(`/dev/${node.deviceOf("xfs")} xfs`);
    expect(mounted(VOLUMES.btrfs)).toBe(`/dev/${node.deviceOf("btrfs")} btrfs`);
    expect(mounted(VOLUMES.subvolume, POD_B)).toBe(`/dev/${node.deviceOf("btrfs")}[/volume] btrfs`);
    expect(mounted(VOLUMES.partition)).toBe(`/dev/${node.deviceOf("partition")}p1 ext4`);
    expect(mounted(VOLUMES.stacked)).toBe(`/dev/${node.deviceOf("stacked-above")} ext4`);
    expect(mounted(VOLUMES.hostPath)).toBe(`/dev/${node.deviceOf("node")}[/csi-data-dir/hp-0003] ext4`);
    expect(mounted(VOLUMES.silent, POD_B)).toBe("silent fuse.silent");
    const parents = node.mounts.run("lsblk", "--noheadings", "--raw", "--output", "KNAME,PKNAME");
    expect(parents).toContain(`${node.deviceOf("partition")}p1 ${node.deviceOf("partition")}`);
    const table = node.mounts.run("cat", "/proc/self/mountinfo");
    expect(table).toMatch(new RegExp(` /loop${DELETED_LOOP}//deleted .* devtmpfs `));
  });

  test(
    "whoever asks the mount that never answers hangs",
    async () => {
      const [mount] = silent;
      const [program = "", ...args] = node.mounts.enter("stat", in_(VOLUMES.silent, POD_B));
      expect(mount?.waiting()).toBe(1);
      const child = Bun.spawn([program, ...args], { stdout: "ignore", stderr: "ignore" });
      const deadline = performance.now() + 10_000;
      while (mount?.waiting() !== 2 && performance.now() < deadline) await Bun.sleep(20);
      expect(mount?.waiting()).toBe(2);
      await Bun.sleep(500);
      expect(child.exitCode).toBeNull();
      child.kill("SIGKILL");
      await child.exited;
      expect(mount?.waiting()).toBe(1);
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, every volume is on its device or counted under its reason",
    async (_, command) => {
      await using service = await start(command);
      expect(sorted(await service.scrape())).toEqual(sorted(truth(node)));
      expect(sorted(await service.scrape())).toEqual(sorted(truth(node)));
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, nothing asks the mounts that never answer, in serve, textfile and check",
    async (_, command) => {
      await using service = await start(command);
      const before = silent.map((mount) => mount.waiting());
      await Promise.all([service.scrape(), service.scrape()]);
      const once = (...args: string[]) => {
        const flags = [`--path.kubelet=${node.root}`, "--collector.disable-defaults", "--collector.csi"];
        const [program = "", ...rest] = node.mounts.enter(...command, ...args, ...flags);
        return spawnSync(program, rest, { encoding: "utf8", timeout: 30_000, env: { NODE_NAME: "node-a" } });
      };
      const directory = node.mounts.makeDirectory(join(node.mounts.directory, "textfile"));
      const textfile = once(
        "textfile",
        `--textfile.directory=${directory}`,
        `--state.directory=${directory}`,
      );
      expect(textfile).toMatchObject({ status: 0, signal: null });
      const written = node.mounts.run("cat", join(directory, "plumbline.prom"));
      expect(sorted(ofCollector(`${written}\n`))).toEqual(sorted(truth(node)));
      const check = once("check");
      expect(check.signal).toBeNull();
      expect(check.stdout).toContain(DRIVER);
      expect(silent.map((mount) => mount.waiting())).toEqual(before);
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, the scrape after a change shows it: mounts and unmounts, new and removed volumes",
    async (form, command) => {
      await using service = await start(command);
      const expected = truth(node);
      const scraped = async () => sorted(await service.scrape());
      const add = (key: string, change: number) => expected.set(key, (expected.get(key) ?? 0) + change);
      const discovered = (change: number) =>
        add(`csi_volume_device_exporter_volumes_discovered{driver="${DRIVER}"}`, change);
      const skipped = (reason: string, change: number) =>
        add(`csi_volume_device_exporter_volumes_skipped{reason="${reason}"}`, change);
      const appear = (keys: readonly string[]) => keys.forEach((key) => void expected.set(key, 1));
      const vanish = (keys: readonly string[]) => keys.forEach((key) => void expected.delete(key));
      expect(await scraped()).toEqual(sorted(expected));

      // The same disk under the same path was another one before.
      node.mounts.unmount(in_(VOLUMES.stacked));
      vanish(series(VOLUMES.stacked, node.deviceOf("stacked-above")));
      appear(series(VOLUMES.stacked, node.deviceOf("stacked-below")));
      expect(await scraped()).toEqual(sorted(expected));
      node.mounts.mount(`/dev/${node.deviceOf("stacked-above")}`, in_(VOLUMES.stacked));
      vanish(series(VOLUMES.stacked, node.deviceOf("stacked-below")));
      appear(series(VOLUMES.stacked, node.deviceOf("stacked-above")));
      expect(await scraped()).toEqual(sorted(expected));

      // One of two pods goes: nothing to see. Its directory is left behind as an orphan, then cleared away.
      node.mounts.unmount(in_(VOLUMES.shared, POD_B));
      expect(await scraped()).toEqual(sorted(expected));
      node.unpublish(POD_B, VOLUMES.shared);
      expect(await scraped()).toEqual(sorted(expected));
      const back = node.publish(POD_B, VOLUMES.shared);
      node.mounts.mount(in_(VOLUMES.shared), back, "--bind");
      expect(await scraped()).toEqual(sorted(expected));

      // A volume comes: first its file, then its mount; and goes: first its mount, then its file.
      const late: Volume = { name: "pv-late", handle: "handle-of-pv-late" };
      const mountPoint = node.publish(POD_A, late);
      skipped("no_mount", 1);
      expect(await scraped()).toEqual(sorted(expected));
      const image = `late-${FORMS.findIndex(([name]) => name === form)}`;
      const device = node.disk(image, "ext4");
      node.mounts.mount(device, mountPoint);
      skipped("no_mount", -1);
      discovered(1);
      const lateSeries = series(late, node.deviceOf(image));
      appear(lateSeries);
      expect(await scraped()).toEqual(sorted(expected));
      node.mounts.unmount(mountPoint);
      discovered(-1);
      vanish(lateSeries);
      skipped("no_mount", 1);
      expect(await scraped()).toEqual(sorted(expected));
      node.unpublish(POD_A, late);
      skipped("no_mount", -1);
      expect(await scraped()).toEqual(sorted(expected));

      // A raw block volume is unpublished: binds first, then the node that the kubelet made.
      const staging = join(node.root, "plugins/kubernetes.io/csi/volumeDevices");
      const places = [
        join(staging, "staging", VOLUMES.block.name, VOLUMES.block.handle),
        join(staging, "publish", VOLUMES.block.name, POD_A),
        join(staging, VOLUMES.block.name, "dev", POD_A),
      ];
      for (const place of places) node.mounts.unmount(place);
      discovered(-1);
      vanish(series(VOLUMES.block, node.deviceOf("block")));
      skipped("no_mount", 1);
      expect(await scraped()).toEqual(sorted(expected));
      for (const place of places) node.mounts.bindFile(`/dev/${node.deviceOf("block")}`, place);
      discovered(1);
      appear(series(VOLUMES.block, node.deviceOf("block")));
      skipped("no_mount", -1);
      expect(await scraped()).toEqual(sorted(expected));
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, the scrape after `btrfs replace`, of which no mount tells, names the new disk",
    async (form, command) => {
      await using service = await start(command);
      const images = ["replaced", "replacing"].map((role) => `${role}-${form}`.replaceAll(/\W/g, "-"));
      const [before = "", after = ""] = images.map((image) => node.disk(image));
      node.mounts.format(before, "btrfs");
      const volume: Volume = { name: "pv-replaced", handle: "handle-of-pv-replaced" };
      const mountPoint = node.publish(POD_A, volume);
      node.mounts.mount(before, mountPoint);
      const scraped = async () =>
        [...(await service.scrape()).keys()].filter((key) => key.includes(volume.name));
      const on = (device: string) => series(volume, device.slice("/dev/".length));
      expect((await scraped()).sort()).toEqual(on(before).sort());
      node.mounts.run("btrfs", "replace", "start", "-B", "-f", before, after, mountPoint);
      expect((await scraped()).sort()).toEqual(on(after).sort());
      node.mounts.unmount(mountPoint);
      node.unpublish(POD_A, volume);
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, what never answers over a directory of the kubelet's is one volume unread, and nothing waits for it",
    async (_, command) => {
      const pod = node.mounts.makeDirectory(join(node.root, "pods/0c0c0c0c-0000-4000-8000-00000000000c"));
      await using service = await start(command);
      await service.scrape();
      const hung = await node.mounts.mountSilent(pod);
      try {
        const expected = truth(node);
        expected.set('csi_volume_device_exporter_volumes_skipped{reason="unreadable"}', 1);
        expect(sorted(await service.scrape())).toEqual(sorted(expected));
      } finally {
        await hung.end();
        node.mounts.unmount(pod);
      }
      expect(sorted(await service.scrape())).toEqual(sorted(truth(node)));
    },
    PATIENCE_MS,
  );
});
