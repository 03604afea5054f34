import { describe, expect, test } from "bun:test";
import { identifyController } from "../../src/demo/nvme-pages.ts";
import type { HistogramValue, Value } from "../../src/metrics/samples.ts";
import { DeltaStore } from "../../src/nvme/delta.ts";
import { createEbsCollector, EBS, type EbsOptions } from "../../src/nvme/ebs.ts";
import type { Answer, Controller } from "../../src/nvme/model.ts";
import {
  controllerOf,
  ebsController,
  FakeDevices,
  familiesOf,
  namespaceOf,
  RecordedFaults,
  scrapeContext,
  seriesOf,
} from "../support/nvme-devices.ts";
import { ebsVolumePage } from "../support/nvme-volumes.ts";

const AMAZON = identifyController({ vendorId: 0x1d0f, model: "Amazon Elastic Block Store", mapping: "sdf" });

const L = 'node="ip-10-0-0-1",device="nvme1n1",volume_id="vol-0123456789abcdef0"';

/** One EBS volume that answers as the specification has it. */
const oneVolume = (controller: Controller = ebsController("nvme1")) =>
  new FakeDevices(controller)
    .answer(controller.name, "identify_controller", AMAZON)
    .answer(controller.name, "ebs", ebsVolumePage());

async function scrape(devices: FakeDevices, options: Partial<EbsOptions> = {}) {
  const faults = new RecordedFaults();
  const place = { node: "ip-10-0-0-1", clusterId: undefined, deltas: new DeltaStore(), ...options };
  const { samples, success } = await createEbsCollector(devices, faults, place).collect(scrapeContext());
  return { samples, series: seriesOf(samples), success, faults };
}

const histogramOf = (value: Value | HistogramValue | undefined): HistogramValue => {
  if (typeof value !== "object") throw new Error("no histogram");
  return value;
};

