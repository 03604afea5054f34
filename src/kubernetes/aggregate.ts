/** One exposition of what the exporters of all nodes say, each asked in the scrape that it is for. */
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { ERRORS_TOTAL } from "./aggregate-metrics.ts";

export interface AggregateTargets {
  readonly desired: number;
  readonly ready: number;
  readonly pods: readonly ExporterPod[];
}

export interface ExporterPod {
  readonly node: string;
  /** `http://10.0.0.7:9847/metrics`. */
  readonly url: string;
  /** Globs of the families that are kept: `ebs_*`. */
  readonly families: readonly string[];
  /** Added as `cluster_id` to series that have none. */
  readonly clusterId: string | undefined;
}

export interface ScrapeContext {
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
}

export class Aggregate {
  constructor(own: OwnMetrics, _log: Log) {
    own.counter(ERRORS_TOTAL);
  }

  /** In the text format 0.0.4 (`CONTENT_TYPE.text`). Rejects with the signal's reason only. */
  async scrape(_targets: AggregateTargets, { signal }: ScrapeContext): Promise<Uint8Array<ArrayBuffer>> {
    signal.throwIfAborted();
    return new Uint8Array();
  }

  /** Closes idle connections. */
  close(): void {}
}
