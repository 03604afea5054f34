/** The Proxmox VE source as the rest of the program sees it: a collector for each of ours, which asks all targets. */
import { ConfigError } from "../config/error.ts";
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type {
  Availability,
  Collection,
  Collector,
  CollectorDescription,
  Finding,
  ScrapeContext,
} from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { ClusterLabels } from "./cluster-labels.ts";
import { PVE_COLLECTORS } from "./collectors.ts";
import type { PveCollector } from "./contract.ts";
import { type Connect, connectWith } from "./endpoints.ts";
import { findingsOf } from "./findings.ts";
import { fullName, HEALTH_DESCRIPTORS } from "./health.ts";
import { PveScrape, type ScrapeParts } from "./scrape.ts";
import { Site } from "./site.ts";
import { type SlowClock, SlowReadings } from "./slow.ts";
import { SlowState } from "./slow-state.ts";
import type { PveSettings, PveTarget } from "./target.ts";

export const PVE_DESCRIPTIONS: readonly CollectorDescription[] = PVE_COLLECTORS.map((collector) => ({
  name: fullName(collector),
  help: collector.help,
  descriptors: [...collector.descriptors, ...HEALTH_DESCRIPTORS],
}));

/** `name` in full, "pve-status". */
export function pveAvailability({ targets, modules }: PveSettings, name: string): Availability {
  if (targets.length === 0)
    return {
      available: false,
      reason: modules.size === 0 ? "pve.targets names none" : "pve.targets names none; /pve needs none",
    };
  const collector = PVE_COLLECTORS.find((collector) => fullName(collector) === name);
  const named = targets.map((target) => target.name).join(", ");
  const isOn = (target: PveSettings["targets"][number]) =>
    target.collectors[collector?.name ?? ""] ?? collector?.defaults.metrics;
  return targets.some(isOn)
    ? { available: true, reason: `pve.targets names ${named}` }
    : { available: false, reason: "it costs more than it tells most people" };
}

export interface PveSeams {
  readonly connect?: Connect | undefined;
  /** Given: slow readings go on from settings.state.directory, and are kept there by saveState. */
  readonly state?: "keep" | undefined;
  /** Of slow readings that are not kept. */
  readonly clock?: SlowClock | undefined;
}

export interface PveSource {
  readonly collectors: Collector[];
  /** Resolves when no slow reading is under way. */
  settled(): Promise<void>;
  saveState(): void;
  close(): void;
}

/** Nothing is asked before the first scrape. Throws ConfigError where there is no target. */
export function openPve(
  settings: Pick<Settings, "pve" | "collectors" | "path" | "state">,
  own: OwnMetrics,
  log: Log,
  seams: PveSeams = {},
): PveSource {
  const { pve } = settings;
  if (pve.targets.length === 0)
    throw new ConfigError({
      text: "a collector of Proxmox VE is switched on, but pve.targets names no cluster; name one, or leave the collector off",
    });
  const state =
    seams.state === "keep" ? new SlowState(settings.state.directory, settings.path.procfs) : undefined;
  if (state?.fault !== undefined) log.warn("slow readings begin anew", { err: state.fault });
  const connect = seams.connect ?? connectWith(own, log);
  const readings = (target: string) =>
    state?.readings(target) ?? new SlowReadings(seams.clock && { clock: seams.clock });
  const sites = pve.targets.map((target) => new Site(target, connect, readings(target.name)));
  const { chosen, disableDefaults } = settings.collectors;
  const isOn = (collector: PveCollector, target: PveTarget): boolean =>
    target.collectors[collector.name] ?? chosen[fullName(collector)] ?? collector.defaults.metrics;
  const isOnDemand = (collector: PveCollector): boolean =>
    chosen[fullName(collector)] === undefined &&
    (disableDefaults || !pve.targets.some((target) => isOn(collector, target)));
  const scrapes = new PveScrapes({
    sites,
    settings: pve,
    asks: (collector, target) =>
      isOn(collector, target) || (isOnDemand(collector) && target.collectors[collector.name] !== false),
    labels: new ClusterLabels(log),
    faults: new FaultLog(log),
  });
  return {
    collectors: PVE_COLLECTORS.map((collector) => ({
      name: fullName(collector),
      isOnDemand: isOnDemand(collector),
      ...scrapes.collectorOf(collector, isOn),
    })),
    settled: async () => void (await Promise.all(sites.map(({ slow }) => slow.idle()))),
    saveState: () => state?.save(),
    close: () => sites.forEach((site) => void site.close()),
  };
}

/** Brings the collectors that begin in the same moment into one scrape. */
class PveScrapes {
  readonly #parts: ScrapeParts;
  #beginning: PveScrape | undefined;

  constructor(parts: ScrapeParts) {
    this.#parts = parts;
  }

  collectorOf(
    collector: PveCollector,
    isOn: (collector: PveCollector, target: PveTarget) => boolean,
  ): Pick<Collector, "collect" | "check"> {
    return {
      collect: ({ signal, deadline }: ScrapeContext): Promise<Collection> =>
        this.#join(deadline).collect(collector, signal),
      check: async (context: ScrapeContext): Promise<Finding[]> =>
        findingsOf(
          await this.#join(context.deadline).results(collector, context.signal),
          (target) => PVE_COLLECTORS.filter((one) => isOn(one, target)).map(({ name }) => name),
          context,
        ),
    };
  }

  /** The scraper starts all collectors of a scrape before it waits for any. */
  #join(deadline: number): PveScrape {
    if (this.#beginning === undefined) {
      this.#beginning = new PveScrape(this.#parts, deadline);
      queueMicrotask(() => {
        this.#beginning = undefined;
      });
    }
    return this.#beginning;
  }
}
