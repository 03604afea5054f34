/**
 * `plumbline demo`: the whole program on a simulated host, for whoever has none of the hardware. The host is a
 * directory of sysfs files and recorded answers of devices; everything in front of it is what `serve` runs.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { buildHost } from "../demo/nvme-host.ts";
import { LIVING_HOST_SHOWS, livingHost } from "../demo/nvme-living-host.ts";
import { parseRecording } from "../demo/nvme-recording.ts";
import { reasonOf } from "../host/system-error.ts";
import { createLog } from "../log/create.ts";
import { expose } from "../metrics/exposition.ts";
import { OwnMetrics } from "../metrics/own.ts";
import { name as runtime, version as runtimeVersion } from "../runtime/index.ts";
import { workerEntry } from "../runtime/worker-entry.ts";
import { Scraper } from "../scrape/scraper.ts";
import { openCollectors } from "../scrape/sources.ts";
import { REVISION, VERSION } from "../version.ts";
import { print } from "./print.ts";
import { run as serve } from "./serve.ts";

const DONE = 0;
const CANNOT_START = 1;
const WRONG_USAGE = 2;

const HOST_PATHS = ["path.sysfs", "path.devfs"];

/** Takes the recorded host of --path.sysfs and --path.devfs, or builds one in a directory that goes at the end. */
export async function run(
  loaded: Loaded,
  reload: () => Loaded,
  options: { readonly once: boolean },
): Promise<number> {
  const log = createLog(loaded.settings.log);
  const chosen = loaded.origins.filter(({ name, from }) => HOST_PATHS.includes(name) && from !== "default");
  if (chosen.length === 1) {
    log.error("demo needs both --path.sysfs and --path.devfs of a recorded host, or neither");
    return WRONG_USAGE;
  }
  if (chosen.length === HOST_PATHS.length) {
    const problem = recordingProblem(loaded.settings.path.devfs);
    if (problem !== undefined) {
      log.error("this is no recorded host", { err: problem });
      return CANNOT_START;
    }
    return runOn(loaded, reload, options, []);
  }

  const directory = mkdtempSync(join(tmpdir(), "plumbline-demo-"));
  // Also where a fault ends the process.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const { sysfs, devfs } = buildHost(directory, livingHost(Date.now()));
  const simulated = ({ settings, ...others }: Loaded): Loaded => {
    return { ...others, settings: { ...settings, path: { ...settings.path, sysfs, devfs } } };
  };
  return runOn(simulated(loaded), () => simulated(reload()), options, LIVING_HOST_SHOWS);
}

function runOn(
  loaded: Loaded,
  reload: () => Loaded,
  { once }: { readonly once: boolean },
  shows: typeof LIVING_HOST_SHOWS,
): Promise<number> {
  if (once) return printOnce(loaded.settings);
  return serve(loaded, reload, openSimulated, (addresses) =>
    print(welcome(loaded.settings, addresses, shows)),
  );
}

const openSimulated: typeof openCollectors = (settings, own, log, seams) =>
  openCollectors(settings, own, log, { ...seams, nvmeWorker: workerEntry("demo/nvme-worker.ts") });

async function printOnce(settings: Settings): Promise<number> {
  const log = createLog(settings.log);
  const build = { version: VERSION, revision: REVISION, runtime, runtimeVersion };
  const own = new OwnMetrics(build, { processMetrics: !settings.web.disableExporterMetrics });
  const opened = openSimulated(settings, own, log);
  try {
    const scraper = new Scraper(opened.collectors, own, log);
    const { sets } = await scraper.scrape({ timeoutMs: settings.scrape.timeoutMs });
    print(new TextDecoder().decode(expose([...sets, await own.samples()], "text").body));
    return DONE;
  } finally {
    opened.close();
  }
}

/** The simulation takes a file that is no recording for a node that is no device: here its author is told why. */
function recordingProblem(devfs: string): string | undefined {
  let path = devfs;
  try {
    for (const name of readdirSync(devfs).filter((name) => /^nvme\d+$/.test(name))) {
      path = join(devfs, name);
      parseRecording(readFileSync(path, "utf8"));
    }
    return undefined;
  } catch (error) {
    return `${path}: ${reasonOf(error)}`;
  }
}

function welcome(settings: Settings, addresses: readonly string[], shows: typeof LIVING_HOST_SHOWS): string {
  const url = addresses.map(openable).find((address) => address !== undefined);
  const { telemetryPath } = settings.web;
  const lines = [
    "",
    "plumbline demo: real collectors, simulated devices. Nothing of this machine is read.",
    "",
  ];
  if (url !== undefined) {
    lines.push(
      `  open    ${url.origin}/`,
      `  or      curl -s ${url.origin}${telemetryPath} | grep -v '^#'`,
      "",
      "To let a Prometheus on this machine scrape it:",
      "",
      "  scrape_configs:",
      "    - job_name: plumbline-demo",
      "      scrape_interval: 5s",
      ...(url.protocol === "https:" ? ["      scheme: https"] : []),
      ...(telemetryPath === "/metrics" ? [] : [`      metrics_path: ${telemetryPath}`]),
      "      static_configs:",
      `        - targets: ["${url.host}"]`,
      "",
    );
  }
  const width = Math.max(...shows.map(([device]) => device.length));
  if (shows.length > 0) {
    lines.push(
      "What is simulated, and moves:",
      "",
      ...shows.map(([device, what]) => `  ${device.padEnd(width)}  ${what}`),
      "",
    );
    lines.push(
      "Worth a look, from the second scrape on and again after half a minute:",
      "",
      "  ebs_volume_iops_exceeded_check                        is a volume being throttled",
      "  ebs_instance_performance_exceeded_throughput_percent  or is it the instance",
      "  nvme_temperature_celsius, nvme_critical_warning       what is too hot, or worn out",
      "  nvme_media_errors_total                               what is failing",
      "  plumbline_nvme_device_errors_total                    what could not be read, and why",
      "",
    );
  }
  return `${[...lines, "Ctrl-C ends it."].join("\n")}\n\n`;
}

/** What a browser on this machine can open: every address of the host means also the local one. */
function openable(address: string): URL | undefined {
  if (address.startsWith("unix:")) return undefined;
  const url = new URL(address);
  if (["0.0.0.0", "[::]"].includes(url.hostname)) url.hostname = "localhost";
  return url;
}
