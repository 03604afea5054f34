/** Collector `csi`: which kernel device carries each CSI volume of this node, and what lies underneath. */
import type { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { Collection, Collector, CollectorDescription, ScrapeContext } from "../metrics/collector.ts";
import { counter, gauge, histogram } from "../metrics/descriptor.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { Samples } from "../metrics/samples.ts";
import type { CsiDiscovery, Found, Vendor } from "./discovery.ts";
import { explained, findingsOf, type Place } from "./findings.ts";
import { type Discovery, SKIP_REASONS } from "./model.ts";
import { SkipReport } from "./skip-report.ts";

const NAME = "csi";

const VOLUME_LABELS = ["node", "driver", "volume_handle", "persistentvolume", "device"] as const;

const NODE_DEVICE_INFO = gauge(
  "csi_volume_node_device_info",
  "Maps CSI volumes to node block devices. Value is always 1.",
  VOLUME_LABELS,
);
const BACKING_DEVICE_INFO = gauge(
  "csi_volume_backing_device_info",
  "Maps CSI volumes to the devices below the mounted one: a multipath device, the disk of a partition (partition_parent), or a disk (leaf); always 1",
  [...VOLUME_LABELS, "backing_device", "role"],
);
const DISCOVERY_ERRORS = counter(
  "csi_volume_device_exporter_discovery_errors_total",
  "Discoveries that failed: kubelet where nothing could be told of any volume, a vendor where a file of it could not be used",
  ["discoverer"],
);
const VOLUMES_DISCOVERED = gauge(
  "csi_volume_device_exporter_volumes_discovered",
  "Volumes (driver and handle) whose device is known",
  ["driver"],
);
const VOLUMES_SKIPPED = gauge(
  "csi_volume_device_exporter_volumes_skipped",
  "Volumes without a device by reason, each under one; backing_unresolved: not all below the device is known",
  ["reason"],
);
const LAST_SUCCESSFUL_DISCOVERY = gauge(
  "csi_volume_device_exporter_last_successful_discovery_timestamp_seconds",
  "Unix time of the last discovery that did not fail in seconds",
  [],
);
const DISCOVERY_DURATION = histogram(
  "csi_volume_device_exporter_discovery_duration_seconds",
  "Seconds that a discovery took, failed ones included",
  ["discoverer"],
);
const DURATION_BUCKETS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const CSI: CollectorDescription = {
  name: NAME,
  help: "Which device carries each CSI volume of a Kubernetes node, and which disks lie underneath",
  descriptors: [
    NODE_DEVICE_INFO,
    BACKING_DEVICE_INFO,
    DISCOVERY_ERRORS,
    VOLUMES_DISCOVERED,
    VOLUMES_SKIPPED,
    LAST_SUCCESSFUL_DISCOVERY,
    DISCOVERY_DURATION,
  ],
};

export interface CsiCollectorOptions extends Place {
  readonly vendors: readonly Vendor[];
}

/** What is left of the scrape's time when a discovery has taken all of its own. */
const RESERVE_MS = 200;

export class CsiCollector implements Collector {
  readonly name = NAME;
  readonly #discovery: Pick<CsiDiscovery, "run">;
  readonly #options: CsiCollectorOptions;
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #faults: FaultLog;
  readonly #skipReport: SkipReport;
  /** Shared by all who ask while it is running. */
  #running: Promise<Found> | undefined;
  #rendered: { readonly discovery: Discovery; readonly samples: Samples } | undefined;

  constructor(
    discovery: Pick<CsiDiscovery, "run">,
    options: CsiCollectorOptions,
    own: OwnMetrics,
    log: Log,
    faults: FaultLog,
  ) {
    this.#discovery = discovery;
    this.#options = options;
    this.#own = own;
    this.#log = log;
    this.#faults = faults;
    this.#skipReport = new SkipReport(log);
    // So that a first failure is seen as an increase, and what an earlier run counted is shown from the first scrape on.
    for (const discoverer of ["kubelet", ...options.vendors]) this.#errors().inc({ discoverer }, 0);
    this.#lastSuccess();
  }

  /** Rejects where the kubelet's files or the mount table cannot be read, or not in time. */
  async collect(context: ScrapeContext): Promise<Collection> {
    const { discovery } = await this.#discover(context);
    if (this.#rendered?.discovery !== discovery) {
      this.#rendered = { discovery, samples: samplesOf(discovery, this.#options.node) };
    }
    // Samples are for reading alone: unchanged, they are those of the scrape before.
    return { samples: this.#rendered.samples, success: true };
  }

  async check(context: ScrapeContext) {
    try {
      return findingsOf(await this.#discovery.run(limits(context)), this.#options);
    } catch (error) {
      const subject = this.#options.kubelet;
      return [{ level: "error" as const, subject, ...explained(error, subject) }];
    }
  }

  #discover(context: ScrapeContext): Promise<Found> {
    this.#running ??= this.#run(context).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(context: ScrapeContext): Promise<Found> {
    const startedAt = performance.now();
    const elapsed = (): number => (performance.now() - startedAt) / 1000;
    try {
      const found = await this.#discovery.run(limits(context));
      const vendorSeconds = [...found.vendors.values()].reduce((sum, { seconds }) => sum + seconds, 0);
      this.#durations().observe({ discoverer: "kubelet" }, Math.max(0, elapsed() - vendorSeconds));
      this.#lastSuccess().set(Date.now() / 1000);
      this.#recordVendors(found);
      this.#reportSkips(found.discovery);
      return found;
    } catch (error) {
      if (isAbandoned(context)) throw error;
      this.#errors().inc({ discoverer: "kubelet" });
      this.#durations().observe({ discoverer: "kubelet" }, elapsed());
      const { message, remedy } = explained(error, this.#options.kubelet);
      throw new Error(remedy === undefined ? message : `${message}; ${remedy}`, { cause: error });
    }
  }

  #recordVendors({ vendors }: Found): void {
    for (const [discoverer, { failures, seconds }] of vendors) {
      this.#durations().observe({ discoverer }, seconds);
      const fields = { collector: NAME, discoverer };
      const [first] = failures;
      if (first === undefined) {
        this.#faults.recover(`csi ${discoverer}`, "the vendor's files can be used again", fields);
        continue;
      }
      this.#errors().inc({ discoverer });
      this.#faults.fail(`csi ${discoverer}`, "a vendor's file cannot be used", {
        ...fields,
        path: first.path,
        err: first.reason,
        files: failures.length,
      });
    }
  }

  #reportSkips(discovery: Discovery): void {
    if (this.#rendered?.discovery !== discovery) {
      for (const { path, reason } of discovery.skippedPaths)
        this.#log.debug("volume skipped", { path, reason });
    }
    this.#skipReport.tell(discovery);
  }

  #errors() {
    return this.#own.counter(DISCOVERY_ERRORS);
  }

  #lastSuccess() {
    return this.#own.gauge(LAST_SUCCESSFUL_DISCOVERY);
  }

  #durations() {
    return this.#own.histogram(DISCOVERY_DURATION, DURATION_BUCKETS);
  }
}

