/** /pve: a scrape of one host, which the caller names. */
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { COLLECTOR_DURATION_SECONDS, COLLECTOR_SUCCESS } from "../metrics/own-descriptors.ts";
import { Samples } from "../metrics/samples.ts";
import { adviceFor } from "./advice.ts";
import { API_REQUESTS_TOTAL } from "./client.ts";
import type { PveCollector } from "./contract.ts";
import { type Connect, connectWith } from "./endpoints.ts";
import { PveFailure } from "./failure.ts";
import { addHealth, addResult, fullName } from "./health.ts";
import { TargetRound } from "./round.ts";
import { Site } from "./site.ts";
import type { PveModule, PveSettings } from "./target.ts";

export interface TargetRequest {
  /** The label `target`: as the caller wrote it. */
  readonly target: string;
  /** `https://host:port` or `https://host:port/prefix`, made of it and the module. */
  readonly endpoint: string;
  readonly moduleName: string;
  readonly module: PveModule;
  readonly collectors: readonly PveCollector[];
  /** Takes the lines of this scrape in place of the program's log. */
  readonly debugLog?: Log;
}

export type TargetAnswer =
  | { readonly kind: "answered"; readonly sets: readonly Samples[] }
  /** `sentence`: what failed, and what to do. */
  | { readonly kind: "failed"; readonly failure: PveFailure; readonly sentence: string };

/** Connections to so many hosts are kept, with their tickets. */
const MOST_KEPT = 100;

export class TargetScraper {
  readonly #settings: PveSettings;
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  readonly #connect: Connect;
  /** The one asked least recently stands first. */
  readonly #sites = new Map<string, { readonly site: Site; scrapes: number }>();

  constructor(settings: PveSettings, own: OwnMetrics, log: Log, connect: Connect = connectWith(own, log)) {
    this.#settings = settings;
    this.#own = own;
    this.#faults = new FaultLog(log);
    this.#connect = connect;
  }

  /** `failed` where nothing was understood. Rejects only where the caller's signal is aborted. */
  async scrape(request: TargetRequest, context: ScrapeContext): Promise<TargetAnswer> {
    const kept = this.#siteOf(request);
    kept.scrapes++;
    try {
      return await this.#scrape(kept.site, request, context);
    } finally {
      kept.scrapes--;
      this.#forget();
    }
  }

  close(): void {
    for (const { site } of this.#sites.values()) site.close();
    this.#sites.clear();
  }

  async #scrape(
    site: Site,
    { target, collectors, debugLog }: TargetRequest,
    context: ScrapeContext,
  ): Promise<TargetAnswer> {
    const { zeroStates, deprecatedGauges } = this.#settings;
    const { physicalDisks } = site.target;
    const round = new TargetRound(site, context, {
      way: "pve",
      options: { zeroStates, deprecatedGauges, physicalDisks, configGuestLimit: undefined },
      faults: debugLog === undefined ? this.#faults : new FaultLog(debugLog),
      trace: debugLog,
    });
    try {
      const results = await Promise.all(collectors.map((collector) => round.run(collector)));
      const { endpoint } = await round.opening;
      const health = await round.health();
      if (!health.isUp) {
        const failure = health.failure ?? new PveFailure("error", "/", "nothing was answered");
        const advice = adviceFor(failure, endpoint);
        const sentence = advice === undefined ? failure.message : `${failure.message}; ${advice}`;
        return { kind: "failed", failure, sentence };
      }
      const block = new Samples();
      for (const result of results) {
        const collector = fullName(result.collector);
        block.add(COLLECTOR_SUCCESS, { collector }, result.success ? 1 : 0);
        block.add(COLLECTOR_DURATION_SECONDS, { collector }, result.seconds);
        addResult(block, target, result);
      }
      addHealth(block, target, health);
      await this.#addRequests(block);
      return { kind: "answered", sets: [...results.map(({ samples }) => samples), block] };
    } finally {
      round.close();
    }
  }

  async #addRequests(samples: Samples): Promise<void> {
    const { values } = await this.#own.counter(API_REQUESTS_TOTAL).get();
    for (const { labels, value } of values)
      samples.add(API_REQUESTS_TOTAL, { result: String(labels.result) }, value);
  }

  #siteOf({ target, endpoint, moduleName, module }: TargetRequest) {
    const key = JSON.stringify([moduleName, target, endpoint]);
    const kept = this.#sites.get(key) ?? {
      site: new Site(
        {
          name: target,
          endpoints: [endpoint],
          module,
          cluster: undefined,
          collectors: {},
          physicalDisks: { smartIntervalMs: HOUR_MS, excludeNodes: [] },
          configGuestLimit: Number.POSITIVE_INFINITY,
        },
        this.#connect,
      ),
      scrapes: 0,
    };
    this.#sites.delete(key);
    this.#sites.set(key, kept);
    return kept;
  }

  #forget(): void {
    for (const [key, { site, scrapes }] of this.#sites) {
      if (this.#sites.size <= MOST_KEPT) return;
      if (scrapes > 0) continue;
      this.#sites.delete(key);
      site.close();
    }
  }
}

const HOUR_MS = 60 * 60_000;
