/** Collector `ebs`: what the EC2 hypervisor knows of each EBS volume: I/O, throttling, queue and latencies. */
import { basename } from "node:path";
import type { Collector, CollectorDescription, Finding, ScrapeContext } from "../metrics/collector.ts";
import { counter, gauge, histogram } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { askVolume, type Place } from "./amazon.ts";
import { ebsPage } from "./commands.ts";
import type { DeltaStore, Deltas } from "./delta.ts";
import { Interview } from "./interview.ts";
import { latencySeconds, secondsOf } from "./latency.ts";
import type { Controller, DeviceFaults, Devices } from "./model.ts";
import { type AmazonStatistics, decodeEbs } from "./pages/amazon.ts";
import { createCollector, NVME_DEVICE_ERRORS, NVME_DEVICES, type Reading } from "./shared.ts";

const NAME = "ebs";
const MODEL = "Amazon Elastic Block Store";

const LABELS = ["cluster_id", "node", "device", "volume_id"] as const;

const VOLUME_IOPS_EXCEEDED = counter(
  "ebs_volume_performance_exceeded_iops_total",
  "Time in which the workload asked for more IOPS than the volume is provisioned with, in microseconds",
  LABELS,
);
const VOLUME_THROUGHPUT_EXCEEDED = counter(
  "ebs_volume_performance_exceeded_throughput_total",
  "Time in which the workload asked for more throughput than the volume is provisioned with, in microseconds",
  LABELS,
);
const INSTANCE_IOPS_EXCEEDED = counter(
  "ebs_instance_performance_exceeded_iops_total",
  "Time in which the workload asked for more IOPS than the instance has for EBS, in microseconds",
  LABELS,
);
const INSTANCE_THROUGHPUT_EXCEEDED = counter(
  "ebs_instance_performance_exceeded_throughput_total",
  "Time in which the workload asked for more throughput than the instance has for EBS, in microseconds",
  LABELS,
);
const READ_OPS = counter("ebs_total_read_ops_total", "Read operations completed", LABELS);
const WRITE_OPS = counter("ebs_total_write_ops_total", "Write operations completed", LABELS);
const READ_BYTES = counter("ebs_total_read_bytes_total", "Bytes read", LABELS);
const WRITE_BYTES = counter("ebs_total_write_bytes_total", "Bytes written", LABELS);
const READ_TIME = counter(
  "ebs_total_read_time_total",
  "Time spent on read operations, failed ones included, in microseconds",
  LABELS,
);
const WRITE_TIME = counter(
  "ebs_total_write_time_total",
  "Time spent on write operations, failed ones included, in microseconds",
  LABELS,
);
const QUEUE_LENGTH = gauge("ebs_volume_queue_length", "Operations that wait for completion now", LABELS);
const READ_LATENCY = histogram(
  "ebs_read_io_latency_seconds",
  "Latency of read operations in seconds; the sum includes failed operations, the buckets do not",
  LABELS,
);
const WRITE_LATENCY = histogram(
  "ebs_write_io_latency_seconds",
  "Latency of write operations in seconds; the sum includes failed operations, the buckets do not",
  LABELS,
);

const VOLUME_IOPS_CHECK = gauge(
  "ebs_volume_iops_exceeded_check",
  "Whether the IOPS of the volume were exceeded (1) or not (0) between the last two readings",
  LABELS,
);
const VOLUME_THROUGHPUT_CHECK = gauge(
  "ebs_volume_throughput_exceeded_check",
  "Whether the throughput of the volume was exceeded (1) or not (0) between the last two readings",
  LABELS,
);
const VOLUME_IOPS_PERCENT = gauge(
  "ebs_volume_performance_exceeded_iops_percent",
  "Share of the time between the last two readings in which the IOPS of the volume were exceeded, in percent",
  LABELS,
);
const VOLUME_THROUGHPUT_PERCENT = gauge(
  "ebs_volume_performance_exceeded_throughput_percent",
  "Share of the time between the last two readings in which the throughput of the volume was exceeded, in percent",
  LABELS,
);
const INSTANCE_IOPS_PERCENT = gauge(
  "ebs_instance_performance_exceeded_iops_percent",
  "Share of the time between the last two readings in which the instance's EBS IOPS were exceeded, in percent",
  LABELS,
);
const INSTANCE_THROUGHPUT_PERCENT = gauge(
  "ebs_instance_performance_exceeded_throughput_percent",
  "Share of the time between the last two readings in which the instance's EBS throughput was exceeded, in percent",
  LABELS,
);
const INTERVAL = gauge(
  "ebs_collection_interval_seconds",
  "Time between the last two readings in seconds, which the check and percent gauges cover",
  LABELS,
);
const VOLUME_INFO = gauge(
  "ebs_volume_info",
  "The controller of the volume and the device name of its block device mapping; always 1",
  [...LABELS, "controller", "mapping"],
);

