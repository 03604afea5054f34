/** Collector `instance_store`: what the EC2 hypervisor knows of each instance-store volume, by I/O size too. */
import type { Collector, CollectorDescription, ScrapeContext } from "../metrics/collector.ts";
import { counter, gauge, histogram } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { askVolume, type Place } from "./amazon.ts";
import { instanceStoreDetail, instanceStorePage } from "./commands.ts";
import { Interview } from "./interview.ts";
import { latencySeconds, secondsOf } from "./latency.ts";
import type { Controller, DeviceFaults, Devices } from "./model.ts";
import {
  decodeInstanceStore,
  decodeInstanceStoreDetail,
  type InstanceStoreStatistics,
  type SizeBand,
} from "./pages/amazon.ts";
import { createCollector, NVME_DEVICE_ERRORS, NVME_DEVICES, type Reading } from "./shared.ts";

const NAME = "instance_store";
const MODEL = "Amazon EC2 NVMe Instance Storage";

const LABELS = ["cluster_id", "node", "device", "serial"] as const;

const READ_OPS = counter("ec2_instance_store_read_ops_total", "Read operations completed", LABELS);
const WRITE_OPS = counter("ec2_instance_store_write_ops_total", "Write operations completed", LABELS);
const READ_BYTES = counter("ec2_instance_store_read_bytes_total", "Bytes read", LABELS);
const WRITE_BYTES = counter("ec2_instance_store_write_bytes_total", "Bytes written", LABELS);
const READ_SECONDS = counter(
  "ec2_instance_store_read_seconds_total",
  "Time spent on read operations, failed ones included, in seconds",
  LABELS,
);
const WRITE_SECONDS = counter(
  "ec2_instance_store_write_seconds_total",
  "Time spent on write operations, failed ones included, in seconds",
  LABELS,
);
const EXCEEDED_IOPS = counter(
  "ec2_instance_store_exceeded_iops_seconds_total",
  "Time in which the workload asked for more IOPS than the volume has, in seconds",
  LABELS,
);
const EXCEEDED_THROUGHPUT = counter(
  "ec2_instance_store_exceeded_throughput_seconds_total",
  "Time in which the workload asked for more throughput than the volume has, in seconds",
  LABELS,
);
const QUEUE_LENGTH = gauge(
  "ec2_instance_store_volume_queue_length",
  "Operations that wait for completion now",
  LABELS,
);
const READ_LATENCY = histogram(
  "ec2_instance_store_read_io_latency_seconds",
  "Latency of read operations in seconds; the sum includes failed operations, the buckets do not",
  LABELS,
);
const WRITE_LATENCY = histogram(
  "ec2_instance_store_write_io_latency_seconds",
  "Latency of write operations in seconds; the sum includes failed operations, the buckets do not",
  LABELS,
);
const READ_SIZE_LATENCY = histogram(
  "ec2_instance_store_read_io_size_latency_seconds",
  "Latency of read operations of one band of sizes in seconds; io_size_le is its inclusive upper bound in bytes",
  [...LABELS, "io_size_le"],
);
const WRITE_SIZE_LATENCY = histogram(
  "ec2_instance_store_write_io_size_latency_seconds",
  "Latency of write operations of one band of sizes in seconds; io_size_le is its inclusive upper bound in bytes",
  [...LABELS, "io_size_le"],
);

export const INSTANCE_STORE: CollectorDescription = {
  name: NAME,
  help: "I/O, throttling, queue length and latencies of EC2 instance-store volumes",
  descriptors: [
    READ_OPS,
    WRITE_OPS,
    READ_BYTES,
    WRITE_BYTES,
    READ_SECONDS,
    WRITE_SECONDS,
    EXCEEDED_IOPS,
    EXCEEDED_THROUGHPUT,
    QUEUE_LENGTH,
    READ_LATENCY,
    WRITE_LATENCY,
    READ_SIZE_LATENCY,
    WRITE_SIZE_LATENCY,
    NVME_DEVICES,
    NVME_DEVICE_ERRORS,
  ],
};

