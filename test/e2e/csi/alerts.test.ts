/**
 * The alerts as a real Prometheus gives them, over scrapes of a real plumbline: a path fails, and the alert names the
 * volume. The node is a simulated /sys and mount table; the states of the paths are served as node_exporter 1.12 names
 * them (collector/dmmultipath_linux.go, collector/nvmesubsystem_linux.go), because Debian 12 has none that knows them.
 */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectFiring, firingAlert, hastyCsiRules } from "../../support/csi-alerts.ts";
import { describeWith, PROMETHEUS } from "../../support/debian.ts";
import { buildKubelet, mountInfoText, rootMount } from "../../support/kubelet-tree.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { seriesKey } from "../../support/series.ts";
import { FROM_SOURCES } from "../../support/source-runs.ts";
import { buildBlockDevices } from "../../support/sysfs-tree.ts";
import { serve } from "./service.ts";

const DRIVER = "block.csi.example.com";

/** LUKS on a multipath device of two disks, a namespace with two controllers, and a disk that has no second path. */
function makeNode(directory: string): string[] {
  const sysfs = join(directory, "sys");
  const procfs = join(directory, "proc");
  const kubelet = join(directory, "kubelet");
  buildBlockDevices(sysfs, [
    { name: "sda", dev: "8:0" },
    { name: "sdb", dev: "8:16" },
    { name: "sdc", dev: "8:32" },
    { name: "dm-0", dev: "253:0", slaves: ["sda", "sdb"], dm: { name: "mpatha", uuid: "mpath-3600a" } },
    { name: "dm-1", dev: "253:1", slaves: ["dm-0"], dm: { name: "luks-a", uuid: "CRYPT-LUKS2-a" } },
    { name: "nvme1n1", dev: "259:3" },
  ]);
  const mounts = buildKubelet(kubelet, [
    { driver: DRIVER, handle: "a", pv: "pv-luks", pods: ["pod-1"], staged: true, mount: { device: "253:1" } },
    { driver: DRIVER, handle: "b", pv: "pv-fabrics", pods: ["pod-1"], mount: { device: "259:3" } },
    { driver: DRIVER, handle: "c", pv: "pv-plain", pods: ["pod-2"], mount: { device: "8:32" } },
  ]);
  mkdirSync(join(procfs, "self"), { recursive: true });
  writeFileSync(join(procfs, "self/mountinfo"), mountInfoText([rootMount("254:0"), ...mounts]));
  return [`--path.sysfs=${sysfs}`, `--path.procfs=${procfs}`, `--path.kubelet=${kubelet}`];
}

/** Undefined: node_exporter does not tell. */
interface Paths {
  active: number | undefined;
  failed: number | undefined;
  live: number | undefined;
}

const WHOLE: Readonly<Paths> = { active: 2, failed: 0, live: 2 };

