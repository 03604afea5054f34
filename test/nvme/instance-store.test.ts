import { describe, expect, test } from "bun:test";
import { identifyController } from "../../src/demo/nvme-pages.ts";
import type { HistogramValue, Value } from "../../src/metrics/samples.ts";
import { createInstanceStoreCollector, INSTANCE_STORE } from "../../src/nvme/instance-store.ts";
import type { Answer, Controller } from "../../src/nvme/model.ts";
import {
  FakeDevices,
  familiesOf,
  instanceStoreController,
  RecordedFaults,
  scrapeContext,
  seriesOf,
} from "../support/nvme-devices.ts";
import { instanceStoreVolumePages } from "../support/nvme-volumes.ts";

const AMAZON = identifyController({ vendorId: 0x1d0f, model: "Amazon EC2 NVMe Instance Storage" });
const L = 'node="ip-10-0-0-1",device="nvme1n1",serial="AWS6AAAABBBBCCCC1"';

function oneVolume(
  changes: Parameters<typeof instanceStoreVolumePages>[0] = {},
  controller: Controller = instanceStoreController("nvme1"),
) {
  const { first, detail } = instanceStoreVolumePages(changes);
  return new FakeDevices(controller)
    .answer("nvme1", "identify_controller", AMAZON)
    .answer("nvme1", "instance_store", first)
    .answer("nvme1", "instance_store_detail", detail);
}

async function scrape(devices: FakeDevices, clusterId?: string) {
  const faults = new RecordedFaults();
  const collector = createInstanceStoreCollector(devices, faults, { node: "ip-10-0-0-1", clusterId });
  const { samples, success } = await collector.collect(scrapeContext());
  return { samples, series: seriesOf(samples), success, faults };
}

const histogramOf = (value: Value | HistogramValue | undefined): HistogramValue => {
  if (typeof value !== "object") throw new Error("no histogram");
  return value;
};

describe("collector instance_store", () => {
  test("gives the counters of a volume, times in seconds", async () => {
    const changes = {
      instanceIopsExceededUs: 1500000n,
      instanceThroughputExceededUs: 250000n,
      queueLength: 3n,
    };
    const { series, success, faults } = await scrape(oneVolume(changes));
    const scalars = [...series].filter(([, value]) => typeof value !== "object");
    expect(Object.fromEntries(scalars)).toEqual({
      [`ec2_instance_store_read_ops_total{${L}}`]: 67n,
      [`ec2_instance_store_write_ops_total{${L}}`]: 0n,
      [`ec2_instance_store_read_bytes_total{${L}}`]: 1101824n,
      [`ec2_instance_store_write_bytes_total{${L}}`]: 0n,
      [`ec2_instance_store_read_seconds_total{${L}}`]: 0.004284,
      [`ec2_instance_store_write_seconds_total{${L}}`]: 0,
      [`ec2_instance_store_exceeded_iops_seconds_total{${L}}`]: 1.5,
      [`ec2_instance_store_exceeded_throughput_seconds_total{${L}}`]: 0.25,
      [`ec2_instance_store_volume_queue_length{${L}}`]: 3n,
      'plumbline_nvme_devices{collector="instance_store"}': 1,
    });
    expect(success).toBe(true);
    expect(faults.reasons).toEqual([]);
  });

  test("gives the base histograms with their sums", async () => {
    const { series } = await scrape(oneVolume());
    const read = histogramOf(series.get(`ec2_instance_store_read_io_latency_seconds{${L}}`));
    expect(read).toMatchObject({ count: 67n, sum: 0.004284 });
    expect(read.counts[read.upperBounds.indexOf(0.000032)]).toBe(40n);
    expect(read.counts[read.upperBounds.indexOf(0.000064)]).toBe(60n);
    expect(histogramOf(series.get(`ec2_instance_store_write_io_latency_seconds{${L}}`))).toMatchObject({
      count: 0n,
      sum: 0,
    });
  });

  test("gives five bands of I/O sizes, without a sum", async () => {
    const { series } = await scrape(oneVolume());
    const bands = ["512", "4096", "8192", "32768", "+Inf"].map((size) =>
      histogramOf(series.get(`ec2_instance_store_read_io_size_latency_seconds{${L},io_size_le="${size}"}`)),
    );
    expect(bands.map(({ count }) => count)).toEqual([10n, 40n, 10n, 0n, 7n]);
    expect(bands.map(({ sum }) => sum)).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(bands[1]?.counts[bands[1].upperBounds.indexOf(0.000032)]).toBe(30n);
    const write = `ec2_instance_store_write_io_size_latency_seconds{${L},io_size_le="+Inf"}`;
    expect(histogramOf(series.get(write)).count).toBe(0n);
  });

  test("the last of 32 bins that a band keeps of 64 is +Inf", async () => {
    const writeBins = Array.from({ length: 64 }, (_, i) => ({
      lowerUs: BigInt(i),
      upperUs: BigInt(i + 1),
      count: 0,
    }));
    const bands = [{ sizeBound: 512, writes: { 0: 1n, 31: 2n } }];
    const { series, faults } = await scrape(oneVolume({ writeBins, bands }));
    const band = `ec2_instance_store_write_io_size_latency_seconds{${L},io_size_le="512"}`;
    const { upperBounds, counts, count } = histogramOf(series.get(band));
    expect(upperBounds).toHaveLength(31);
    expect([counts.at(-1), count]).toEqual([1n, 3n]);
    expect(faults.reasons).toEqual([]);
  });

  test("emits every family that it declares and no other", async () => {
    const { samples } = await scrape(oneVolume());
    const declared = INSTANCE_STORE.descriptors.map(({ name }) => name);
    expect([...familiesOf(samples), "plumbline_nvme_device_errors_total"].sort()).toEqual(declared.sort());
  });

  test("cluster_id is a label only where it is configured", async () => {
    const { series } = await scrape(oneVolume(), "c-1");
    expect(series.has(`ec2_instance_store_read_ops_total{cluster_id="c-1",${L}}`)).toBe(true);
  });

  test("a model that only begins with the words is a candidate", async () => {
    const model = "Amazon EC2 NVMe Instance Storage Gen 3";
    const { series } = await scrape(oneVolume({}, instanceStoreController("nvme1", { model })));
    expect(series.get('plumbline_nvme_devices{collector="instance_store"}')).toBe(1);
  });

  test("asks the vendor, then the first half with RAE, then the second without", async () => {
    const devices = oneVolume();
    await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual([
      "identify_controller",
      "instance_store",
      "instance_store_detail",
    ]);
  });
});

