/** /pve: one scrape of the host of Proxmox VE that the caller names, with a module of pve.yml. */
import { isDeepStrictEqual } from "node:util";
import type { PveHostModule, PveSettings } from "../config/pve.ts";
import { isAllowed, parsePveHost, pveUrl } from "../config/pve-host.ts";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { Samples } from "../metrics/samples.ts";
import { PVE_COLLECTORS } from "../pve/collectors.ts";
import type { PveCollector } from "../pve/contract.ts";
import { type Connect, connectWith } from "../pve/endpoints.ts";
import { TargetScraper } from "../pve/scrape-target.ts";
import { measured, PveHostMetrics } from "./pve-host-metrics.ts";

export interface HostRequest {
  /** As the caller wrote it. */
  readonly target: string;
  readonly module: string;
  /** Whether collectors of the cluster, and of the node that answers, run. */
  readonly cluster: boolean;
  readonly node: boolean;
  /** Names of collectors, with `pve-` or without; at most one of the lists is not empty. */
  readonly collect: readonly string[];
  readonly exclude: readonly string[];
  /** Takes the lines of this scrape in place of the program's log. */
  readonly debugLog?: Log;
}

export type HostAnswer =
  | { readonly kind: "answered"; readonly sets: readonly Samples[] }
  /** `sentence`: what was wrong with the request, or what failed and what to do. */
  | { readonly kind: "refused"; readonly status: 400 | 403 | 502 | 504; readonly sentence: string };

interface Generation {
  readonly settings: PveSettings;
  readonly scraper: TargetScraper;
  running: number;
}

export class PveHosts {
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #connect: Connect;
  #current: Generation | undefined;

  constructor(own: OwnMetrics, log: Log, connect: Connect = connectWith(own, log)) {
    this.#own = own;
    this.#log = log;
    this.#connect = connect;
  }

  /** Each module is counted from the start, with nothing. */
  begin(settings: PveSettings): void {
    new PveHostMetrics(this.#own, settings).begin();
  }

  /** Rejects only where the caller's signal is aborted. */
  async scrape(request: HostRequest, settings: Settings, context: ScrapeContext): Promise<HostAnswer> {
    const { pve } = settings;
    const metrics = new PveHostMetrics(this.#own, pve);
    const startedAt = performance.now();
    const answer = await this.#answer(request, settings, context);
    metrics.ended(request, answer.kind, (performance.now() - startedAt) / 1000);
    return answer;
  }

  close(): void {
    this.#current?.scraper.close();
  }

  async #answer(request: HostRequest, settings: Settings, context: ScrapeContext): Promise<HostAnswer> {
    const asked = hostOf(request, settings.pve);
    if ("sentence" in asked) return asked;
    const chosen = chooseCollectors(request, settings.collectors);
    if ("sentence" in chosen) return chosen;
    if (chosen.collectors.length === 0) return { kind: "answered", sets: [] };

    const { target, module: moduleName, debugLog } = request;
    const generation = this.#generation(settings.pve);
    generation.running++;
    try {
      const answer = await generation.scraper.scrape(
        {
          target,
          moduleName,
          ...asked,
          collectors: chosen.collectors,
          ...(debugLog !== undefined && { debugLog }),
        },
        context,
      );
      if (answer.kind === "answered") return answer;
      const { failure, sentence } = answer;
      return { kind: "refused", status: failure.reason === "timeout" ? 504 : 502, sentence };
    } finally {
      generation.running--;
      if (generation !== this.#current && generation.running === 0) generation.scraper.close();
    }
  }

  /** A reload that changes nothing of Proxmox VE leaves the connections as they are. */
  #generation(settings: PveSettings): Generation {
    const old = this.#current;
    if (old !== undefined && (old.settings === settings || isDeepStrictEqual(old.settings, settings)))
      return old;
    if (old?.running === 0) old.scraper.close();
    const connect = settings.apiMetrics ? measured(this.#connect, this.#own) : this.#connect;
    this.#current = {
      settings,
      scraper: new TargetScraper(settings, this.#own, this.#log, connect),
      running: 0,
    };
    return this.#current;
  }
}

type Refusal = Extract<HostAnswer, { kind: "refused" }>;

const refused = (status: Refusal["status"], sentence: string): Refusal => ({
  kind: "refused",
  status,
  sentence,
});

/** Where the request leads, before anything is asked. */
function hostOf(
  { target, module: moduleName }: HostRequest,
  { modules, allowedTargets }: PveSettings,
): { readonly endpoint: string; readonly module: PveHostModule } | Refusal {
  const parsed = parsePveHost(target);
  if (parsed === undefined)
    return refused(
      400,
      `target ${quoted(target)} is no host; name one as pve1.lan, pve1.lan:8006, 192.0.2.1 or [2001:db8::1]:8006`,
    );
  const module = modules.get(moduleName);
  if (module === undefined) return refused(400, `Module '${shown(moduleName)}' not found in config`);
  const { host, port = module.port } = parsed;
  if (allowedTargets !== undefined && !isAllowed(host, allowedTargets))
    return refused(
      403,
      `target ${quoted(target)} is none of pve.allowed_targets; if it may be asked, add it there`,
    );
  return { endpoint: pveUrl(host, port, module.pathPrefix), module };
}

/** `collect[]` and `exclude[]` act inside what `cluster` and `node` leave. */
function chooseCollectors(
  { cluster, node, collect, exclude }: HostRequest,
  { chosen, disableDefaults }: Settings["collectors"],
): { readonly collectors: readonly PveCollector[] } | Refusal {
  if (collect.length > 0 && exclude.length > 0)
    return refused(400, "collect[] and exclude[] cannot both be given");
  const possible = PVE_COLLECTORS.filter(({ defaults }) => defaults.pve !== undefined);
  const isForbidden = ({ name }: PveCollector) => chosen[`pve-${name}`] === false;
  const named = [...collect, ...exclude];
  const unknown = named.find((name) => !possible.some((one) => isCalled(one, name)));
  if (unknown !== undefined)
    return refused(
      400,
      `there is no collector ${quoted(unknown)} for /pve; the collectors are: ${possible.map(({ name }) => name).join(", ")}`,
    );
  const forbidden = possible.find((one) => isForbidden(one) && collect.some((name) => isCalled(one, name)));
  if (forbidden !== undefined)
    return refused(
      400,
      `the collector ${forbidden.name} is switched off by --no-collector.${forbidden.name}`,
    );
  const isOn = (one: PveCollector): boolean => {
    if (collect.length > 0) return collect.some((name) => isCalled(one, name));
    if (exclude.some((name) => isCalled(one, name))) return false;
    return chosen[`pve-${one.name}`] ?? (one.defaults.pve === true && !disableDefaults);
  };
  const isLeft = ({ scope }: PveCollector) => (scope === "cluster" ? cluster : node);
  return { collectors: possible.filter((one) => isOn(one) && isLeft(one)) };
}

const isCalled = ({ name }: PveCollector, given: string): boolean =>
  given === name || given === `pve-${name}`;

const shown = (text: string): string => text.slice(0, 100).replace(/\p{Cc}/gu, "\ufffd");
const quoted = (text: string): string => JSON.stringify(shown(text));
