/**
 * The compiled binary on a Kubernetes node's volumes over real stacks of block devices: LUKS on multipath, LVM, MD,
 * NVMe over fabrics with two controllers, a partition, raw block. The guest boots once, csi-stacks.sh builds and breaks
 * them there, and what plumbline said is held here against lsblk and nvme-cli, and given to a real Prometheus.
 */
import { beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { plumblineBinary } from "../../support/binary.ts";
import { expectFiring, firingAlert, hastyCsiRules } from "../../support/csi-alerts.ts";
import {
  CURL,
  describeUnless,
  lacking,
  NODE_EXPORTER,
  PROMETHEUS,
  type Program,
} from "../../support/debian.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { seriesKey, seriesOfExposition } from "../../support/series.ts";
import { boot, prepare } from "./machine.ts";
import { multipathDevices, pathHealthExposition, subsystems, sysfsFiles } from "./path-health.ts";

const GUEST_MS = 180_000;
const PROGRAMS: readonly Program[] = [
  CURL,
  NODE_EXPORTER,
  { command: "cryptsetup", package: "cryptsetup-bin" },
  { command: "dmsetup", package: "dmsetup" },
  { command: "lvm", package: "lvm2" },
  { command: "mdadm", package: "mdadm" },
  { command: "mkfs.ext4", package: "e2fsprogs" },
  { command: "nvme", package: "nvme-cli" },
  { command: "addpart", package: "util-linux" },
];

/**
 * In order: all well; other disks moved under two volumes; one path of each failed, a volume more and a volume unmounted;
 * all paths failed; the namespace that had two removed by the kernel, and still mounted.
 */
const STAGES = ["whole", "moved", "degraded", "lost", "gone"] as const;
type Stage = (typeof STAGES)[number];

/** `lsblk -s`: the children of a device are what it stands on. */
interface BlockDevice {
  readonly kname: string;
  readonly type: string;
  readonly children: readonly BlockDevice[];
}
const BLOCK_DEVICE: v.GenericSchema<unknown, BlockDevice> = v.object({
  kname: v.string(),
  type: v.string(),
  children: v.optional(v.array(v.lazy(() => BLOCK_DEVICE)), []),
});
const LSBLK = v.object({ blockdevices: v.array(BLOCK_DEVICE) });

const SUBSYSTEMS = v.array(
  v.object({
    Subsystems: v.array(v.object({ NQN: v.string(), Paths: v.array(v.object({ State: v.string() })) })),
  }),
);

const kernel = prepare();
const reason = "lacking" in kernel ? kernel.lacking : lacking(PROGRAMS);

describeUnless(reason, "the binary in a guest with CSI volumes on stacks of block devices", () => {
  const seen = new Map<string, string>();
  const told = (name: string): string => seen.get(name) ?? `the guest wrote no ${name}`;

  beforeAll(async () => {
    if ("lacking" in kernel) return;
    const share = mkdtempSync(join(tmpdir(), "plumbline-guest-"));
    try {
      copyFileSync(join(import.meta.dir, "csi-stacks.sh"), join(share, "csi-stacks.sh"));
      const guest = await boot(kernel, {
        devices: [],
        parameters: [],
        command: `sh -x /share/csi-stacks.sh '${await plumblineBinary()}' /share`,
        share,
        timeoutMs: GUEST_MS,
      });
      for (const name of readdirSync(share)) seen.set(name, readFileSync(join(share, name), "utf8"));
      if (guest.status !== 0) throw new Error(`${guest.output}\n${seen.get("log")}\n${guest.console}`);
    } finally {
      rmSync(share, { recursive: true });
    }
  }, GUEST_MS + 10_000);

  const volumes = (stage: Stage): Volume[] =>
    told("devices")
      .trim()
      .split("\n")
      .map((line) => line.split(" "))
      .map(([pv = "", driver = "", handle = "", device = ""]) => ({ pv, driver, handle, device }))
      .filter(({ pv }) => isMounted(pv, stage));
  const family = (stage: Stage, name: string): string[] =>
    [...seriesOfExposition(told(`${stage}.prom`))].flatMap(([series, value]) =>
      series.startsWith(`${name}{`) ? [`${series} ${value}`] : [],
    );
  const backing = (stage: Stage, pv: string): string[] =>
    family(stage, "csi_volume_backing_device_info")
      .filter((series) => series.includes(`persistentvolume="${pv}"`))
      .map((series) => [/backing_device="([^"]+)"/, /role="([^"]+)"/].map((part) => part.exec(series)?.[1]))
      .map((pair) => pair.join(" "));
  const deviceMounted = (pv: string): string =>
    volumes("lost").find((volume) => volume.pv === pv)?.device ?? "";
  const mpatha = () => multipathDevices(paths("whole"))[0] ?? { sysfsName: "no multipath device" };
  const paths = (stage: Stage) => sysfsFiles(told(`${stage}.paths`));

  test.each(STAGES)("maps each volume to its device and to what lsblk finds below: %s", (stage) => {
    const { blockdevices } = v.parse(LSBLK, JSON.parse(told(`${stage}.lsblk.json`)));
    const expected = volumes(stage).map((volume) => {
      const device = blockdevices.find(({ kname }) => kname === volume.device);
      if (device === undefined) throw new Error(`lsblk knows no ${volume.device}`);
      return { volume, below: below(device) };
    });
    expect(expected.length).toBeGreaterThan(4);
    expect(family(stage, "csi_volume_node_device_info").sort()).toEqual(
      expected.map(({ volume }) => `${seriesKey("csi_volume_node_device_info", labelsOf(volume))} 1`).sort(),
    );
    expect(family(stage, "csi_volume_backing_device_info").sort()).toEqual(
      expected
        .flatMap(({ volume, below }) =>
          below.map(({ device, role }) => {
            const labels = { ...labelsOf(volume), backing_device: device, role };
            return `${seriesKey("csi_volume_backing_device_info", labels)} 1`;
          }),
        )
        .sort(),
    );
  });

  test("finds a multipath device below LUKS and a part of it, and never its paths", () => {
    expect(backing("whole", "pvc-multipath")).toEqual([`${mpatha().sysfsName} multipath`]);
    expect(backing("whole", "pvc-multipath-block")).toEqual([`${mpatha().sysfsName} multipath`]);
    expect(told("lost.prom")).not.toContain('"sd');
  });

  test("finds every disk of a logical volume and of LUKS on a mirror", () => {
    expect(backing("whole", "pvc-lvm")).toEqual(["ram0 leaf", "ram1 leaf"]);
    expect(backing("whole", "pvc-raid")).toEqual(["ram3 leaf", "ram4 leaf"]);
  });

  test("finds the namespace that two controllers share, and the disk of a partition", () => {
    expect(backing("lost", "pvc-fabrics")).toEqual([`${deviceMounted("pvc-fabrics")} leaf`]);
    expect(deviceMounted("pvc-fabrics")).toMatch(/^nvme\d+n1$/);
    const partition = deviceMounted("pvc-partition");
    expect(backing("lost", "pvc-partition")).toEqual([`${partition.replace(/p1$/, "")} partition_parent`]);
  });

  test("sees in the next scrape that pvmove and dmsetup put other disks under mounted volumes", () => {
    expect([backing("whole", "pvc-lvm"), backing("moved", "pvc-lvm")]).toEqual([
      ["ram0 leaf", "ram1 leaf"],
      ["ram0 leaf", "ram2 leaf"],
    ]);
    expect([backing("whole", "pvc-moving"), backing("moved", "pvc-moving")]).toEqual([
      ["ram5 leaf"],
      ["ram1 leaf"],
    ]);
  });

  test("counts a volume that was unmounted, one whose device the kernel removed, and no other as skipped", () => {
    const skipped = (stage: Stage) =>
      family(stage, "csi_volume_device_exporter_volumes_skipped").filter((series) => !series.endsWith(" 0"));
    const unmounted = 'csi_volume_device_exporter_volumes_skipped{reason="no_mount"} 1';
    const unresolved = 'csi_volume_device_exporter_volumes_skipped{reason="unresolved"} 1';
    expect(STAGES.map(skipped)).toEqual([[], [], [unmounted], [unmounted], [unmounted, unresolved]]);
    const discovered = 'csi_volume_device_exporter_volumes_discovered{driver="raid.example.com"}';
    expect(seriesOfExposition(told("whole.prom")).get(discovered)).toBe(1);
    expect(seriesOfExposition(told("degraded.prom")).get(discovered)).toBeUndefined();
  });

  test.each(STAGES)("never fails, whatever the devices do: %s", (stage) => {
    const series = seriesOfExposition(told(`${stage}.prom`));
    expect(series.get('plumbline_collector_success{collector="csi"}')).toBe(1);
    expect(series.get('csi_volume_device_exporter_discovery_errors_total{discoverer="kubelet"}')).toBe(0);
    expect(told("log")).not.toContain("level=error");
  });

  test("names devices as node_exporter does, which has all but partitions of NVMe", () => {
    const known = [...seriesOfExposition(told("node-exporter.prom")).keys()].map(
      (series) => /^node_disk_written_bytes_total\{device="(.+)"\}$/.exec(series)?.[1],
    );
    expect(volumes("lost").filter(({ device }) => !known.includes(device))).toEqual([
      expect.objectContaining({ pv: "pvc-partition" }),
    ]);
  });

  test.each(STAGES)(
    "the paths that the alerts will be told of are those that nvme-cli lists: %s",
    (stage) => {
      const listed = v
        .parse(SUBSYSTEMS, JSON.parse(told(`${stage}.subsystems.json`)))
        .flatMap((host) => host.Subsystems)
        .map(({ NQN, Paths }) => ({
          nqn: NQN,
          paths: Paths.length,
          live: Paths.filter(({ State }) => State === "live").length,
        }));
      const ours = subsystems(paths(stage)).map(({ nqn, paths, live }) => ({ nqn, paths, live }));
      const byName = (a: { nqn: string }, b: { nqn: string }) => a.nqn.localeCompare(b.nqn);
      expect(ours.sort(byName)).toEqual(listed.sort(byName));
      expect(listed).toHaveLength(2);
    },
  );

  describeUnless(lacking([PROMETHEUS]), "the alerts in a real Prometheus", () => {
    const alertsFor = (
      pvs: readonly string[],
      name: string,
      severity: string,
      more: Record<string, string>,
    ) =>
      volumes("lost")
        .filter(({ pv }) => pvs.includes(pv))
        .map((volume) => firingAlert(name, severity, { ...labelsOf(volume), ...more }));

    test("name the volumes that a dying path and the last one take down, and where a device is gone", async () => {
      let stage: Stage = "moved";
      const server = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: ({ url }) =>
          new Response(
            new URL(url).pathname === "/plumbline"
              ? told(`${stage}.prom`)
              : pathHealthExposition(paths(stage)),
          ),
      });
      const job = (path: string, labels: string) =>
        `metrics_path: ${path}\nhonor_labels: true\n` +
        `static_configs: [{ targets: ["${server.url.host}"], labels: {${labels}} }]`;
      try {
        await using prometheus = await startPrometheus(job("/plumbline", "node: guest"), {
          jobs: { "node-exporter": job("/node-exporter", "node: guest") },
          rules: hastyCsiRules(),
        });
        await prometheus.until("sum(up)", 2);
        await prometheus.until("count(csi_volume_node_device_info)", volumes("moved").length);
        await expectFiring(prometheus);

        const multipath = { sysfs_name: mpatha().sysfsName, multipath: "mpatha" };
        const device = deviceMounted("pvc-fabrics");
        const subsystem =
          subsystems(paths("lost")).find(({ devices }) => devices.includes(device))?.name ?? "";
        const fabrics = { backing_device: device, subsystem };
        const alerts = (what: string, severity: string) => [
          ...alertsFor(
            ["pvc-multipath", "pvc-multipath-block"],
            `CSIVolumeMultipath${what}`,
            severity,
            multipath,
          ),
          ...alertsFor(["pvc-fabrics"], `CSIVolumeNVMeSubsystem${what}`, severity, fabrics),
        ];

        stage = "degraded";
        await expectFiring(prometheus, ...alerts("Degraded", "warning"));
        stage = "lost";
        await expectFiring(prometheus, ...alerts("Lost", "critical"));
        // The kernel has given the controllers up, and the device that stood above them with them.
        stage = "gone";
        await expectFiring(
          prometheus,
          ...alerts("Lost", "critical").filter((alert) => alert.includes("Multipath")),
          firingAlert("CSIVolumeDeviceGone", "critical", { node: "guest" }),
        );
      } finally {
        await server.stop(true);
      }
    }, 90_000);
  });
});

interface Volume {
  readonly pv: string;
  readonly driver: string;
  readonly handle: string;
  /** Mounted for it: the kernel's name. */
  readonly device: string;
}

/** And its device is there. */
function isMounted(pv: string, stage: Stage): boolean {
  const early = stage === "whole" || stage === "moved";
  if (pv === "pvc-partition") return !early;
  if (pv === "pvc-raid") return early;
  return pv !== "pvc-fabrics" || stage !== "gone";
}

function labelsOf({ pv, driver, handle, device }: Volume): Record<string, string> {
  return { node: "guest", driver, volume_handle: handle, persistentvolume: pv, device };
}

/** What must be exported of a device, by the types that lsblk gives: it calls kpartx's maps partitions too. */
function below(device: BlockDevice): { device: string; role: string }[] {
  if (device.type === "mpath") return [{ device: device.kname, role: "multipath" }];
  if (device.children.length === 0) return [{ device: device.kname, role: "leaf" }];
  if (device.type === "part" && !device.kname.startsWith("dm-"))
    return device.children.map(({ kname }) => ({ device: kname, role: "partition_parent" }));
  return device.children.flatMap(below);
}