describe("collector ebs", () => {
  test("gives the counters of a volume with its labels", async () => {
    const { series, success, faults } = await scrape(oneVolume());
    const scalars = [...series].filter(([, value]) => typeof value !== "object");
    expect(Object.fromEntries(scalars)).toEqual({
      [`ebs_volume_performance_exceeded_iops_total{${L}}`]: 41892491n,
      [`ebs_volume_performance_exceeded_throughput_total{${L}}`]: 2219379n,
      [`ebs_instance_performance_exceeded_iops_total{${L}}`]: 0n,
      [`ebs_instance_performance_exceeded_throughput_total{${L}}`]: 0n,
      [`ebs_total_read_ops_total{${L}}`]: 60329n,
      [`ebs_total_write_ops_total{${L}}`]: 1290n,
      [`ebs_total_read_bytes_total{${L}}`]: 988430336n,
      [`ebs_total_write_bytes_total{${L}}`]: 21135360n,
      [`ebs_total_read_time_total{${L}}`]: 38000000n,
      [`ebs_total_write_time_total{${L}}`]: 1900000n,
      [`ebs_volume_queue_length{${L}}`]: 2n,
      [`ebs_volume_info{${L},controller="nvme1",mapping="/dev/sdf"}`]: 1,
      'plumbline_nvme_devices{collector="ebs"}': 1,
    });
    expect(success).toBe(true);
    expect(faults.reasons).toEqual([]);
    expect(faults.settled).toBe(1);
  });

  test("gives the latencies cumulated, in seconds, with the last bin as +Inf", async () => {
    const { series } = await scrape(oneVolume());
    const read = histogramOf(series.get(`ebs_read_io_latency_seconds{${L}}`));
    expect(read.upperBounds).toHaveLength(27);
    expect(read.upperBounds[0]).toBe(0.000001);
    expect(read.counts[read.upperBounds.indexOf(0.000512)]).toBe(15869n);
    expect(read.counts[read.upperBounds.indexOf(0.001024)]).toBe(59746n);
    expect(read).toMatchObject({ count: 60329n, sum: 38 });
    const write = histogramOf(series.get(`ebs_write_io_latency_seconds{${L}}`));
    expect(write.upperBounds.at(-1)).toBe(67.108864);
    expect(write.counts.at(-1)).toBe(1289n);
    expect(write).toMatchObject({ count: 1290n, sum: 1.9 });
  });

  test("counters beyond 2^53 keep all their digits", async () => {
    const values = { readOps: 2n ** 53n + 1n, writeOps: 2n ** 63n, readBytes: 2n ** 64n - 1n };
    const devices = oneVolume().answer("nvme1", "ebs", ebsVolumePage(values));
    const { series } = await scrape(devices);
    expect(series.get(`ebs_total_read_ops_total{${L}}`)).toBe(9007199254740993n);
    expect(series.get(`ebs_total_write_ops_total{${L}}`)).toBe(9223372036854775808n);
    expect(series.get(`ebs_total_read_bytes_total{${L}}`)).toBe(18446744073709551615n);
  });

  test("every family that it declares is emitted, and no other", async () => {
    const devices = oneVolume();
    const deltas = new DeltaStore();
    await scrape(devices, { deltas });
    devices.now += 30_000;
    const { samples } = await scrape(devices, { deltas });
    const declared = EBS.descriptors.map(({ name }) => name);
    expect([...familiesOf(samples), "plumbline_nvme_device_errors_total"].sort()).toEqual(declared.sort());
  });

  test("cluster_id is a label only where it is configured", async () => {
    const { series } = await scrape(oneVolume(), { clusterId: "c-1" });
    expect(series.has(`ebs_total_read_ops_total{cluster_id="c-1",${L}}`)).toBe(true);
  });

  test("the device is the head of the namespace, not a path to it", async () => {
    const namespaces = [namespaceOf("nvme1c2n1", { name: "nvme1n1" })];
    const { series } = await scrape(oneVolume(ebsController("nvme2", { namespaces })));
    expect(series.has(`ebs_total_read_ops_total{${L}}`)).toBe(true);
    expect(series.has(`ebs_volume_info{${L},controller="nvme2",mapping="/dev/sdf"}`)).toBe(true);
  });

  test.each([
    ["vol0123456789abcdef0", "vol-0123456789abcdef0"],
    ["vol-0123456789abcdef0", "vol-0123456789abcdef0"],
    ["AWS0123", "AWS0123"],
    ["", ""],
  ])("serial number %p is volume %p", async (serial, volumeId) => {
    const { series } = await scrape(oneVolume(ebsController("nvme1", { serial })));
    const labels = `node="ip-10-0-0-1",device="nvme1n1",volume_id="${volumeId}"`;
    expect(series.has(`ebs_total_read_ops_total{${labels}}`)).toBe(true);
  });

  test("a volume without a mapping has an info without one", async () => {
    const devices = oneVolume().answer(
      "nvme1",
      "identify_controller",
      identifyController({ vendorId: 0x1d0f }),
    );
    const { series } = await scrape(devices);
    expect(series.has(`ebs_volume_info{${L},controller="nvme1"}`)).toBe(true);
  });

  test("other controllers are asked nothing", async () => {
    const devices = new FakeDevices(
      controllerOf("nvme0"),
      controllerOf("nvme1", { model: "Amazon EC2 NVMe Instance Storage" }),
      controllerOf("nvme2", { model: "Amazon Elastic Block Store Extra" }),
    );
    const { series, success } = await scrape(devices);
    expect(devices.asked).toEqual([]);
    expect(Object.fromEntries(series)).toEqual({ 'plumbline_nvme_devices{collector="ebs"}': 0 });
    expect(success).toBe(true);
  });

  test("the vendor is asked before the statistics, each once", async () => {
    const devices = oneVolume();
    await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller", "ebs"]);
  });
});

describe("EBS_DEVICE", () => {
  const volumes = () =>
    new FakeDevices(
      ebsController("nvme0", { serial: "vol0" }),
      ebsController("nvme1", { namespaces: [namespaceOf("nvme1c1n1", { name: "nvme1n1" })] }),
    );

  test.each(["/dev/nvme1n1", "nvme1n1", "/dev/nvme1", "nvme1", "/dev/nvme1c1n1"])(
    "%s limits the collector to nvme1",
    async (device) => {
      const devices = volumes();
      const { series } = await scrape(devices, { device });
      expect(devices.pagesAsked("nvme0")).toEqual([]);
      expect(devices.pagesAsked("nvme1")).not.toEqual([]);
      expect(series.get('plumbline_nvme_devices{collector="ebs"}')).toBe(1);
    },
  );

  test("empty limits nothing", async () => {
    const { series } = await scrape(volumes(), { device: "" });
    expect(series.get('plumbline_nvme_devices{collector="ebs"}')).toBe(2);
  });

  test("of a device that is no EBS volume leaves nothing, and check says so", async () => {
    const { series, success } = await scrape(volumes(), { device: "/dev/nvme11" });
    expect(series.get('plumbline_nvme_devices{collector="ebs"}')).toBe(0);
    expect(success).toBe(true);
    const options = { node: "n", clusterId: undefined, device: "/dev/nvme11", deltas: new DeltaStore() };
    const found = await createEbsCollector(volumes(), new RecordedFaults(), options).check(scrapeContext());
    expect(found).toMatchObject([{ level: "warning", subject: "/dev/nvme11" }]);
    expect(found[0]?.remedy).toContain("EBS_DEVICE");
  });
});

