/** The sources of metrics that this build has: the one list from which flags, `check` and the scraper are made. */
import type { Settings } from "../config/settings.ts";
import { CSI_COLLECTORS, csiAvailability, openCsi } from "../csi/source.ts";
import type { Log } from "../log/log.ts";
import { MAYASTOR_COLLECTORS, mayastorAvailability, openMayastor } from "../mayastor/source.ts";
import type { Availability, Collector, CollectorDescription } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { NVME_COLLECTORS, nvmeAvailability, openNvme } from "../nvme/source.ts";
import { openPve, PVE_DESCRIPTIONS, pveAvailability } from "../pve/source.ts";

/** What the demo, the textfile and the tests put in the place of what a source does by itself. */
export interface Seams {
  /** Script of the Worker that asks the NVMe controllers. */
  readonly nvmeWorker?: URL;
  /** Continue from `--state.directory`, as the textfile does from run to run. */
  readonly state?: "keep";
}

export interface OpenCollectors {
  /** Those that are enabled, and of their sources those on demand, in the order of `COLLECTORS`. */
  readonly collectors: readonly Collector[];
  /** Resolves when nothing is read any more that goes on between scrapes. */
  settled(): Promise<void>;
  /** Writes what the next run continues from. Throws where that fails. */
  saveState(): void;
  close(): void;
}

interface Source {
  readonly descriptions: readonly CollectorDescription[];
  availability(settings: Settings, name: string): Availability;
  /** All collectors of the source; those that are off are never called. */
  open(
    settings: Settings,
    own: OwnMetrics,
    log: Log,
    seams: Seams,
  ): {
    readonly collectors: readonly Collector[];
    settled?(): Promise<void>;
    saveState(): void;
    close(): void;
  };
}

const SOURCES: readonly Source[] = [
  {
    descriptions: NVME_COLLECTORS,
    availability: nvmeAvailability,
    open: (settings, own, log, { nvmeWorker, state }) =>
      openNvme(settings, own, log, { worker: nvmeWorker, state }),
  },
  {
    descriptions: CSI_COLLECTORS,
    availability: csiAvailability,
    open: (settings, own, log) => openCsi(settings, own, log),
  },
  {
    descriptions: MAYASTOR_COLLECTORS,
    availability: mayastorAvailability,
    open: (settings, own, log) => openMayastor(settings, own, log),
  },
  {
    descriptions: PVE_DESCRIPTIONS,
    availability: ({ pve }, name) => pveAvailability(pve, name),
    open: (settings, own, log, { state }) => openPve(settings, own, log, { state }),
  },
];

export const COLLECTORS: readonly CollectorDescription[] = SOURCES.flatMap((source) => source.descriptions);

/** By name, in the order of `COLLECTORS`. What the user named wins; the rest follows what the host has. */
export function availability(
  settings: Settings,
): ReadonlyMap<string, Availability & { readonly enabled: boolean }> {
  const { chosen, disableDefaults } = settings.collectors;
  const found = new Map<string, Availability & { readonly enabled: boolean }>();
  for (const source of SOURCES) {
    for (const { name } of source.descriptions) {
      const { available, reason } = source.availability(settings, name);
      const enabled = chosen[name] ?? (available && !disableDefaults);
      found.set(name, { available, reason, enabled: enabled && !isForHostsAlone(source, settings) });
    }
  }
  return found;
}

/** Where there are modules and no targets, a flag of a collector of Proxmox VE is about /pve. */
const isForHostsAlone = ({ descriptions }: Source, { pve }: Settings): boolean =>
  descriptions === PVE_DESCRIPTIONS && pve.targets.length === 0 && pve.modules.size > 0;

/** Opens the enabled collectors; a source of which none is enabled is not touched. */
export function openCollectors(
  settings: Settings,
  own: OwnMetrics,
  log: Log,
  seams: Seams = {},
): OpenCollectors {
  const known = availability(settings);
  const enabled = (name: string): boolean => known.get(name)?.enabled === true;
  const opened = SOURCES.filter(({ descriptions }) => descriptions.some(({ name }) => enabled(name))).map(
    (source) => source.open(settings, own, log, seams),
  );
  return {
    collectors: opened.flatMap(({ collectors }) =>
      collectors.filter(({ name, isOnDemand }) => isOnDemand || enabled(name)),
    ),
    settled: async () => void (await Promise.all(opened.map((source) => source.settled?.()))),
    saveState: () => opened.forEach((source) => void source.saveState()),
    close: () => opened.forEach((source) => void source.close()),
  };
}
