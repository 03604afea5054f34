/** Runs the collectors beside each other, keeps each of them to the deadline, and loses only the one that fails. */
import type { Log } from "../log/log.ts";
import type { Collector } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { Samples } from "../metrics/samples.ts";

/** How the last run of a collector ended. */
export interface Outcome {
  readonly collector: string;
  readonly success: boolean;
  readonly durationMs: number;
  /** Series that it contributed. */
  readonly samples: number;
  /** For people; absent where all went well. */
  readonly error?: string;
  readonly at: Date;
}

export interface ScrapeRequest {
  /** Names of collectors; without it all of them. */
  readonly only?: readonly string[];
  readonly timeoutMs: number;
  /** Aborted when whoever asked has gone: `scrape` then rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface ScrapeResult {
  /** One for each collector that answered, and one with what the scraper says of them all. Not to be changed: shared. */
  readonly sets: readonly Samples[];
  /** Of the collectors asked for, in their order. */
  readonly outcomes: readonly Outcome[];
}

export class Scraper {
  readonly names: readonly string[];

  constructor(collectors: readonly Collector[], _own: OwnMetrics, _log: Log) {
    this.names = collectors.map(({ name }) => name);
  }

  /** Answers at the deadline at the latest. Rejects for a name it does not know. */
  scrape(_request: ScrapeRequest): Promise<ScrapeResult> {
    throw new Error("not yet");
  }

  /** Of every collector that has run, in their order. */
  lastOutcomes(): readonly Outcome[] {
    throw new Error("not yet");
  }

  /** Names of the collectors whose first run has not ended, well or badly. */
  neverRan(): readonly string[] {
    throw new Error("not yet");
  }

  /** Resolves when no scrape is running any more. */
  idle(): Promise<void> {
    throw new Error("not yet");
  }
}