describe("a volume that fails", () => {
  const INFO_FREE = ["plumbline_nvme_devices"];

  test.each([0x1b36, 0])(
    "Amazon's model with vendor %d is no volume: bad_identity, no log page asked",
    async (vendorId) => {
      const devices = oneVolume().answer("nvme1", "identify_controller", identifyController({ vendorId }));
      const { samples, series, success, faults } = await scrape(devices);
      expect(familiesOf(samples)).toEqual(INFO_FREE);
      expect(series.get('plumbline_nvme_devices{collector="ebs"}')).toBe(0);
      expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller"]);
      expect(faults.reasons).toEqual(["nvme1 bad_identity"]);
      expect(faults.recorded[0]?.detail).toContain(`0x${vendorId.toString(16).padStart(4, "0")}`);
      expect(success).toBe(true);
    },
  );

  test("without a namespace there is nothing of it, and it is not asked", async () => {
    const devices = oneVolume(ebsController("nvme1", { namespaces: [] }));
    const { samples, success, faults } = await scrape(devices);
    expect(familiesOf(samples)).toEqual(INFO_FREE);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller"]);
    expect(faults.reasons).toEqual(["nvme1 no_namespace"]);
    expect(success).toBe(false);
  });

  test.each([
    ["0x12345678", ebsVolumePage({ magic: 0x12345678 })],
    ["of zeros", new Uint8Array(4096)],
    ["of a page cut short", ebsVolumePage().subarray(0, 64)],
  ])("magic %s: nothing from the page", async (_, page) => {
    const { samples, success, faults } = await scrape(oneVolume().answer("nvme1", "ebs", page));
    expect(familiesOf(samples)).toEqual(INFO_FREE);
    expect(faults.reasons).toEqual(["nvme1 bad_magic"]);
    expect(success).toBe(false);
  });

  const DESCENDING = [
    { lowerUs: 8n, upperUs: 16n, count: 1 },
    { lowerUs: 0n, upperUs: 8n, count: 1 },
  ];
  test.each<[string, Parameters<typeof ebsVolumePage>[0]]>([
    ["65 bins", { readBinCount: 65n }],
    ["descending bounds", { writeBins: DESCENDING }],
    [
      "a lower bound above the upper",
      {
        readBins: [
          { lowerUs: 2n, upperUs: 1n, count: 1 },
          { lowerUs: 2n, upperUs: 4n, count: 1 },
        ],
      },
    ],
  ])("%s: the counters stay and the histograms go", async (_, changes) => {
    const { samples, success, faults } = await scrape(
      oneVolume().answer("nvme1", "ebs", ebsVolumePage(changes)),
    );
    expect(familiesOf(samples)).toContain("ebs_total_read_ops_total");
    expect(familiesOf(samples).filter((name) => name.includes("latency"))).toEqual([]);
    expect(faults.reasons).toEqual(["nvme1 bad_histogram"]);
    expect(success).toBe(true);
  });

  test("no bins: the counters alone, and no fault", async () => {
    const page = ebsVolumePage({ readBins: [], writeBins: [] });
    const { samples, faults } = await scrape(oneVolume().answer("nvme1", "ebs", page));
    expect(familiesOf(samples)).toContain("ebs_total_read_ops_total");
    expect(familiesOf(samples).filter((name) => name.includes("latency"))).toEqual([]);
    expect(faults.reasons).toEqual([]);
  });

  const ANSWERS: [Exclude<Answer, { readonly kind: "page" }>, string, boolean][] = [
    [{ kind: "not_live" }, "not_live", false],
    [{ kind: "permission", errno: 13 }, "permission", false],
    [{ kind: "open", errno: 2 }, "open", false],
    [{ kind: "not_a_device" }, "not_a_device", false],
    [{ kind: "ioctl", errno: 25 }, "ioctl", false],
    [{ kind: "status", status: 0x400b }, "nvme_status", false],
    [{ kind: "timeout" }, "timeout", false],
    [{ kind: "busy" }, "busy", false],
    [{ kind: "unsupported_page", status: 0x4002 }, "unsupported_page", true],
  ];

  test.each(ANSWERS)("statistics answered with %j: nothing of it, reason %s", async (answer, reason, ok) => {
    const { samples, success, faults } = await scrape(oneVolume().answer("nvme1", "ebs", answer));
    expect(familiesOf(samples)).toEqual(INFO_FREE);
    expect(faults.reasons).toEqual([`nvme1 ${reason}`]);
    expect(success).toBe(ok);
  });

  test.each(ANSWERS)("Identify answered with %j: the statistics are not asked", async (answer, reason) => {
    const devices = oneVolume().answer("nvme1", "identify_controller", answer);
    const { samples, faults } = await scrape(devices);
    expect(familiesOf(samples)).toEqual(INFO_FREE);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller"]);
    expect(faults.reasons).toEqual([`nvme1 ${reason}`]);
  });

  test("does not concern the other volume", async () => {
    const devices = oneVolume();
    devices.controllers.unshift(ebsController("nvme0", { serial: "vol0fedcba9876543210" }));
    devices.answer("nvme0", "identify_controller", { kind: "timeout" });
    const { series, success, faults } = await scrape(devices);
    expect(series.get(`ebs_total_read_ops_total{${L}}`)).toBe(60329n);
    expect(series.get('plumbline_nvme_devices{collector="ebs"}')).toBe(2);
    expect(faults.reasons).toEqual(["nvme0 timeout"]);
    expect(success).toBe(true);
  });
});