export const EBS: CollectorDescription = {
  name: NAME,
  help: "I/O, throttling, queue length and latencies of EBS volumes on EC2",
  descriptors: [
    VOLUME_IOPS_EXCEEDED,
    VOLUME_THROUGHPUT_EXCEEDED,
    INSTANCE_IOPS_EXCEEDED,
    INSTANCE_THROUGHPUT_EXCEEDED,
    READ_OPS,
    WRITE_OPS,
    READ_BYTES,
    WRITE_BYTES,
    READ_TIME,
    WRITE_TIME,
    QUEUE_LENGTH,
    READ_LATENCY,
    WRITE_LATENCY,
    VOLUME_IOPS_CHECK,
    VOLUME_THROUGHPUT_CHECK,
    VOLUME_IOPS_PERCENT,
    VOLUME_THROUGHPUT_PERCENT,
    INSTANCE_IOPS_PERCENT,
    INSTANCE_THROUGHPUT_PERCENT,
    INTERVAL,
    VOLUME_INFO,
    NVME_DEVICES,
    NVME_DEVICE_ERRORS,
  ],
};

export interface EbsOptions extends Place {
  /** The only device to look at, as `/dev/nvme1n1`, `/dev/nvme1` or without the directory; undefined: all. */
  readonly device?: string | undefined;
  readonly deltas: DeltaStore;
}

/** What is known of one volume at one reading. */
export interface Volume {
  /** Block device: `nvme1n1`. */
  readonly device: string;
  /** `vol-0123456789abcdef0` */
  readonly volumeId: string;
  /** `/dev/sdf` */
  readonly mapping: string | undefined;
  readonly statistics: AmazonStatistics;
  readonly deltas: Deltas | undefined;
}

export interface EbsReading extends Reading {
  readonly volume: Volume | undefined;
}

export function createEbsCollector(devices: Devices, faults: DeviceFaults, options: EbsOptions): Collector {
  return createCollector<EbsReading>(
    {
      name: NAME,
      subject: "EBS volumes",
      candidates: (controllers) => candidates(controllers, options),
      read: (controller, context) => readEbs(controller, devices, context, options.deltas),
      addSamples: (samples, reading) => addEbsSamples(samples, reading, options),
      ...(options.device !== undefined && { whenNone: noneLike(options.device) }),
    },
    devices,
    faults,
  );
}

const noneLike = (device: string): Finding => ({
  level: "warning",
  subject: device,
  message: "EBS_DEVICE limits the collector to this device, and no EBS volume of this host is it",
  remedy: "name a device as /dev/nvme1n1, or unset EBS_DEVICE to read every volume",
});

function candidates(controllers: readonly Controller[], options: EbsOptions): readonly Controller[] {
  const volumes = controllers.filter(
    (controller) => isEbs(controller) && isChosen(controller, options.device),
  );
  options.deltas.retain(new Set(volumes.map((controller) => controller.name)));
  return volumes;
}

/** Whether sysfs says so; the PCI vendor is still to be asked. */
export const isEbs = (controller: Controller): boolean => controller.model.trim() === MODEL;

/** Whether EBS_DEVICE, where it is set, names this controller, a namespace of it or a path to one. */
export function isChosen(controller: Controller, device: string | undefined): boolean {
  if (device === undefined || device === "") return true;
  const name = basename(device);
  return (
    controller.name === name ||
    controller.namespaces.some((namespace) => namespace.name === name || namespace.path === name)
  );
}

