/** The collectors of a running service, which a reload of the configuration replaces without disturbing a scrape. */
import { isDeepStrictEqual } from "node:util";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { scrapeTimeoutMs } from "./deadline.ts";
import { Scraper } from "./scraper.ts";
import { availability, type OpenCollectors, type openCollectors } from "./sources.ts";

interface Generation {
  readonly settings: Settings;
  /** Names of the collectors that were enabled when it was opened: by the settings, or by what the host had. */
  readonly enabled: readonly string[];
  readonly opened: OpenCollectors;
  readonly scraper: Scraper;
}

export class LiveCollectors {
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #open: typeof openCollectors;
  #current: Generation;
  #ready = false;

  /** Throws where a collector cannot be opened. */
  constructor(settings: Settings, own: OwnMetrics, log: Log, open: typeof openCollectors) {
    this.#own = own;
    this.#log = log;
    this.#open = open;
    this.#current = this.#generation(settings);
  }

  get scraper(): Scraper {
    return this.#current.scraper;
  }

  /** True once the first run of every collector has ended, well or badly; a reload does not take it back. */
  get ready(): boolean {
    this.#ready ||= this.scraper.neverRan().length === 0;
    return this.#ready;
  }

  /** Collects once and throws the samples away: then it is known whether each source answers. */
  async collectOnce(): Promise<void> {
    const { scraper, settings } = this.#current;
    await scraper.scrape({ timeoutMs: scrapeTimeoutMs(null, settings) });
  }

  /**
   * Serves the next scrape with the collectors of `settings` and of what the host has by now; where nothing that concerns
   * them changed they stay, and with them what they remember. Throws where one cannot be opened: then the old ones stay.
   */
  replace(settings: Settings): "replaced" | "kept" {
    const old = this.#current;
    const isSame = isDeepStrictEqual(ofCollectors(old.settings), ofCollectors(settings));
    if (isSame && isDeepStrictEqual(old.enabled, enabledNames(settings))) return "kept";
    this.#current = this.#generation(settings);
    void old.scraper.idle().then(() => old.opened.close());
    return "replaced";
  }

  close(): void {
    this.#current.opened.close();
  }

  #generation(settings: Settings): Generation {
    const enabled = enabledNames(settings);
    const opened = this.#open(settings, this.#own, this.#log);
    return { settings, enabled, opened, scraper: new Scraper(opened.collectors, this.#own, this.#log) };
  }
}

const enabledNames = (settings: Settings): string[] =>
  [...availability(settings)].flatMap(([name, { enabled }]) => (enabled ? name : []));

/** All that a collector may depend on: whatever is not known to concern only others. */
function ofCollectors(settings: Settings): Partial<Settings> {
  const { configFile: _, web: _web, scrape: _scrape, textfile: _textfile, log: _log, ...rest } = settings;
  return rest;
}