/** What is known of one volume at one reading. */
export interface LocalVolume {
  /** Block device: `nvme1n1`. */
  readonly device: string;
  readonly statistics: InstanceStoreStatistics;
  readonly bands: readonly SizeBand[];
}

export interface InstanceStoreReading extends Reading {
  readonly volume: LocalVolume | undefined;
}

export function createInstanceStoreCollector(
  devices: Devices,
  faults: DeviceFaults,
  place: Place,
): Collector {
  return createCollector<InstanceStoreReading>(
    {
      name: NAME,
      subject: "EC2 instance-store volumes",
      candidates: (controllers) => controllers.filter(isInstanceStore),
      read: (controller, context) => readInstanceStore(controller, devices, context),
      addSamples: (samples, reading) => addInstanceStoreSamples(samples, reading, place),
    },
    devices,
    faults,
  );
}

/** Whether sysfs says so; the PCI vendor is still to be asked. */
export const isInstanceStore = (controller: Controller): boolean => controller.model.startsWith(MODEL);

/** Never rejects. */
export async function readInstanceStore(
  controller: Controller,
  devices: Devices,
  context: ScrapeContext,
): Promise<InstanceStoreReading> {
  const interview = new Interview(devices, controller, context);
  const ending = { controller, problems: interview.problems, pages: interview.pages };
  const asked = await askVolume(controller, interview, instanceStorePage(), decodeInstanceStore);
  if (asked.kind === "none") {
    return { ...ending, matches: asked.matches, failed: asked.failed, volume: undefined };
  }
  const bands = await readBands(asked.page, interview);
  return {
    ...ending,
    matches: true,
    failed: false,
    volume: { device: asked.device, statistics: asked.page, bands },
  };
}

/** The second half is asked for only where the first says what is in it. */
async function readBands(
  statistics: InstanceStoreStatistics,
  interview: Interview,
): Promise<readonly SizeBand[]> {
  if (statistics.ioSizeBounds.length === 0 || statistics.writeLatency === undefined) return [];
  const asked = await interview.ask(instanceStoreDetail(), (bytes) =>
    decodeInstanceStoreDetail(bytes, statistics),
  );
  return asked.kind === "page" ? asked.page : [];
}

/** Pure. */
export function addInstanceStoreSamples(
  samples: Samples,
  { controller, volume }: InstanceStoreReading,
  place: Place,
): void {
  if (volume === undefined) return;
  const { statistics, bands } = volume;
  const labels = {
    cluster_id: place.clusterId,
    node: place.node,
    device: volume.device,
    serial: controller.serial,
  };
  samples.add(READ_OPS, labels, statistics.readOps);
  samples.add(WRITE_OPS, labels, statistics.writeOps);
  samples.add(READ_BYTES, labels, statistics.readBytes);
  samples.add(WRITE_BYTES, labels, statistics.writeBytes);
  samples.add(READ_SECONDS, labels, secondsOf(statistics.readTimeUs));
  samples.add(WRITE_SECONDS, labels, secondsOf(statistics.writeTimeUs));
  samples.add(EXCEEDED_IOPS, labels, secondsOf(statistics.instanceIopsExceededUs));
  samples.add(EXCEEDED_THROUGHPUT, labels, secondsOf(statistics.instanceThroughputExceededUs));
  samples.add(QUEUE_LENGTH, labels, statistics.queueLength);
  if (statistics.readLatency !== undefined) {
    const sum = secondsOf(statistics.readTimeUs);
    samples.addHistogram(READ_LATENCY, labels, { ...latencySeconds(statistics.readLatency), sum });
  }
  if (statistics.writeLatency !== undefined) {
    const sum = secondsOf(statistics.writeTimeUs);
    samples.addHistogram(WRITE_LATENCY, labels, { ...latencySeconds(statistics.writeLatency), sum });
  }
  for (const band of bands) {
    const size = { ...labels, io_size_le: sizeLabel(band.sizeBound) };
    samples.addHistogram(READ_SIZE_LATENCY, size, latencySeconds(band.readLatency));
    samples.addHistogram(WRITE_SIZE_LATENCY, size, latencySeconds(band.writeLatency));
  }
}

const sizeLabel = (bound: number): string => (Number.isFinite(bound) ? `${bound}` : "+Inf");