/** Never rejects. */
export async function readEbs(
  controller: Controller,
  devices: Devices,
  context: ScrapeContext,
  deltas: DeltaStore,
): Promise<EbsReading> {
  const interview = new Interview(devices, controller, context);
  const ending = { controller, problems: interview.problems, pages: interview.pages };
  const asked = await askVolume(controller, interview, ebsPage(), decodeEbs);
  if (asked.kind === "none") {
    return { ...ending, matches: asked.matches, failed: asked.failed, volume: undefined };
  }
  const volume: Volume = {
    device: asked.device,
    volumeId: volumeIdOf(controller.serial),
    mapping: mappingOf(asked.identity.mapping),
    statistics: asked.page,
    deltas: deltas.observe(controller.name, controller.serial, asked.page, asked.readAt),
  };
  return { ...ending, matches: true, failed: false, volume };
}

/** The serial number is the volume's name without its hyphen. */
export const volumeIdOf = (serial: string): string => serial.replace(/^vol(?!-)/, "vol-");

/** EC2 keeps some names of mappings with and some without the directory. */
const mappingOf = (mapping: string | undefined): string | undefined =>
  mapping === undefined || mapping.startsWith("/dev/") ? mapping : `/dev/${mapping}`;

/** Pure. */
export function addEbsSamples(samples: Samples, { controller, volume }: EbsReading, place: Place): void {
  if (volume === undefined) return;
  const { statistics, deltas } = volume;
  const labels = {
    cluster_id: place.clusterId,
    node: place.node,
    device: volume.device,
    volume_id: volume.volumeId,
  };
  samples.add(VOLUME_INFO, { ...labels, controller: controller.name, mapping: volume.mapping }, 1);
  samples.add(VOLUME_IOPS_EXCEEDED, labels, statistics.volumeIopsExceededUs);
  samples.add(VOLUME_THROUGHPUT_EXCEEDED, labels, statistics.volumeThroughputExceededUs);
  samples.add(INSTANCE_IOPS_EXCEEDED, labels, statistics.instanceIopsExceededUs);
  samples.add(INSTANCE_THROUGHPUT_EXCEEDED, labels, statistics.instanceThroughputExceededUs);
  samples.add(READ_OPS, labels, statistics.readOps);
  samples.add(WRITE_OPS, labels, statistics.writeOps);
  samples.add(READ_BYTES, labels, statistics.readBytes);
  samples.add(WRITE_BYTES, labels, statistics.writeBytes);
  samples.add(READ_TIME, labels, statistics.readTimeUs);
  samples.add(WRITE_TIME, labels, statistics.writeTimeUs);
  samples.add(QUEUE_LENGTH, labels, statistics.queueLength);
  if (statistics.readLatency !== undefined) {
    const sum = secondsOf(statistics.readTimeUs);
    samples.addHistogram(READ_LATENCY, labels, { ...latencySeconds(statistics.readLatency), sum });
  }
  if (statistics.writeLatency !== undefined) {
    const sum = secondsOf(statistics.writeTimeUs);
    samples.addHistogram(WRITE_LATENCY, labels, { ...latencySeconds(statistics.writeLatency), sum });
  }
  if (deltas === undefined) return;
  samples.add(VOLUME_IOPS_CHECK, labels, deltas.volumeIops.check);
  samples.add(VOLUME_THROUGHPUT_CHECK, labels, deltas.volumeThroughput.check);
  samples.add(VOLUME_IOPS_PERCENT, labels, deltas.volumeIops.percent);
  samples.add(VOLUME_THROUGHPUT_PERCENT, labels, deltas.volumeThroughput.percent);
  samples.add(INSTANCE_IOPS_PERCENT, labels, deltas.instanceIops.percent);
  samples.add(INSTANCE_THROUGHPUT_PERCENT, labels, deltas.instanceThroughput.percent);
  samples.add(INTERVAL, labels, deltas.intervalSeconds);
}
