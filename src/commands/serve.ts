/** `plumbline serve`: the HTTP service, until SIGTERM or SIGINT. */
import process from "node:process";
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
import { LiveCollectors } from "../scrape/live-collectors.ts";
import { PveHosts } from "../scrape/pve-hosts.ts";
import { openCollectors } from "../scrape/sources.ts";
import { createApp } from "../web/app.ts";
import type { App } from "../web/router.ts";
import { listen, type WebServer } from "../web/server.ts";
import { BUILD } from "./build-info.ts";

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
  process.on("unhandledRejection", (error) => {
    log.error("a fault that nobody handled; please report it", { err: reasonOf(error) });
  });
  try {
    const service = new Service(loaded, reload, log, open);
    process.on("SIGHUP", () => void service.reload().catch(() => {}));
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.on(signal, () => service.stop(`received ${signal}`));
    announce(await service.start(loaded.warnings));
    await service.stopped;
    return STOPPED;
  } catch (error) {
    log.error("cannot start", { err: reasonOf(error) });
    return CANNOT_START;
  }
}

class Service {
  readonly stopped: Promise<void>;
  readonly #log: AdjustableLog;
  readonly #load: () => Loaded;
  readonly #own: OwnMetrics;
  readonly #collectors: LiveCollectors;
  readonly #hosts: PveHosts;
  readonly #resolveStopped: () => void;
  #settings: Settings;
  #manager: ServiceManager | undefined;
  #server: WebServer | undefined;
  #stopping = false;

  /** Throws where a collector cannot be opened. */
  constructor({ settings }: Loaded, load: () => Loaded, log: AdjustableLog, open: typeof openCollectors) {
    this.#settings = settings;
    this.#load = load;
    this.#log = log;
    this.#own = new OwnMetrics(BUILD, { processMetrics: !settings.web.disableExporterMetrics });
    this.#collectors = new LiveCollectors(settings, this.#own, log, open);
    this.#hosts = new PveHosts(this.#own, log);
    this.#hosts.begin(settings.pve);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
  }

  /** The addresses at which it serves. Rejects where one cannot be had. */
  async start(warnings: readonly string[]): Promise<readonly string[]> {
    for (const warning of warnings) this.#log.warn(warning);
    const systemd = systemdEnvironment(environment(), process.pid);
    this.#manager = await serviceManager(systemd, this.#settings.path.procfs, this.#log);
    this.#loaded(true);
    try {
      this.#server = await listen(this.#app(), this.#settings.web, this.#log);
    } catch (error) {
      this.#collectors.close();
      throw error;
    }
    for (const address of this.#server.addresses) this.#log.info("listening", { address });
    this.#manager.ready();
    this.#collectFirst();
    return this.#server.addresses;
  }

  /** Rejects where the new configuration is wrong; the old one then stays in force. */
  async reload(): Promise<void> {
    this.#manager?.reloading();
    try {
      const { settings, warnings } = this.#load();
      const collectors = this.#collectors.replace(settings);
      for (const warning of warnings) this.#log.warn(warning);
      this.#warnOfFixed(settings);
      this.#settings = settings;
      this.#hosts.begin(settings.pve);
      this.#log.setLevel(settings.log.level);
      this.#loaded(true);
      this.#log.info("configuration reloaded", { collectors });
      if (collectors === "replaced") this.#collectFirst();
    } catch (error) {
      this.#loaded(false);
      this.#log.error("configuration not reloaded; the old one stays in force", { err: reasonOf(error) });
      throw error;
    } finally {
      this.#manager?.ready();
    }
  }

  /** Stops accepting, and lets running scrapes end. */
  stop(why: string): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log.info("stopping", { reason: why });
    this.#manager?.stopping();
    void this.#close().finally(this.#resolveStopped);
  }

  async #close(): Promise<void> {
    await this.#server?.stop(GRACE_MS);
    this.#collectors.close();
    this.#hosts.close();
  }

  #app(): App {
    const collectors = this.#collectors;
    return createApp({
      settings: () => this.#settings,
      scraper: () => collectors.scraper,
      hosts: this.#hosts,
      own: this.#own,
      log: this.#log,
      readiness: () => ({ ready: collectors.ready, waitingFor: collectors.scraper.neverRan() }),
      reload: () => this.reload(),
      quit: () => this.stop("asked to quit over HTTP"),
      build: BUILD,
    });
  }

  #collectFirst(): void {
    const { names } = this.#collectors.scraper;
    const modules = [...this.#settings.pve.modules.keys()];
    if (modules.length > 0) this.#log.info("/pve is served", { modules: modules.join(" ") });
    if (names.length === 0 && modules.length === 0) {
      this.#log.warn(
        "no collector is enabled: nothing but plumbline's own metrics is served; `plumbline check` says why, " +
          "and --collector.NAME switches one on",
      );
    } else if (names.length > 0) this.#log.info("collectors enabled", { collectors: names.join(" ") });
    void this.#collectors.collectOnce();
  }

  #loaded(successful: boolean): void {
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
  ["web.cert_file", ({ web }) => web.keyPair],
  ["web.disable_exporter_metrics", ({ web }) => web.disableExporterMetrics],
  ["log.format", ({ log }) => log.format],
];
