/** One exposition of what the exporters of all nodes say, each asked in the scrape that it is for. */
import { reasonOf } from "../host/system-error.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import { expose } from "../metrics/exposition.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { Samples } from "../metrics/samples.ts";
import { within } from "../rest/within.ts";
import { ask } from "./aggregate/ask.ts";
import { Connections } from "./aggregate/connections.ts";
import type { PodExposition } from "./aggregate/exposition-parser.ts";
import { AGGREGATE_REASONS, type AggregateReason, AskFailure } from "./aggregate/failure.ts";
import { KeptFamilies } from "./aggregate/kept-families.ts";
import { type Merged, merge } from "./aggregate/merge.ts";
import { KnownMetadata } from "./aggregate/metadata.ts";
import type { ExporterPod } from "./aggregate/pod.ts";
import { inTurns, shareMs } from "./aggregate/turns.ts";
import {
  ERRORS_TOTAL,
  NODE_SAMPLES,
  NODE_SCRAPE_DURATION_SECONDS,
  NODE_UP,
  NODES_DESIRED,
  NODES_READY,
  NODES_SCRAPED,
} from "./aggregate-metrics.ts";

export type { ExporterPod } from "./aggregate/pod.ts";

export interface AggregateTargets {
  readonly desired: number;
  readonly ready: number;
  readonly pods: readonly ExporterPod[];
}

export interface ScrapeContext {
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
}

/** Of the time that a scrape has: what is left is for bringing the answers together. */
const ASKING = 0.95;
/** Of all exporters together; Prometheus itself would have its troubles with that. */
const MAX_TOTAL_BYTES = 256 * 1024 * 1024;

/** How asking an exporter ended. */
interface PodEnd {
  readonly pod: ExporterPod;
  readonly durationMs: number;
  readonly result: PodExposition | AskFailure;
}

/** One scrape, and those that joined it. */
interface Round {
  readonly targets: AggregateTargets;
  readonly ends: PodEnd[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** Made once all have been asked: the same for all who wait for it. */
  answer: Promise<Uint8Array<ArrayBuffer>> | undefined;
  waiting: number;
  bytes: number;
}

export class Aggregate {
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  readonly #connections = new Connections();
  readonly #metadata = new KnownMetadata();
  /** Addresses that took more than their share of the time when they were asked last. */
  readonly #slow = new Set<string>();
  #round: Round | undefined;

  constructor(own: OwnMetrics, log: Log) {
    this.#own = own;
    this.#faults = new FaultLog(log);
    for (const reason of AGGREGATE_REASONS) this.#errors().inc({ reason }, 0);
  }

  /**
   * In the text format 0.0.4, at the deadline at the latest, with what has arrived by then. Joins a scrape that is
   * running, so that no exporter is asked twice at a time. Rejects with the signal's reason only.
   */
  async scrape(
    targets: AggregateTargets,
    { signal, deadline }: ScrapeContext,
  ): Promise<Uint8Array<ArrayBuffer>> {
    signal.throwIfAborted();
    this.#round ??= this.#start(targets, deadline);
    const round = this.#round;
    round.waiting++;
    try {
      const late = new Error("the time of this scrape is over before that of the one which it joined");
      await within(
        { signal, deadline },
        () => round.done,
        () => late,
      ).catch((error) => {
        if (error !== late) throw error;
      });
      return await (round.answer ?? this.#answer(round));
    } finally {
      round.waiting--;
      if (round.waiting === 0) this.#end(round);
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#connections.close();
  }

  #start(targets: AggregateTargets, deadline: number): Round {
    this.#forgetOthers(targets);
    const stop = new AbortController();
    const now = performance.now();
    const round: Round = {
      targets,
      ends: [],
      stop,
      done: Promise.resolve().then(() => this.#askAll(round, now + (deadline - now) * ASKING)),
      answer: undefined,
      waiting: 0,
      bytes: 0,
    };
    return round;
  }

  /** Nobody waits for it any more, or all have been asked: whoever comes next begins anew. */
  #end(round: Round): void {
    round.stop.abort();
    if (this.#round === round) this.#round = undefined;
  }

  async #askAll(round: Round, deadline: number): Promise<void> {
    const kept = new KeptFamilies();
    const { pods } = round.targets;
    const shareOfEachMs = shareMs(deadline - performance.now(), pods.length);
    await inTurns({
      pods,
      deadline,
      wasSlow: ({ url }) => this.#slow.has(url),
      ask: async (pod, turn, isLast) => {
        const { signal } = round.stop;
        const start = performance.now();
        const result = await ask(pod, this.#connections, {
          signal,
          ...turn,
          keeps: kept.of(pod.families),
          metadata: this.#metadata,
        }).catch(failureOf);
        if (signal.aborted) return "done";
        const durationMs = performance.now() - start;
        const isLate = result instanceof AskFailure && result.reason === "timeout";
        if (isLate || durationMs > shareOfEachMs) this.#slow.add(pod.url);
        else this.#slow.delete(pod.url);
        if (isLate && !isLast) return "late";
        round.ends.push({ pod, durationMs, result: inTotal(round, result) });
        return "done";
      },
    });
    if (round.stop.signal.aborted) return;
    round.answer = this.#answer(round, (merged) => this.#tell(round, merged));
    if (this.#round === round) this.#round = undefined;
  }

  async #answer(round: Round, tell?: (merged: Merged) => void): Promise<Uint8Array<ArrayBuffer>> {
    const expositions = round.ends
      .toSorted((a, b) => compare(a.pod.node, b.pod.node) || compare(a.pod.url, b.pod.url))
      .flatMap(({ result }) => (result instanceof AskFailure ? [] : [result]));
    const merged = merge(expositions);
    tell?.(merged);
    const samples = verdicts(round, merged);
    for (const { labels, value } of (await this.#errors().get()).values)
      samples.add(ERRORS_TOTAL, { reason: String(labels.reason) }, value);
    return concat([...merged.pieces, expose([samples], "text").body]);
  }

  /** Counts what went wrong, and speaks of it when it begins and when it ends. */
  #tell({ ends }: Round, { conflicting, samples }: Merged): void {
    const failures = ends.flatMap(({ pod: { node }, result }) => {
      if (result instanceof AskFailure) return [{ node, failure: result }];
      if (conflicting.has(result)) return [{ node, failure: OTHER_TYPE }];
      const isWhole = result.leftOut === 0 && samples.get(result) === result.samples;
      return isWhole ? [] : [{ node, failure: LEFT_OUT }];
    });
    const byReason = Map.groupBy(failures, ({ failure }) => failure.reason);
    for (const reason of AGGREGATE_REASONS) {
      const [first, ...others] = byReason.get(reason) ?? [];
      if (first === undefined) {
        this.#faults.recover(reason, FAULTS[reason].recovered);
        continue;
      }
      this.#errors().inc({ reason }, 1 + others.length);
      const nodes = [first, ...others].map(({ node }) => node).sort();
      this.#faults.fail(
        reason,
        FAULTS[reason].failed,
        { reason, nodes: listed(nodes), example: `${first.node}: ${first.failure.message}` },
        "warn",
      );
    }
  }

