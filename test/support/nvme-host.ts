/** Runs the whole collection on a simulated host, as `serve` and `textfile` do, and tells what came of it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_PVE } from "../../src/config/pve.ts";
import type { Settings } from "../../src/config/settings.ts";
import { type BuiltHost, buildHost, type HostDescription } from "../../src/demo/nvme-host.ts";
import { createLog } from "../../src/log/create.ts";
import { expose, type Format } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { BUILD_INFO } from "../../src/metrics/own-descriptors.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { openCollectors, type Seams } from "../../src/scrape/sources.ts";
import { MAYASTOR_DEFAULTS } from "./mayastor-settings.ts";
import { NO_OPERATOR } from "./operator-settings.ts";

export interface SimulatedHost extends BuiltHost {
  readonly directory: string;
  readonly stateDirectory: string;
}

/** A host in a directory of its own, which goes when `use` has ended. */
export async function withHost<T>(
  description: HostDescription,
  use: (host: SimulatedHost) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-host-"));
  try {
    const stateDirectory = join(directory, "state");
    mkdirSync(stateDirectory);
    return await use({ ...buildHost(directory, description), directory, stateDirectory });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export interface Collecting {
  /** The exposition, but for what differs from run to run: process metrics, build, and durations, which are 0. */
  scrape(format?: Format, timeoutMs?: number): Promise<string>;
  /** Lines since the last call, in the order of their text; the host's directory is `HOST`. */
  logLines(): string[];
  saveState(): void;
  close(): void;
}

export const SIMULATED = new URL("../../src/demo/nvme-worker.ts", import.meta.url);

/** All collectors, whether the host has what they need or not. */
export function collectOn(host: SimulatedHost, seams: Omit<Seams, "nvmeWorker"> = {}): Collecting {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "logfmt" }, (line) => lines.push(line));
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const opened = openCollectors(settingsFor(host), own, log, { nvmeWorker: SIMULATED, ...seams });
  const scraper = new Scraper(opened.collectors, own, log);
  return {
    async scrape(format = "text", timeoutMs = 10_000) {
      const { sets } = await scraper.scrape({ timeoutMs });
      const { body, duplicates } = expose([...sets, withoutBuild(await own.samples())], format);
      if (duplicates.length > 0) throw new Error(`series given twice: ${duplicates.join(", ")}`);
      return withoutTimes(new TextDecoder().decode(body));
    },
    logLines() {
      return lines
        .splice(0)
        .map((line) =>
          line
            .trimEnd()
            .replace(/\bts=\S+/, "ts=TIME")
            .replaceAll(host.directory, "HOST"),
        )
        .sort();
    },
    saveState: opened.saveState,
    close: opened.close,
  };
}

function withoutBuild(own: Samples): Samples {
  const rest = new Samples();
  for (const [descriptor, family] of own.families) {
    if (descriptor.name !== BUILD_INFO.name) rest.families.set(descriptor, family);
  }
  return rest;
}

const MOVING = /^(plumbline_collector_duration_seconds\{[^}]*\}|\w+_timestamp_seconds(?:\{[^}]*\})?) .*$/gm;

function withoutTimes(exposition: string): string {
  return exposition.replace(MOVING, "$1 0");
}

export function settingsFor(host: SimulatedHost): Settings {
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
    },
    scrape: { timeoutMs: 10_000, timeoutMaxMs: 120_000 },
    collectors: { disableDefaults: false, chosen: { nvme: true, ebs: true, instance_store: true } },
    path: {
      rootfs: host.directory,
      procfs: "/proc",
      sysfs: host.sysfs,
      devfs: host.devfs,
      kubelet: join(host.directory, "kubelet"),
    },
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
    state: { directory: host.stateDirectory },
    log: { level: "info", format: "logfmt" },
  };
}