/** What node_exporter says of the paths, and of what was written to the volumes. */
function exposition({ active, failed, live }: Paths, writtenBytes: number): string {
  const multipath = '{device="mpatha",sysfs_name="dm-0"}';
  const subsystem = 'subsystem="nvme-subsys0"';
  const known = live !== undefined;
  const series = {
    [`node_dmmultipath_device_paths_active${multipath}`]: active,
    [`node_dmmultipath_device_paths_failed${multipath}`]: failed,
    [`node_nvmesubsystem_namespace_info{device="nvme1n1",${subsystem}}`]: known ? 1 : undefined,
    [`node_nvmesubsystem_paths{${subsystem}}`]: known ? 2 : undefined,
    [`node_nvmesubsystem_paths_live{${subsystem}}`]: live,
    'node_disk_written_bytes_total{device="dm-1"}': writtenBytes,
  };
  return Object.entries(series)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key} ${value}\n`]))
    .join("");
}

/** The label of a target, as docs/csi.md has it. */
const ON_NODE = ", labels: { node: node-a }";
const inNode = { node: "node-a", driver: DRIVER };
const ON_MULTIPATH = {
  ...inNode,
  ...{ volume_handle: "a", persistentvolume: "pv-luks", device: "dm-1" },
  ...{ sysfs_name: "dm-0", multipath: "mpatha" },
};
const ON_FABRICS = {
  ...inNode,
  ...{ volume_handle: "b", persistentvolume: "pv-fabrics", device: "nvme1n1" },
  ...{ backing_device: "nvme1n1", subsystem: "nvme-subsys0" },
};

describeWith([PROMETHEUS], "the alerts", () => {
  test("name the volume whose paths fail, and no other, for as long as they do", async () => {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-alerts-"));
    const paths: Paths = { ...WHOLE };
    const state = (now: Partial<Paths>) => void Object.assign(paths, WHOLE, now);
    let written = 0;
    const nodeExporter = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch() {
        written += 1024;
        return new Response(exposition(paths, written));
      },
    });
    try {
      await using service = await serve(FROM_SOURCES, ...makeNode(directory));
      const target = (address: string, more = "") => `static_configs: [{ targets: ["${address}"]${more} }]`;
      await using prometheus = await startPrometheus(
        `honor_labels: true\n${target(new URL(service.origin).host, ON_NODE)}`,
        {
          jobs: { "node-exporter": target(nodeExporter.url.host, ON_NODE) },
          rules: hastyCsiRules(),
        },
      );
      await prometheus.until("sum(up)", 2);
      await prometheus.until("count(csi_volume_backing_device_info)", 3);
      await prometheus.until("count(node_persistentvolume_device:node_disk_written_bytes:rate5m > 0)", 1);
      const io = await prometheus.query("node_persistentvolume_device:node_disk_written_bytes:rate5m");
      expect([...io.keys()]).toEqual([
        seriesKey("node_persistentvolume_device:node_disk_written_bytes:rate5m", {
          ...inNode,
          ...{ volume_handle: "a", persistentvolume: "pv-luks", device: "dm-1" },
        }),
      ]);
      await expectFiring(prometheus);

      state({ active: 1, failed: 1 });
      await expectFiring(prometheus, firingAlert("CSIVolumeMultipathDegraded", "warning", ON_MULTIPATH));
      state({});
      await expectFiring(prometheus);
      state({ active: 0, failed: 2 });
      await expectFiring(prometheus, firingAlert("CSIVolumeMultipathLost", "critical", ON_MULTIPATH));

      state({ live: 1 });
      await expectFiring(prometheus, firingAlert("CSIVolumeNVMeSubsystemDegraded", "warning", ON_FABRICS));
      state({ live: 0 });
      await expectFiring(prometheus, firingAlert("CSIVolumeNVMeSubsystemLost", "critical", ON_FABRICS));
      state({});
      await expectFiring(prometheus);

      // The kernel gives the namespace up, and the alert about its paths with it: the volume is still not forgotten.
      state({ live: 0 });
      await expectFiring(prometheus, firingAlert("CSIVolumeNVMeSubsystemLost", "critical", ON_FABRICS));
      const [known, away] = [join(directory, "sys/dev/block/259:3"), join(directory, "removed")];
      renameSync(known, away);
      state({ live: undefined });
      await expectFiring(prometheus, firingAlert("CSIVolumeDeviceGone", "critical", { node: "node-a" }));
      renameSync(away, known);
      state({});
      await expectFiring(prometheus);

      // Whether the paths are whole cannot be told while their exporter bears another name, or says nothing.
      state({ active: undefined, failed: undefined });
      await expectFiring(prometheus, firingAlert("CSIVolumeMultipathUnknown", "warning", { node: "node-a" }));

      // What cannot be told any more must not look well: the volumes are gone, and so their alerts.
      state({ active: 1, failed: 1 });
      await expectFiring(prometheus, firingAlert("CSIVolumeMultipathDegraded", "warning", ON_MULTIPATH));
      const pods = join(directory, "kubelet/pods");
      renameSync(pods, `${pods}-away`);
      const down = { node: "node-a", operator_health_impact: "warning" };
      await prometheus.until('plumbline_collector_success{collector="csi"}', 0);
      await expectFiring(prometheus, firingAlert("CSIVolumeDeviceExporterDown", "warning", down));
      renameSync(`${pods}-away`, pods);
      await expectFiring(prometheus, firingAlert("CSIVolumeMultipathDegraded", "warning", ON_MULTIPATH));

      service.process.kill("SIGTERM");
      expect(await service.process.exited).toBe(0);
      // One alert that nobody discovers volumes, one that the target does not answer.
      await prometheus.until('count(ALERTS{alertname="CSIVolumeDeviceExporterDown",alertstate="firing"})', 2);
    } finally {
      await nodeExporter.stop(true);
      rmSync(directory, { recursive: true });
    }
  }, 180_000);
});
