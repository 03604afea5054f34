/** One scrape of all targets, beside each other: the collectors that begin together share one round for each target. */
import type { FaultLog } from "../log/faults.ts";
import type { Collection } from "../metrics/collector.ts";
import { Samples } from "../metrics/samples.ts";
import type { ClusterLabels } from "./cluster-labels.ts";
import type { PveCollector } from "./contract.ts";
import { addHealth, addResult } from "./health.ts";
import { type CollectorResult, TargetRound } from "./round.ts";
import type { Site } from "./site.ts";
import type { PveSettings, PveTarget } from "./target.ts";

/** What a scrape of all targets needs beside the targets. */
export interface ScrapeParts {
  readonly sites: readonly Site[];
  /** Whether the collector, where it runs, is to ask the target. */
  asks(collector: PveCollector, target: PveTarget): boolean;
  readonly settings: PveSettings;
  readonly labels: ClusterLabels;
  readonly faults: FaultLog;
}

/** The results of one target. */
export interface OfTarget {
  readonly round: TargetRound;
  readonly site: Site;
  readonly result: CollectorResult;
}

export class PveScrape {
  readonly #parts: ScrapeParts;
  readonly #rounds: readonly { readonly site: Site; readonly round: TargetRound }[];
  readonly #abort = new AbortController();
  /** Collectors that have not returned, and those of them that somebody waits for. */
  #running = 0;
  #waitedFor = 0;
  /** Collectors whose results are not there yet. */
  #missing = 0;
  #hasHealth = false;

  constructor(parts: ScrapeParts, deadline: number) {
    this.#parts = parts;
    const { settings, faults } = parts;
    this.#rounds = parts.sites.map((site) => {
      const { physicalDisks, configGuestLimit } = site.target;
      const { zeroStates, deprecatedGauges } = settings;
      const options = { zeroStates, deprecatedGauges, physicalDisks, configGuestLimit };
      const context = { signal: this.#abort.signal, deadline };
      return { site, round: new TargetRound(site, context, { way: "metrics", options, faults }) };
    });
  }

  /** Rejects only where nobody waits for it any more. All collectors of a scrape begin before any of them ends. */
  async collect(collector: PveCollector, signal: AbortSignal): Promise<Collection> {
    this.#missing++;
    return this.#during(signal, async () => {
      const results = await this.#run(collector).finally(() => this.#missing--);
      const labels = await this.#labels();
      const samples = merged(results, labels);
      for (const { site, result } of results) addResult(samples, site.target.name, result);
      if (this.#missing === 0 && !this.#hasHealth) await this.#addHealth(samples);
      return { samples, success: results.every(({ result }) => result.success) };
    });
  }

  /** As `collect`, for `check`. */
  async results(collector: PveCollector, signal: AbortSignal): Promise<readonly OfTarget[]> {
    return this.#during(signal, () => this.#run(collector));
  }

  async #during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const leave = () => {
      this.#waitedFor--;
      if (this.#waitedFor === 0) this.#abort.abort(signal.reason);
    };
    this.#running++;
    this.#waitedFor++;
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await work();
    } finally {
      signal.removeEventListener("abort", leave);
      this.#running--;
      if (this.#running === 0) for (const { round } of this.#rounds) round.close();
    }
  }

  #run(collector: PveCollector): Promise<OfTarget[]> {
    const asked = this.#rounds.filter(({ site }) => this.#parts.asks(collector, site.target));
    return Promise.all(
      asked.map(async ({ site, round }) => ({ site, round, result: await round.run(collector) })),
    );
  }

  /** Undefined where there is one target, which needs none. */
  async #labels(): Promise<ReadonlyMap<string, string> | undefined> {
    if (this.#rounds.length < 2) return undefined;
    const named = this.#rounds.map(async ({ site, round }) => ({
      name: site.target.name,
      cluster: await round.cluster(),
    }));
    return this.#parts.labels.of(await Promise.all(named));
  }

  async #addHealth(samples: Samples): Promise<void> {
    this.#hasHealth = true;
    for (const { site, round } of this.#rounds) addHealth(samples, site.target.name, await round.health());
  }
}

/** In the order of the labels, so that the series are in order where those of each target are. */
function merged(results: readonly OfTarget[], labels: ReadonlyMap<string, string> | undefined): Samples {
  const [only] = results;
  if (labels === undefined) return only?.result.samples ?? new Samples();
  const samples = new Samples();
  const labelled = results.map(({ site: { target }, result }) => ({
    cluster: labels.get(target.name) ?? target.name,
    families: result.samples.families.values(),
  }));
  for (const { cluster, families } of labelled.sort((a, b) => (a.cluster < b.cluster ? -1 : 1))) {
    for (const family of families) {
      samples.declare(family.descriptor);
      for (const [index, value] of family.values.entries())
        samples.push(family.descriptor, { cluster, ...family.labels[index] }, value);
    }
  }
  return samples;
}
