/** A round without a server: what each path answers is given, and what a collector makes of it can be read. */
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";
import type {
  CallOptions,
  CollectorOptions,
  PveCollector,
  Report,
  Round,
  SkipReason,
} from "../../src/pve/contract.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import type { ClusterStatus, Resources } from "../../src/pve/model.ts";
import { resourcesOf } from "../../src/pve/shared-calls.ts";
import { SlowReadings, type SlowRound } from "../../src/pve/slow.ts";
import { seriesOfExposition } from "./series.ts";

export interface Given {
  /** "9.2" where nothing is said. */
  readonly release?: string;
  /** A quorate cluster `prod` of pve1 (local) and pve2 where nothing is said. */
  readonly status?: ClusterStatus | PveFailure;
  /** What /cluster/resources answers, none where nothing is said; or a PveFailure. */
  readonly resources?: unknown;
  /** All nodes that are online where nothing is said. */
  readonly nodes?: readonly string[] | PveFailure;
  readonly options?: Partial<CollectorOptions>;
  /** On the clock of `performance.now()`. */
  readonly end?: number;
  /** Those of the rounds before; new ones where nothing is said. */
  readonly slow?: SlowReadings;
}

/** What a path answers: `data`, a PveFailure, or what a function gives when it is asked. */
export type Answers = Readonly<Record<string, unknown>>;

export class FakeRound implements Round {
  readonly end: number;
  readonly slow: SlowRound;
  readonly options: CollectorOptions;
  /** Every path asked, in order, with its query. */
  readonly asked: string[] = [];
  readonly callOptions: (CallOptions | undefined)[] = [];
  readonly #answers: Answers;
  readonly #given: Given;

  constructor(answers: Answers = {}, given: Given = {}) {
    this.#answers = answers;
    this.#given = given;
    this.end = given.end ?? performance.now() + 10_000;
    this.slow = (given.slow ?? new SlowReadings()).begin(this);
    this.options = { ...UNCONFIGURED, ...given.options };
  }

  async release() {
    const text = this.#given.release ?? "9.2";
    return { text, major: Number.parseInt(text, 10) };
  }

  async status() {
    return orThrow(this.#given.status ?? TWO_NODES);
  }

  async resources(): Promise<Resources> {
    return resourcesOf(orThrow(this.#given.resources ?? []));
  }

  async nodes() {
    const given = orThrow(this.#given.nodes);
    if (given !== undefined) return given;
    return (await this.status()).nodes.filter(({ isOnline }) => isOnline).map(({ name }) => name);
  }

  async get(path: string, options?: CallOptions): Promise<unknown> {
    this.asked.push(path);
    this.callOptions.push(options);
    if (!Object.hasOwn(this.#answers, path)) throw new Error(`nobody expected ${path} to be asked`);
    const answer = this.#answers[path];
    return orThrow(typeof answer === "function" ? await answer() : answer);
  }

  getLasting(path: string, options: CallOptions & { readonly limitMs: number }): Promise<unknown> {
    return this.get(path, options);
  }
}

const UNCONFIGURED: CollectorOptions = {
  zeroStates: true,
  deprecatedGauges: true,
  physicalDisks: { smartIntervalMs: 3_600_000, excludeNodes: [] },
  configGuestLimit: undefined,
};

export const TWO_NODES: ClusterStatus = {
  cluster: { name: "prod", nodes: 2, version: 2, quorate: true },
  nodes: [
    { name: "pve1", nodeid: 1, level: "", isOnline: true, isLocal: true },
    { name: "pve2", nodeid: 2, level: "", isOnline: true, isLocal: false },
  ],
  invalid: 0,
  duplicate: 0,
};

export const STANDALONE: ClusterStatus = {
  cluster: undefined,
  nodes: [{ name: "pve1", nodeid: 0, level: "", isOnline: true, isLocal: true }],
  invalid: 0,
  duplicate: 0,
};

export const failure = (reason: SkipReason, path = "/"): PveFailure =>
  new PveFailure(reason, path, `${path}: ${reason}`);

/** What a collector has told. */
export class FakeReport implements Report {
  readonly samples = new Samples();
  readonly leftOut = new Map<SkipReason, number>();
  readonly lost = new Map<SkipReason, number>();

  declare: Report["declare"] = (descriptor) => this.samples.declare(descriptor);

  add: Report["add"] = (descriptor, labels, value) => {
    this.samples.push(descriptor, labels, value);
  };

  addStates: Report["addStates"] = (descriptor, labels, states) => {
    this.samples.push(descriptor, labels, states);
  };

  leaveOut(reason: SkipReason, count = 1): void {
    if (count > 0) this.leftOut.set(reason, (this.leftOut.get(reason) ?? 0) + count);
  }

  lose(reason: SkipReason, count = 1): void {
    if (count > 0) this.lost.set(reason, (this.lost.get(reason) ?? 0) + count);
  }

  failed(error: unknown): void {
    if (!(error instanceof PveFailure)) throw error;
    if (error.reason === "gone") this.leaveOut("gone");
    else this.lose(error.reason);
  }
}

export interface Collected {
  /** `pve_up{id="node/pve1"}` → 1; labels sorted. */
  readonly series: Readonly<Record<string, number>>;
  /** Left out as expected, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** Missing, by reason: with any the collector has not succeeded. */
  readonly lost: Readonly<Record<string, number>>;
  readonly report: FakeReport;
}

/** Runs the collector as the framework does. */
export async function collect(collector: PveCollector, round: Round): Promise<Collected> {
  const report = new FakeReport();
  await collector.collect(round, report).catch((error: unknown) => report.failed(error));
  for (const { name } of report.samples.families.keys()) {
    if (!collector.descriptors.some((descriptor) => descriptor.name === name))
      throw new Error(`${collector.name} does not name ${name} among its families`);
  }
  const text = new TextDecoder().decode(expose([report.samples], "text").body);
  return {
    series: Object.fromEntries(seriesOfExposition(text)),
    leftOut: Object.fromEntries(report.leftOut),
    lost: Object.fromEntries(report.lost),
    report,
  };
}

function orThrow<T>(given: T | PveFailure): T {
  if (given instanceof PveFailure) throw given;
  return given;
}