/** Pure. */
export function samplesOf({ volumes, skipped }: Discovery, node: string): Samples {
  const samples = new Samples();
  const byDriver = new Map<string, Set<string>>();
  for (const { driver, handle, persistentVolume, device, backing } of volumes) {
    const labels = { node, driver, volume_handle: handle, persistentvolume: persistentVolume, device };
    samples.add(NODE_DEVICE_INFO, labels, 1);
    for (const { device: backingDevice, role } of backing.devices) {
      samples.add(BACKING_DEVICE_INFO, { ...labels, backing_device: backingDevice, role }, 1);
    }
    const handles = byDriver.get(driver) ?? new Set();
    byDriver.set(driver, handles.add(handle));
  }
  for (const [driver, handles] of byDriver) samples.add(VOLUMES_DISCOVERED, { driver }, handles.size);
  for (const reason of SKIP_REASONS.toSorted()) samples.add(VOLUMES_SKIPPED, { reason }, skipped[reason]);
  return samples;
}

const limits = ({ signal, deadline }: ScrapeContext): ScrapeContext => ({
  signal,
  deadline: deadline - RESERVE_MS,
});

/** Whoever asked has gone before the deadline: nothing has failed. */
const isAbandoned = ({ signal, deadline }: ScrapeContext): boolean =>
  signal.aborted && performance.now() < deadline - RESERVE_MS;
