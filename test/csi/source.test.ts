import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { csiAvailability, openCsi } from "../../src/csi/source.ts";
import { CsiNode, collectOn, ownMetrics } from "../support/csi-node.ts";
import { publishedDirectory } from "../support/kubelet-tree.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";

const ONE = { driver: "driver.example", handle: "vol-1", pv: "pv-1", pods: ["a"], mount: { device: "7:0" } };
const LOOP0 = { name: "loop0", dev: "7:0" };
const INFO = /^csi_volume_(?:node|backing)_device_info|^csi_volume_device_exporter_volumes_/m;
const ERRORS = 'csi_volume_device_exporter_discovery_errors_total{discoverer="kubelet"}';
const TIMESTAMP = /^csi_volume_device_exporter_last_successful_discovery_timestamp_seconds /m;

describe("whether the collector is on", () => {
  const availabilityAt = (node: CsiNode, kubelet = node.kubelet, kubeletIsNamed = false) => {
    const settings = node.settings({ kubeletIsNamed });
    return csiAvailability({ ...settings, path: { ...settings.path, kubelet } });
  };

  test("it is where the kubelet's directory is", () => {
    using node = new CsiNode();
    expect(availabilityAt(node)).toEqual({ available: true, reason: `${node.kubelet} exists` });
  });

  test("it is not where there is none, or a file", () => {
    using node = new CsiNode();
    const missing = join(node.directory, "nowhere");
    expect(availabilityAt(node, missing)).toEqual({
      available: false,
      reason: `${missing} does not exist`,
    });
    const file = node.write("file", "");
    expect(availabilityAt(node, file).available).toBe(false);
    expect(availabilityAt(node, join(file, "kubelet")).available).toBe(false);
  });

  test("it is not where nobody can tell, on most hosts for good", () => {
    using node = new CsiNode();
    const kubelet = join(node.directory, "k".repeat(300));
    expect(availabilityAt(node, kubelet)).toEqual({
      available: false,
      reason: expect.stringContaining(`${kubelet} cannot be seen: `),
    });
  });

  test("it is where somebody named a directory, be it a wrong one, so that this shows", () => {
    using node = new CsiNode();
    for (const name of ["nowhere", "var/lib/kubelet/pods/file", "k".repeat(300)]) {
      expect(availabilityAt(node, join(node.directory, name), true).available).toBe(true);
    }
    const missing = join(node.directory, "nowhere");
    expect(availabilityAt(node, missing, true).reason).toBe(`${missing} does not exist`);
  });
});

describe("the label node", () => {
  const warnings = (node: CsiNode, nodeNameIsHostName: boolean) => {
    const log = new RecordedLog();
    const source = openCsi(node.settings({ nodeNameIsHostName }), ownMetrics(), log);
    source.close();
    return log.lines;
  };

  test("is warned of, once, where it is the host's name by default", () => {
    using node = new CsiNode();
    expect(warnings(node, true)).toMatchObject([
      { level: "warn", fields: { node: "node-a", remedy: expect.stringContaining("NODE_NAME") } },
    ]);
  });

  test("is not warned of where somebody gave it, or where no kubelet runs", () => {
    using node = new CsiNode();
    expect(warnings(node, false)).toEqual([]);
    rmSync(join(node.kubelet, "pods"), { recursive: true });
    expect(warnings(node, true)).toEqual([]);
  });
});

