/** `plumbline serve`: the HTTP service, until SIGTERM or SIGINT. */
import { isDeepStrictEqual } from "node:util";
import { environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { systemdEnvironment } from "../config/systemd.ts";
import { type ServiceManager, serviceManager } from "../host/service-manager.ts";
import { reasonOf } from "../host/system-error.ts";
import { type AdjustableLog, createLog } from "../log/create.ts";
import { OwnMetrics } from "../metrics/own.ts";
import {
  CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS,
  CONFIG_LAST_RELOAD_SUCCESSFUL,
} from "../metrics/own-descriptors.ts";
import { name as runtime, version as runtimeVersion } from "../runtime/index.ts";
import { LiveCollectors } from "../scrape/live-collectors.ts";
import { openCollectors } from "../scrape/sources.ts";
import { REVISION, VERSION } from "../version.ts";
import { createApp } from "../web/app.ts";
import { listen, type WebServer } from "../web/server.ts";

const STOPPED = 0;
const CANNOT_START = 1;
/** How long running scrapes may go on after the service was told to stop. */
const GRACE_MS = 5000;

/**
 * Serves what `open` opens; `reload` loads the configuration anew and throws where it is wrong. `announce` is told the
 * addresses once they are open. The exit code.
 */
export async function run(
  loaded: Loaded,
  reload: () => Loaded,
  open: typeof openCollectors = openCollectors,
  announce: (addresses: readonly string[]) => void = () => {},
): Promise<number> {
  const log = createLog(loaded.settings.log);
  let service: Service;
  try {
    service = await Service.start(loaded, reload, log, open);
  } catch (error) {
    log.error("cannot start", { err: reasonOf(error) });
    return CANNOT_START;
  }
  process.on("SIGHUP", () => void service.reload().catch(() => {}));
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => service.stop(`received ${signal}`));
  }
  process.on("unhandledRejection", (error) => {
    log.error("a fault that nobody handled; please report it", { err: reasonOf(error) });
  });
  announce(service.addresses);
  await service.stopped;
  return STOPPED;
}

class Service {
  readonly stopped: Promise<void>;
  readonly #log: AdjustableLog;
  readonly #load: () => Loaded;
  readonly #own: OwnMetrics;
  readonly #collectors: LiveCollectors;
  readonly #manager: ServiceManager;
  readonly #resolveStopped: () => void;
  #settings: Settings;
  #server: WebServer | undefined;
  #stopping = false;

  static async start(
    loaded: Loaded,
    load: () => Loaded,
    log: AdjustableLog,
    open: typeof openCollectors,
  ): Promise<Service> {
    const { settings } = loaded;
    const build = { version: VERSION, revision: REVISION, runtime, runtimeVersion };
    const own = new OwnMetrics(build, { processMetrics: !settings.web.disableExporterMetrics });
    for (const warning of loaded.warnings) log.warn(warning);
    const manager = await serviceManager(
      systemdEnvironment(environment(), process.pid),
      settings.path.procfs,
      log,
    );
    const collectors = new LiveCollectors(settings, own, log, open);
    const service = new Service(settings, load, log, own, collectors, manager);
    const app = createApp({
      settings: () => service.#settings,
      scraper: () => collectors.scraper,
      own,
      log,
      readiness: () => ({ ready: collectors.ready, waitingFor: [...collectors.scraper.neverRan()] }),
      reload: () => service.reload(),
      quit: () => service.stop("asked to quit over HTTP"),
      build,
    });
    try {
      service.#server = await listen(app, settings.web, log);
    } catch (error) {
      collectors.close();
      throw error;
    }
    service.#started(service.#server.addresses);
    return service;
  }

  private constructor(
    settings: Settings,
    load: () => Loaded,
    log: AdjustableLog,
    own: OwnMetrics,
    collectors: LiveCollectors,
    manager: ServiceManager,
  ) {
    this.#settings = settings;
    this.#load = load;
    this.#log = log;
    this.#own = own;
    this.#collectors = collectors;
    this.#manager = manager;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
  }

  /** As printed to the user. */
  get addresses(): readonly string[] {
    return this.#server?.addresses ?? [];
  }

  /** Rejects where the new configuration is wrong; the old one then stays in force. */
  async reload(): Promise<void> {
    this.#manager.reloading();
    try {
      const { settings, warnings } = this.#load();
      const collectors = this.#collectors.replace(settings);
      for (const warning of warnings) this.#log.warn(warning);
      this.#warnOfFixed(settings);
      this.#settings = settings;
      this.#log.setLevel(settings.log.level);
      this.#reloaded(true);
      this.#log.info("configuration reloaded", { collectors });
      if (collectors === "replaced") this.#collectFirst();
    } catch (error) {
      this.#reloaded(false);
      this.#log.error("configuration not reloaded; the old one stays in force", { err: reasonOf(error) });
      throw error;
    } finally {
      this.#manager.ready();
    }
  }

  /** Stops accepting, and lets running scrapes end. */
  stop(why: string): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log.info("stopping", { reason: why });
    this.#manager.stopping();
    void this.#close().finally(this.#resolveStopped);
  }

  async #close(): Promise<void> {
    await this.#server?.stop(GRACE_MS);
    this.#collectors.close();
  }

  #started(addresses: readonly string[]): void {
    this.#reloaded(true);
    for (const address of addresses) this.#log.info("listening", { address });
    this.#manager.ready();
    this.#collectFirst();
  }

  #collectFirst(): void {
    const { names } = this.#collectors.scraper;
    if (names.length === 0) {
      this.#log.warn(
        "no collector is enabled: nothing but plumbline's own metrics is served; `plumbline check` says why, " +
          "and --collector.NAME switches one on",
      );
    } else this.#log.info("collectors enabled", { collectors: names.join(" ") });
    void this.#collectors.collectOnce();
  }

  #reloaded(successful: boolean): void {
    this.#own.gauge(CONFIG_LAST_RELOAD_SUCCESSFUL).set(successful ? 1 : 0);
    if (successful) this.#own.gauge(CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS).set(Date.now() / 1000);
  }

  /** What was decided when the service started. */
  #warnOfFixed(next: Settings): void {
    for (const [setting, of] of FIXED) {
      if (isDeepStrictEqual(of(this.#settings), of(next))) continue;
      this.#log.warn("a changed setting has no effect before a restart", { setting });
    }
  }
}

const FIXED: readonly (readonly [string, (settings: Settings) => unknown])[] = [
  ["web.listen_addresses", ({ web }) => web.listenAddresses],
  ["web.config_file", ({ web }) => web.configFile],
  ["web.disable_exporter_metrics", ({ web }) => web.disableExporterMetrics],
  ["log.format", ({ log }) => log.format],
];