  #forgetOthers({ pods }: AggregateTargets): void {
    const urls = new Set(pods.map(({ url }) => url));
    for (const url of this.#slow) if (!urls.has(url)) this.#slow.delete(url);
    this.#connections.keepOnly(new Set([...urls].map((url) => URL.parse(url)?.host ?? "")));
  }

  #errors() {
    return this.#own.counter(ERRORS_TOTAL);
  }
}

const OTHER_TYPE = new AskFailure("conflict", "a family of it has another type than with most that have it");
const LEFT_OUT = new AskFailure(
  "conflict",
  "series that it has twice, that another exporter of its node has as well, or that name another node are left out",
);

const FAULTS: Readonly<Record<AggregateReason, { readonly failed: string; readonly recovered: string }>> = {
  connect: {
    failed: "exporters cannot be reached; their nodes are missing in the aggregate",
    recovered: "all exporters can be reached",
  },
  timeout: {
    failed: "exporters are too slow; their nodes are missing in the aggregate",
    recovered: "all exporters answer in time",
  },
  http: {
    failed: "exporters answer otherwise than they should; their nodes are missing in the aggregate",
    recovered: "all exporters answer as they should",
  },
  parse: {
    failed: "answers of exporters cannot be read; their nodes are missing in the aggregate",
    recovered: "the answers of all exporters can be read",
  },
  too_large: {
    failed: "answers of exporters are too large; their nodes are missing in the aggregate",
    recovered: "no answer of an exporter is too large",
  },
  conflict: {
    failed: "answers of exporters contradict others, and are missing in the aggregate, as a whole or in part",
    recovered: "no answers of exporters contradict each other",
  },
};

/** Of a long list of nodes the log gets so many. */
const MOST_LISTED = 5;

function listed(nodes: readonly string[]): string {
  const shown = nodes.slice(0, MOST_LISTED).join(", ");
  return nodes.length > MOST_LISTED ? `${shown} and ${nodes.length - MOST_LISTED} more` : shown;
}

const failureOf = (error: unknown): AskFailure =>
  error instanceof AskFailure ? error : new AskFailure("http", reasonOf(error));

/** What has no room beside the others is not kept. */
function inTotal(round: Round, result: PodEnd["result"]): PodEnd["result"] {
  if (result instanceof AskFailure) return result;
  if (round.bytes + result.bytes.length > MAX_TOTAL_BYTES)
    return new AskFailure(
      "too_large",
      `with its samples there would be more than ${MAX_TOTAL_BYTES / 1024 / 1024} MiB`,
    );
  round.bytes += result.bytes.length;
  return result;
}

/** What is told of each node. Where it has several exporters, it is up if all of them are. */
function verdicts({ targets, ends }: Round, { samples }: Merged): Samples {
  const told = new Samples();
  const nodes = new Map(
    targets.pods.map(({ node }) => [node, { up: 0, asked: 0, samples: 0, durationMs: 0 }]),
  );
  for (const { node } of targets.pods) {
    const verdict = nodes.get(node);
    if (verdict !== undefined) verdict.asked++;
  }
  let scraped = 0;
  for (const { pod, durationMs, result } of ends) {
    const verdict = nodes.get(pod.node);
    if (verdict === undefined) continue;
    const count = result instanceof AskFailure ? undefined : samples.get(result);
    if (count !== undefined) {
      scraped++;
      verdict.up++;
      verdict.samples += count;
    }
    verdict.durationMs = Math.max(verdict.durationMs, durationMs);
  }
  for (const [node, verdict] of nodes) {
    told.add(NODE_UP, { node }, verdict.up === verdict.asked ? 1 : 0);
    told.add(NODE_SAMPLES, { node }, verdict.samples);
    told.add(NODE_SCRAPE_DURATION_SECONDS, { node }, verdict.durationMs / 1000);
  }
  told.add(NODES_DESIRED, {}, targets.desired);
  told.add(NODES_READY, {}, targets.ready);
  told.add(NODES_SCRAPED, {}, scraped);
  return told;
}

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);