describe("a scrape", () => {
  test("of a wrong kubelet root has no volumes, success 0 and a counted error; then it works again", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    const settings = node.settings();
    const kubelet = join(node.directory, "wrong");
    using collecting = collectOn(node, { ...settings, path: { ...settings.path, kubelet } });
    for (const count of [1, 2]) {
      const exposition = await collecting.scrape();
      expect(exposition).not.toMatch(INFO);
      expect(exposition).toContain('plumbline_collector_success{collector="csi"} 0\n');
      expect(exposition).toContain(`${ERRORS} ${count}\n`);
      expect(exposition).not.toMatch(TIMESTAMP);
    }
    expect(collecting.logLines()).toHaveLength(1);
    node.write("wrong/pods/.keep", "");
    expect(await collecting.scrape()).toContain('plumbline_collector_success{collector="csi"} 1\n');
    expect(collecting.logLines().join()).toContain("collector works again");
  });

  test("without the mount table has no volumes, and keeps the time of the last success", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using collecting = collectOn(node);
    expect(await collecting.scrape()).toMatch(INFO);
    rmSync(join(node.procfs, "self/mountinfo"));
    const exposition = await collecting.scrape();
    expect(exposition).not.toMatch(INFO);
    expect(exposition).toContain(`${ERRORS} 1\n`);
    expect(exposition).toMatch(TIMESTAMP);
  });

  test("that has no time for a discovery says so in time", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    using collecting = collectOn(node);
    const exposition = await collecting.scrape("text", 150);
    expect(exposition).not.toMatch(INFO);
    expect(exposition).toContain(`${ERRORS} 1\n`);
    expect(exposition).toContain('plumbline_collector_timeout_total{collector="csi"} 0\n');
    expect(collecting.logLines().join()).toContain("before the deadline");
  });

  test("leaves other collectors as they are where the discovery fails", async () => {
    using node = new CsiNode();
    rmSync(node.kubelet, { recursive: true });
    const collectors = { disableDefaults: true, chosen: { csi: true, nvme: true } };
    using collecting = collectOn(node, node.settings({ collectors }));
    const exposition = await collecting.scrape();
    expect(exposition).toContain('plumbline_collector_success{collector="csi"} 0\n');
    expect(exposition).toContain('plumbline_collector_success{collector="nvme"} 1\n');
  });

  test("has U+FFFD for bytes that are no UTF-8", async () => {
    using node = new CsiNode({ volumes: [ONE], devices: [LOOP0] });
    const [before, after] = ['{"driverName": "driver.example", "volumeHandle": "vol-', '"}'];
    const file = join(publishedDirectory(node.kubelet, "a", "pv-1"), "vol_data.json");
    writeFileSync(
      file,
      Buffer.concat([Buffer.from(before ?? ""), Buffer.of(0xff), Buffer.from(after ?? "")]),
    );
    using collecting = collectOn(node);
    expect(await collecting.scrape()).toContain('volume_handle="vol-\ufffd"');
  });

  test("never has a vendor's secret in its answer or its log, whether or not the file can be used", async () => {
    const secret = "s3cr3t-chap-password";
    const lun = { driver: "csi.trident.netapp.io", handle: "pvc-1", pv: "pv-1", pods: ["a"] };
    using node = new CsiNode({ volumes: [lun, { ...lun, handle: "pvc-2", pv: "pv-2" }], devices: [LOOP0] });
    const tracking = "var/lib/trident/tracking";
    node.write(`${tracking}/pvc-1.json`, JSON.stringify({ devicePath: "/dev/loop0", chap: secret }));
    node.write(`${tracking}/tmp-pvc-1.json`, JSON.stringify({ devicePath: "/dev/loop0", chap: secret }));
    node.write(`${tracking}/pvc-2.json`, `{"chap": "${secret}`);
    using collecting = collectOn(node, node.settings({ csi: { vendorFiles: ["trident"] } }));
    const exposition = await collecting.scrape();
    expect(exposition).toContain('volume_handle="pvc-1",persistentvolume="pv-1",device="loop0"');
    expect(exposition).toContain('discovery_errors_total{discoverer="trident"} 1\n');
    const log = collecting.logLines().join("\n");
    expect(log).toContain("pvc-2.json");
    expect(log + exposition).not.toContain(secret);
  });

  test("goes on counting where the run before, of which the state was kept, left off", async () => {
    using node = new CsiNode();
    rmSync(node.kubelet, { recursive: true });
    const first = ownMetrics();
    {
      using collecting = collectOn(node, node.settings(), first);
      await collecting.scrape();
    }
    const second = ownMetrics();
    second.restore(first.saved());
    using collecting = collectOn(node, node.settings(), second);
    expect(await collecting.scrape()).toContain(`${ERRORS} 2\n`);
  });
});
