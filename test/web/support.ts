/** An app over real scraper and metrics with collectors made up by the test, and raw HTTP to talk to it. */
import { connect, type Socket } from "node:net";
import { NO_PVE } from "../../src/config/pve.ts";
import type { Settings } from "../../src/config/settings.ts";
import type { Log, LogFields } from "../../src/log/log.ts";
import type { Collector, ScrapeContext } from "../../src/metrics/collector.ts";
import { gauge } from "../../src/metrics/descriptor.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { PveHosts } from "../../src/scrape/pve-hosts.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { type AppParts, createApp } from "../../src/web/app.ts";
import type { App } from "../../src/web/router.ts";
import { MAYASTOR_DEFAULTS } from "../support/mayastor-settings.ts";
import { NO_OPERATOR } from "../support/operator-settings.ts";

export const BUILD = { version: "1.2.3", revision: "abcdef0", runtime: "bun", runtimeVersion: "9.9.9" };

export function settings(web: Partial<Settings["web"]> = {}): Settings {
  return {
    configFile: undefined,
    web: {
      listenAddresses: ["127.0.0.1:0"],
      telemetryPath: "/metrics",
      configFile: undefined,
      keyPair: undefined,
      maxRequests: 40,
      timeoutOffsetMs: 500,
      enableLifecycle: false,
      disableExporterMetrics: false,
      ...web,
    },
    scrape: { timeoutMs: 10_000, timeoutMaxMs: 120_000 },
    collectors: { disableDefaults: false, chosen: {} },
    path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/var/lib/kubelet" },
    kubeletIsNamed: false,
    nodeName: "node-a",
    nodeNameIsHostName: false,
    clusterId: undefined,
    ebs: { device: undefined },
    csi: { vendorFiles: [] },
    mayastor: MAYASTOR_DEFAULTS,
    pve: NO_PVE,
    operator: NO_OPERATOR,
    textfile: { directory: undefined, name: "plumbline.prom", strict: false },
    state: { directory: "/nonexistent" },
    log: { level: "info", format: "logfmt" },
  };
}

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

export class MemoryLog implements Log {
  readonly lines: Line[] = [];
  readonly #add =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void this.lines.push({ level, message, fields });
  debug = this.#add("debug");
  info = this.#add("info");
  warn = this.#add("warn");
  error = this.#add("error");

  get text(): string {
    return this.lines
      .map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}`)
      .join("\n");
  }
}

/** One gauge with one series for each of `series`. */
export function collector(
  name: string,
  collect: (context: ScrapeContext) => Promise<void> | void = () => {},
  series = 1,
): Collector & { runs: number } {
  const descriptor = gauge(`test_${name}_value`, `What the collector ${name} of the test reads`, ["series"]);
  return {
    name,
    runs: 0,
    async collect(context) {
      this.runs++;
      await collect(context);
      const samples = new Samples();
      for (let i = 0; i < series; i++) samples.add(descriptor, { series: `number-${i}` }, i);
      return { samples, success: true };
    },
    check: async () => [],
  };
}

export interface TestApp extends App {
  readonly log: MemoryLog;
  readonly own: OwnMetrics;
  readonly hosts: PveHosts;
  readonly get: (path: string, init?: RequestInit) => Promise<Response>;
  settings: Settings;
}

export function testApp(
  collectors: readonly Collector[] = [collector("alpha"), collector("beta")],
  parts: Partial<AppParts> & { web?: Partial<Settings["web"]> } = {},
): TestApp {
  const log = new MemoryLog();
  const own = new OwnMetrics(BUILD, { processMetrics: false });
  const scraper = new Scraper(collectors, own, log);
  const hosts = new PveHosts(own, log);
  const app = createApp({
    settings: () => made.settings,
    scraper: () => scraper,
    hosts,
    own,
    log,
    readiness: () => ({ ready: true, waitingFor: [] }),
    reload: async () => {},
    quit: () => {},
    build: BUILD,
    ...parts,
  });
  const made: TestApp = {
    ...app,
    log,
    own,
    hosts,
    settings: settings(parts.web),
    get: (path, init) => app.handle(new Request(`http://node-a.example:9847${path}`, init)),
  };
  return made;
}

export const portOf = (address: string | undefined): number => Number(/:(\d+)$/.exec(address ?? "")?.[1]);

/** What comes back for these bytes until the other side closes, or `untilMs` are over. */
export function exchange(
  where: number | string,
  bytes: string | Uint8Array,
  untilMs = 5000,
): Promise<{ answer: string; closed: boolean }> {
  return new Promise((resolve) => {
    let answer = "";
    const socket: Socket = typeof where === "number" ? connect(where, "127.0.0.1") : connect({ path: where });
    const timer = setTimeout(() => end(false), untilMs);
    const end = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ answer, closed });
    };
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.on("error", () => end(true));
    socket.on("close", () => end(true));
  });
}