describe("delta gauges", () => {
  const DELTA_FAMILIES = EBS.descriptors
    .map(({ name }) => name)
    .filter((name) => /_check$|_percent$|_interval_seconds$/.test(name));

  const at = (devices: FakeDevices, second: number, volumeIopsExceededUs: bigint) => {
    devices.now = second * 1000;
    return devices.answer("nvme1", "ebs", ebsVolumePage({ volumeIopsExceededUs }));
  };
  const deltasIn = ({ samples }: Awaited<ReturnType<typeof scrape>>) =>
    familiesOf(samples).filter((name) => DELTA_FAMILIES.includes(name));

  test("there are seven", () => {
    expect(DELTA_FAMILIES).toHaveLength(7);
  });

  test("1000000 to 4000000 µs in 30 s is 10 percent and check 1", async () => {
    const deltas = new DeltaStore();
    const devices = at(oneVolume(), 0, 1000000n);
    expect(deltasIn(await scrape(devices, { deltas }))).toEqual([]);
    const { series } = await scrape(at(devices, 30, 4000000n), { deltas });
    expect(series.get(`ebs_volume_performance_exceeded_iops_percent{${L}}`)).toBe(10);
    expect(series.get(`ebs_volume_iops_exceeded_check{${L}}`)).toBe(1);
    expect(series.get(`ebs_volume_performance_exceeded_throughput_percent{${L}}`)).toBe(0);
    expect(series.get(`ebs_volume_throughput_exceeded_check{${L}}`)).toBe(0);
    expect(series.get(`ebs_instance_performance_exceeded_iops_percent{${L}}`)).toBe(0);
    expect(series.get(`ebs_instance_performance_exceeded_throughput_percent{${L}}`)).toBe(0);
    expect(series.get(`ebs_collection_interval_seconds{${L}}`)).toBe(30);
  });

  test("a reading that is shared repeats them", async () => {
    const deltas = new DeltaStore();
    const devices = at(oneVolume(), 0, 1000000n);
    await scrape(devices, { deltas });
    await scrape(at(devices, 30, 4000000n), { deltas });
    const { series } = await scrape(devices, { deltas });
    expect(series.get(`ebs_volume_performance_exceeded_iops_percent{${L}}`)).toBe(10);
  });

  test("are silent after a reset", async () => {
    const deltas = new DeltaStore();
    const devices = at(oneVolume(), 0, 4000000n);
    await scrape(devices, { deltas });
    expect(deltasIn(await scrape(at(devices, 30, 1000000n), { deltas }))).toEqual([]);
    expect(deltasIn(await scrape(at(devices, 60, 1000000n), { deltas }))).toHaveLength(7);
  });

  test("are silent after a scrape in which the controller was gone", async () => {
    const deltas = new DeltaStore();
    const devices = at(oneVolume(), 0, 1000000n);
    await scrape(devices, { deltas });
    await scrape(new FakeDevices(), { deltas });
    expect(deltasIn(await scrape(at(devices, 30, 4000000n), { deltas }))).toEqual([]);
  });

  test("are silent after another volume took the controller's name", async () => {
    const deltas = new DeltaStore();
    await scrape(at(oneVolume(), 0, 1000000n), { deltas });
    const other = oneVolume(ebsController("nvme1", { serial: "vol0fedcba9876543210" }));
    expect(deltasIn(await scrape(at(other, 30, 4000000n), { deltas }))).toEqual([]);
  });

  test("cover the longer time after a scrape in which the device did not answer", async () => {
    const deltas = new DeltaStore();
    const devices = at(oneVolume(), 0, 1000000n);
    await scrape(devices, { deltas });
    devices.answer("nvme1", "ebs", { kind: "timeout" });
    expect(deltasIn(await scrape(devices, { deltas }))).toEqual([]);
    const { series } = await scrape(at(devices, 60, 4000000n), { deltas });
    expect(series.get(`ebs_collection_interval_seconds{${L}}`)).toBe(60);
    expect(series.get(`ebs_volume_performance_exceeded_iops_percent{${L}}`)).toBe(5);
  });
});
