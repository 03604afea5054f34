/**
 * The contract between a source of metrics and the scraper. It stands here, below the sources, because they implement
 * it and the scraper above them only calls it.
 */
import type { Descriptor } from "./descriptor.ts";
import type { Samples } from "./samples.ts";

export interface ScrapeContext {
  /** Aborted at the deadline, or when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** When the answer must leave, on the clock of `performance.now()`, in ms. */
  readonly deadline: number;
}

export interface Collection {
  readonly samples: Samples;
  /** False: `plumbline_collector_success` is 0, and yet these samples are true and are served. */
  readonly success: boolean;
}

/** What `plumbline check` tells about one thing that a collector needs. */
export interface Finding {
  readonly level: "ok" | "warning" | "error";
  /** What was looked at: a device, a file, an address. */
  readonly subject: string;
  readonly message: string;
  /** What to do, in words or as a command; absent when nothing is to be done. */
  readonly remedy?: string;
}

export interface Collector {
  /** As in `--collector.NAME`, `collect[]=NAME` and the label `collector`. */
  readonly name: string;
  /** Off where nobody says anything: it runs in scrapes that name it in `collect[]`, and in no other. */
  readonly isOnDemand?: boolean;
  /** Reads the source once. Rejects when nothing could be read: then it contributes nothing and its success is 0. */
  collect(context: ScrapeContext): Promise<Collection>;
  /** Looks at the source as `collect` would and reports what works, what does not, and the remedy. */
  check(context: ScrapeContext): Promise<Finding[]>;
}

/** What is known of a collector before it is opened. */
export interface CollectorDescription {
  readonly name: string;
  /** One line for `--help`. */
  readonly help: string;
  readonly descriptors: readonly Descriptor[];
}

/** Whether a collector is on where the user said nothing. */
export interface Availability {
  readonly available: boolean;
  /** For `check`: "/sys/class/nvme has 3 controllers", "no address is configured". */
  readonly reason: string;
}
