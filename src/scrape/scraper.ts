/** Runs the collectors beside each other, keeps each of them to the deadline, and loses only the one that fails. */
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { Collector } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import {
  COLLECTOR_DURATION_SECONDS,
  COLLECTOR_SUCCESS,
  COLLECTOR_TIMEOUT_TOTAL,
} from "../metrics/own-descriptors.ts";
import { Samples } from "../metrics/samples.ts";
import { CollectorRun, inSeconds, type RunEnd } from "./run.ts";

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
  /** One for each collector that answered, and one with what the scraper says of them all. Shared: not to be changed. */
  readonly sets: readonly Samples[];
  /** Of the collectors asked for, in their order. */
  readonly outcomes: readonly Outcome[];
}

/** A run, or the end that stands in its place where the collector was not started. */
interface Part {
  readonly name: string;
  readonly run: CollectorRun | undefined;
  readonly end: RunEnd | undefined;
}

/** What one scrape, and those that joined it, wait for. */
interface Round {
  readonly parts: readonly Part[];
  readonly done: Promise<unknown>;
  waiting: number;
  /** The result once all parts have ended: one object for all who share it, so that it is rendered once. */
  result?: ScrapeResult;
}

/** `setTimeout` takes no more: a longer time would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Scraper {
  /** Of the collectors that run in a scrape which names none. */
  readonly names: readonly string[];
  /** Of all, in the same order. */
  readonly known: readonly string[];
  readonly #collectors: ReadonlyMap<string, Collector>;
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  /** Scrapes that are waited for, by the names of their collectors. */
  readonly #rounds = new Map<string, Round>();
  /** Runs whose collector has not returned, be they waited for or given up. */
  readonly #running = new Map<string, CollectorRun>();
  readonly #outcomes = new Map<string, Outcome>();
  /** A run that was late for several scrapes is counted once. */
  readonly #countedTimeouts = new WeakSet<CollectorRun>();

  constructor(collectors: readonly Collector[], own: OwnMetrics, log: Log) {
    this.names = collectors.flatMap(({ name, isOnDemand }) => (isOnDemand ? [] : name));
    this.known = collectors.map(({ name }) => name);
    this.#collectors = new Map(collectors.map((collector) => [collector.name, collector]));
    if (this.#collectors.size !== collectors.length) throw new Error("two collectors have the same name");
    this.#own = own;
    this.#faults = new FaultLog(log);
    for (const name of this.names) this.#timeouts().inc({ collector: name }, 0);
  }

  /**
   * Answers at the deadline at the latest, with what has arrived. Joins a scrape of the same collectors that is
   * running; what is late for that one is late for both. Rejects for a name it does not know.
   */
  async scrape({ only = this.names, timeoutMs, signal }: ScrapeRequest): Promise<ScrapeResult> {
    const unknown = only.find((name) => !this.#collectors.has(name));
    if (unknown !== undefined) throw new Error(`there is no collector "${unknown}"`);
    signal?.throwIfAborted();
    const waitMs = Math.min(Math.max(timeoutMs, 0), LONGEST_TIMER_MS);

    const names = this.known.filter((name) => only.includes(name));
    const key = names.join(",");
    const round = this.#rounds.get(key) ?? this.#start(key, names, waitMs);
    round.waiting++;
    try {
      await firstOf(round.done, waitMs, signal);
      signal?.throwIfAborted();
      if (round.result !== undefined) return round.result;
      const result = this.#result(round);
      if (round.parts.every(({ run, end }) => (end ?? run?.end) !== undefined)) round.result = result;
      return result;
    } finally {
      round.waiting--;
      if (round.waiting === 0) this.#end(key, round, signal?.aborted ? "abandoned" : "late");
    }
  }

  /** Of every collector that has run, in their order. */
  lastOutcomes(): readonly Outcome[] {
    return this.known.flatMap((name) => this.#outcomes.get(name) ?? []);
  }

  /** Names of the collectors whose first run has not ended, well or badly. */
  neverRan(): readonly string[] {
    return this.names.filter((name) => !this.#outcomes.has(name));
  }

  /** Resolves when no scrape is running any more. */
  async idle(): Promise<void> {
    while (this.#rounds.size > 0) {
      await Promise.all([...this.#rounds.values()].map(({ done }) => done));
      // Those who wait for these rounds take their results first.
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  #start(key: string, names: readonly string[], timeoutMs: number): Round {
    const parts = names.map((name) => this.#part(name, timeoutMs));
    for (const { run } of parts) run?.hold();
    const done = Promise.all(parts.map(({ run }) => run?.ended)).then(() => {
      // From here on a scrape begins anew, also while those who waited for this one have not taken its result.
      if (this.#rounds.get(key) === round) this.#rounds.delete(key);
    });
    const round: Round = { parts, done, waiting: 0 };
    this.#rounds.set(key, round);
    return round;
  }

  /** The last one who waited has left: what no other scrape waits for is aborted. */
  #end(key: string, round: Round, why: "late" | "abandoned"): void {
    if (this.#rounds.get(key) === round) this.#rounds.delete(key);
    for (const { run } of round.parts) run?.release(why);
  }

  #part(name: string, timeoutMs: number): Part {
    const collector = this.#collectors.get(name);
    if (collector === undefined) throw new Error(`there is no collector "${name}"`);
    const running = this.#running.get(name);
    if (running !== undefined && running.end === undefined) return { name, run: running, end: undefined };
    if (running !== undefined) {
      // It was given up and has not returned: runs started on top of it could pile up without bound.
      const end = stillRunning(running.elapsedMs);
      this.#record(name, end);
      return { name, run: undefined, end };
    }
    const run = new CollectorRun(collector, timeoutMs, {
      ended: (end) => {
        if (end.kind === "late") this.#countTimeout(run);
        this.#record(name, end);
      },
      returned: () => this.#running.delete(name),
    });
    this.#running.set(name, run);
    void run.start();
    return { name, run, end: undefined };
  }

  #record(name: string, end: RunEnd): void {
    if (end.kind === "abandoned") return;
    this.#outcomes.set(name, outcomeOf(name, end));
    if (end.kind !== "collected")
      this.#faults.fail(name, "collector failed", { collector: name, err: end.error });
    else if (end.success) this.#faults.recover(name, "collector works again", { collector: name });
  }

  #result({ parts }: Round): ScrapeResult {
    const sets: Samples[] = [];
    const outcomes: Outcome[] = [];
    const verdicts = new Samples();
    for (const part of parts) {
      const end = part.end ?? part.run?.end ?? this.#lateFor(part.run);
      if (end === undefined) continue;
      if (end.kind === "collected") sets.push(end.samples);
      const outcome = outcomeOf(part.name, end);
      outcomes.push(outcome);
      verdicts.add(COLLECTOR_SUCCESS, { collector: part.name }, outcome.success ? 1 : 0);
      verdicts.add(COLLECTOR_DURATION_SECONDS, { collector: part.name }, outcome.durationMs / 1000);
    }
    return { sets: [...sets, verdicts], outcomes };
  }

  /** A scrape that joined one which may take longer answers before its end; the run goes on for the others. */
  #lateFor(run: CollectorRun | undefined): RunEnd | undefined {
    if (run !== undefined) this.#countTimeout(run);
    return run?.lateNow();
  }

  #countTimeout(run: CollectorRun): void {
    if (this.#countedTimeouts.has(run)) return;
    this.#countedTimeouts.add(run);
    this.#timeouts().inc({ collector: run.collector.name });
  }

  #timeouts() {
    return this.#own.counter(COLLECTOR_TIMEOUT_TOTAL);
  }
}

function stillRunning(elapsedMs: number): RunEnd {
  return {
    kind: "failed",
    error: `still running from an earlier scrape, which began ${inSeconds(elapsedMs)} ago`,
    durationMs: elapsedMs,
    at: new Date(),
  };
}

function outcomeOf(collector: string, end: RunEnd): Outcome {
  const { durationMs, at } = end;
  if (end.kind !== "collected")
    return { collector, success: false, durationMs, samples: 0, error: end.error, at };
  const outcome = { collector, success: end.success, durationMs, samples: end.series, at };
  return end.success ? outcome : { ...outcome, error: "a part could not be read; the log says which" };
}

/** Resolves with `done`, after `waitMs`, or when `signal` is aborted, whichever comes first. */
function firstOf(done: Promise<unknown>, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, waitMs);
    signal?.addEventListener("abort", finish, { once: true });
    void done.then(finish);
  });
}
