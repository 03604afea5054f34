/**
 * One run of one collector. It has exactly one end: what it collected, why it failed, that it was late, or that
 * nobody waits for it any more. What its collector does afterwards is thrown away.
 */
import type { Collection, Collector } from "../metrics/collector.ts";
import type { Samples, SampleValue } from "../metrics/samples.ts";

interface Ended {
  readonly durationMs: number;
  readonly at: Date;
}

export type RunEnd =
  | (Ended & {
      readonly kind: "collected";
      readonly samples: Samples;
      readonly success: boolean;
      /** How many series the samples make. */
      readonly series: number;
    })
  | (Ended & { readonly kind: "failed" | "late" | "abandoned"; readonly error: string });

export interface RunListeners {
  ended(end: RunEnd): void;
  /** The collector itself has returned, maybe long after the end. */
  returned(): void;
}

/** Errors come from anywhere: no more of one than this is kept for the log and the status page. */
const LONGEST_ERROR = 500;

export class CollectorRun {
  readonly collector: Collector;
  /** Resolves once there is an `end`. */
  readonly ended: Promise<void>;
  readonly #listeners: RunListeners;
  readonly #abort = new AbortController();
  readonly #startedAt = performance.now();
  readonly #timeoutMs: number;
  readonly #resolveEnded: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end: RunEnd | undefined;
  #holders = 0;

  /** The run is late, and its collector aborted, `timeoutMs` from now. */
  constructor(collector: Collector, timeoutMs: number, listeners: RunListeners) {
    this.collector = collector;
    this.#timeoutMs = timeoutMs;
    this.#listeners = listeners;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  get end(): RunEnd | undefined {
    return this.#end;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Never rejects; resolves when the collector has returned. */
  async start(): Promise<void> {
    this.#timer = setTimeout(() => this.#giveUp("late"), this.#timeoutMs);
    try {
      const collection = await this.collector.collect({
        signal: this.#abort.signal,
        deadline: this.#startedAt + this.#timeoutMs,
      });
      this.#finish(collected(collection, this.#soFar()));
    } catch (error) {
      this.#finish({ kind: "failed", error: describe(error), ...this.#soFar() });
    }
    this.#listeners.returned();
  }

  /** One more scrape waits for this run. */
  hold(): void {
    this.#holders++;
  }

  /** One scrape less does; after the last one the collector is aborted. */
  release(why: "late" | "abandoned"): void {
    this.#holders--;
    if (this.#holders === 0) this.#giveUp(why);
  }

  /** What a scrape has of a run that has not ended at its deadline. */
  lateNow(): RunEnd {
    const { durationMs, at } = this.#soFar();
    return { kind: "late", error: `not done after ${inSeconds(durationMs)}`, durationMs, at };
  }

  #giveUp(why: "late" | "abandoned"): void {
    if (this.#end !== undefined) return;
    this.#finish(
      why === "late" ? this.lateNow() : { kind: why, error: "nobody waits for it", ...this.#soFar() },
    );
    this.#abort.abort(new DOMException("the scrape is over", "TimeoutError"));
  }

  #finish(end: RunEnd): void {
    if (this.#end !== undefined) return;
    clearTimeout(this.#timer);
    this.#end = end;
    this.#listeners.ended(end);
    this.#resolveEnded();
  }

  #soFar(): Ended {
    return { durationMs: this.elapsedMs, at: new Date() };
  }
}

function collected({ samples, success }: Collection, ended: Ended): RunEnd {
  let series = 0;
  for (const { values } of samples.families.values()) {
    for (const value of values) series += seriesOf(value);
  }
  return { kind: "collected", samples, success, series, ...ended };
}

/** A histogram has a series for each bucket, the last one included, one for the count and one for the sum it may have. */
function seriesOf(value: SampleValue): number {
  if (typeof value !== "object") return 1;
  if ("names" in value) return value.names.length;
  return value.counts.length + 2 + (value.sum === undefined ? 0 : 1);
}

/** Anything can be thrown, also what cannot be turned into text. */
function describe(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? thrown.message || thrown.name : `threw ${String(thrown)}`;
    return text.slice(0, LONGEST_ERROR);
  } catch {
    return "threw something that has no text";
  }
}

export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