describe("the second half is not asked for and nothing is wrong", () => {
  test.each<[string, Parameters<typeof instanceStoreVolumePages>[0]]>([
    ["in version 0", { version: 0 }],
    ["where no sizes are told apart", { bands: [] }],
    ["without a base write histogram", { writeBins: [] }],
  ])("%s", async (_, changes) => {
    const devices = oneVolume(changes);
    const { samples, success, faults } = await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller", "instance_store"]);
    expect(familiesOf(samples).filter((name) => name.includes("io_size"))).toEqual([]);
    expect(familiesOf(samples)).toContain("ec2_instance_store_read_io_latency_seconds");
    expect(faults.reasons).toEqual([]);
    expect(success).toBe(true);
  });
});

describe("a volume that fails", () => {
  test.each<[string, Parameters<typeof instanceStoreVolumePages>[0]]>([
    ["nine bands", { bandCount: 9 }],
    ["sizes that do not ascend", { bands: [{ sizeBound: 4096 }, { sizeBound: 512 }] }],
  ])("%s: the base metrics stay, `detail`", async (_, changes) => {
    const devices = oneVolume(changes);
    const { samples, success, faults } = await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller", "instance_store"]);
    expect(familiesOf(samples)).toContain("ec2_instance_store_read_io_latency_seconds");
    expect(familiesOf(samples).filter((name) => name.includes("io_size"))).toEqual([]);
    expect(faults.reasons).toEqual(["nvme1 detail"]);
    expect(success).toBe(true);
  });

  const FAILURES: Exclude<Answer, { readonly kind: "page" | "known_unsupported" }>[] = [
    { kind: "status", status: 0x4002 },
    { kind: "ioctl", errno: 5 },
    { kind: "timeout" },
    { kind: "busy" },
  ];
  test.each(FAILURES)("a second half answered with %j: the base metrics stay, `detail`", async (failure) => {
    const { samples, success, faults } = await scrape(
      oneVolume().answer("nvme1", "instance_store_detail", failure),
    );
    expect(familiesOf(samples)).toContain("ec2_instance_store_read_io_latency_seconds");
    expect(familiesOf(samples).filter((name) => name.includes("io_size"))).toEqual([]);
    expect(faults.reasons).toEqual(["nvme1 detail"]);
    expect(faults.recorded[0]?.detail).toMatch(/second half of the instance-store statistics|still pending/);
    expect(success).toBe(true);
  });

  test("that has no second half keeps its base metrics, and only says so", async () => {
    const { samples, success, faults } = await scrape(
      oneVolume().answer("nvme1", "instance_store_detail", { kind: "unsupported_page", status: 0x4002 }),
    );
    expect(familiesOf(samples)).toContain("ec2_instance_store_read_io_latency_seconds");
    expect(familiesOf(samples).filter((name) => name.includes("io_size"))).toEqual([]);
    expect(faults.reasons).toEqual(["nvme1 unsupported_page"]);
    expect(success).toBe(true);
  });

  test("a broken histogram: scalars only, and no second half", async () => {
    const devices = oneVolume({ writeBinCount: 65n });
    const { samples, faults } = await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller", "instance_store"]);
    expect(familiesOf(samples)).toContain("ec2_instance_store_read_ops_total");
    expect(familiesOf(samples).filter((name) => name.includes("latency"))).toEqual([]);
    expect(faults.reasons).toEqual(["nvme1 bad_histogram"]);
  });

  test("a wrong magic: nothing from the page", async () => {
    const { samples, success, faults } = await scrape(oneVolume({ magic: 0x12345678 }));
    expect(familiesOf(samples)).toEqual(["plumbline_nvme_devices"]);
    expect(faults.reasons).toEqual(["nvme1 bad_magic"]);
    expect(success).toBe(false);
  });

  test("another vendor is no volume: bad_identity, no log page asked", async () => {
    const devices = oneVolume().answer(
      "nvme1",
      "identify_controller",
      identifyController({ vendorId: 0x1b36 }),
    );
    const { series, faults } = await scrape(devices);
    expect(devices.pagesAsked("nvme1")).toEqual(["identify_controller"]);
    expect(Object.fromEntries(series)).toEqual({ 'plumbline_nvme_devices{collector="instance_store"}': 0 });
    expect(faults.reasons).toEqual(["nvme1 bad_identity"]);
  });

  test("without a namespace there is nothing of it", async () => {
    const devices = oneVolume({}, instanceStoreController("nvme1", { namespaces: [] }));
    const { samples, faults } = await scrape(devices);
    expect(familiesOf(samples)).toEqual(["plumbline_nvme_devices"]);
    expect(faults.reasons).toEqual(["nvme1 no_namespace"]);
  });
});
