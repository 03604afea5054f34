/**
 * `plumbline demo`: the whole program on a simulated host, for whoever has none of the hardware. The host is a
 * directory of sysfs files and recorded answers of devices, its Mayastor and its Proxmox VE are services that answer as
 * theirs do; everything in front of them is what `serve` runs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { LivingHost, pathsBelow } from "../demo/living-host.ts";
import { LIVING_NODE_SHOWS } from "../demo/living-node.ts";
import { LIVING_CLUSTER_SHOWS, livingCluster } from "../demo/mayastor-cluster.ts";
import { MayastorRest } from "../demo/mayastor-rest.ts";
import { LIVING_HOST_SHOWS } from "../demo/nvme-living-host.ts";
import { parseRecording } from "../demo/nvme-recording.ts";
import { askingLivingPve, livingPveApi } from "../demo/pve-living-api.ts";
import { LIVING_PVE_SHOWS, LIVING_PVE_WORST_MS } from "../demo/pve-living-cluster.ts";
import { reasonOf } from "../host/system-error.ts";
import { createLog } from "../log/create.ts";
import { RESOURCES } from "../mayastor/model.ts";
import { expose } from "../metrics/exposition.ts";
import { OwnMetrics } from "../metrics/own.ts";
import { workerEntry } from "../runtime/worker-entry.ts";
import { Scraper } from "../scrape/scraper.ts";
import { openCollectors } from "../scrape/sources.ts";
import { BUILD } from "./build-info.ts";
import { print } from "./print.ts";
import { run as serve } from "./serve.ts";

const DONE = 0;
const CANNOT_START = 1;
const WRONG_USAGE = 2;

/** A recorded host has both; what else it has is found beside its sysfs, unless the user says where. */
const HOST_PATHS = ["path.sysfs", "path.devfs"];
const FURTHER_PATHS = ["path.procfs", "path.rootfs", "path.kubelet"];

/** Takes the recorded host of --path.sysfs and --path.devfs, or builds one in a directory that goes at the end. */
export async function run(
  loaded: Loaded,
  reload: () => Loaded,
  options: { readonly once: boolean },
): Promise<number> {
  const log = createLog(loaded.settings.log);
  const named = namedIn(loaded);
  if (HOST_PATHS.every((path) => named.has(path))) {
    const problem = recordingProblem(loaded.settings.path.devfs);
    if (problem !== undefined) {
      log.error("this is no recorded host", { err: problem });
      return CANNOT_START;
    }
    return runOn(recorded(loaded), () => recorded(reload()), options, undefined);
  }
  if ([...HOST_PATHS, ...FURTHER_PATHS].some((path) => named.has(path))) {
    log.error("demo needs both --path.sysfs and --path.devfs of a recorded host, or no --path at all");
    return WRONG_USAGE;
  }

  const since = Date.now();
  const { once } = options;
  // What is printed once is the same each time, and shows as much as there is to see.
  const mayastor = new MayastorRest(() => livingCluster(once ? 0 : Date.now() - since));
  const pve = livingPveApi(once ? LIVING_PVE_WORST_MS : 0, { stands: once });
  try {
    let services: Services;
    try {
      services = { mayastor: `${await mayastor.start()}/v0`, pve: await pve.start() };
    } catch (error) {
      log.error("what is simulated beside the host cannot listen", { err: reasonOf(error) });
      return CANNOT_START;
    }
    return await runOnOwn(loaded, reload, options, new LivingHost(since), services);
  } finally {
    await Promise.all([mayastor.stop(), pve.stop()]);
  }
}

function runOnOwn(
  loaded: Loaded,
  reload: () => Loaded,
  options: { readonly once: boolean },
  host: LivingHost,
  services: Services,
): Promise<number> {
  // Also where a fault ends the process.
  process.once("exit", () => host.remove());
  if (!options.once) host.live(createLog(loaded.settings.log));
  const simulated = (loaded: Loaded) => {
    const own = withNode(withPaths(namedForUs(loaded), host.paths));
    return withPve(withMayastor(own, services.mayastor), services.pve);
  };
  return runOn(simulated(loaded), () => simulated(reload()), options, {
    ...services,
    directory: host.directory,
  });
}

/** The URLs of those that are simulated. */
interface Services {
  readonly mayastor: string;
  readonly pve: string;
}

const namedIn = ({ origins }: Loaded): ReadonlySet<string> =>
  new Set(origins.flatMap(({ name, from }) => (from === "default" ? [] : name)));

/** Nothing of this machine, not even where the user names no more than two of the paths. */
function recorded(loaded: Loaded): Loaded {
  const { path } = loaded.settings;
  const beside = pathsBelow(dirname(path.sysfs));
  const named = namedIn(loaded);
  return withPaths(namedForUs(loaded), {
    ...path,
    procfs: named.has("path.procfs") ? path.procfs : beside.procfs,
    kubelet: named.has("path.kubelet") || named.has("path.rootfs") ? path.kubelet : beside.kubelet,
  });
}

/** The Mayastor that a variable of another exporter names belongs to this machine. */
function namedForUs(loaded: Loaded): Loaded {
  const { settings, origins } = loaded;
  const endpoint = origins.find(({ name }) => name === "mayastor.endpoint");
  if (endpoint?.from !== "environment" || endpoint.detail?.startsWith("PLUMBLINE_")) return loaded;
  return { ...loaded, settings: { ...settings, mayastor: { ...settings.mayastor, endpoint: undefined } } };
}

/** The name of this machine is none of the simulated node. */
function withNode(loaded: Loaded): Loaded {
  const { settings } = loaded;
  if (!settings.nodeNameIsHostName) return loaded;
  return { ...loaded, settings: { ...settings, nodeName: NODE_NAME, nodeNameIsHostName: false } };
}

const NODE_NAME = "demo-node";

/** The simulated service, and all of it, unless the user has one, or names what is to be asked for. */
function withMayastor(loaded: Loaded, endpoint: string): Loaded {
  const { settings } = loaded;
  if (settings.mayastor.endpoint !== undefined) return loaded;
  const resources = namedIn(loaded).has("mayastor.resources") ? settings.mayastor.resources : RESOURCES;
  const open = { tokenFile: undefined, caFile: undefined, certFile: undefined, keyFile: undefined };
  return {
    ...loaded,
    settings: { ...settings, mayastor: { ...settings.mayastor, ...open, endpoint, resources } },
  };
}

/** The same for Proxmox VE. */
function withPve(loaded: Loaded, url: string): Loaded {
  const { settings } = loaded;
  if (settings.pve.targets.length > 0) return loaded;
  return { ...loaded, settings: { ...settings, pve: askingLivingPve(settings.pve, url) } };
}

function withPaths({ settings, ...others }: Loaded, path: Settings["path"]): Loaded {
  return { ...others, settings: { ...settings, path } };
}

function runOn(
  loaded: Loaded,
  reload: () => Loaded,
  { once }: { readonly once: boolean },
  living: Living | undefined,
): Promise<number> {
  if (once) return printOnce(loaded.settings);
  return serve(loaded, reload, openSimulated, (addresses) =>
    print(welcome(loaded.settings, addresses, living)),
  );
}

const openSimulated: typeof openCollectors = (settings, own, log, seams) =>
  openCollectors(settings, own, log, { ...seams, nvmeWorker: workerEntry("demo/nvme-worker.ts") });

async function printOnce(settings: Settings): Promise<number> {
  const log = createLog(settings.log);
  const own = new OwnMetrics(BUILD, { processMetrics: !settings.web.disableExporterMetrics });
  const opened = openSimulated(settings, own, log);
  try {
    const scraper = new Scraper(opened.collectors, own, log);
    const { timeoutMs } = settings.scrape;
    await readSlowly(scraper, timeoutMs);
    const { sets } = await scraper.scrape({ timeoutMs });
    print(new TextDecoder().decode(expose([...sets, await own.samples()], "text").body));
    return DONE;
  } finally {
    opened.close();
  }
}

/** A scrape makes no more than one slow reading: this ends when another one tells no more than that before it. */
async function readSlowly(scraper: Scraper, timeoutMs: number): Promise<void> {
  const only = SLOW.filter((name) => scraper.names.includes(name));
  for (let before = -1; only.length > 0; ) {
    const { outcomes } = await scraper.scrape({ only, timeoutMs });
    const told = outcomes.reduce((sum, { samples }) => sum + samples, 0);
    if (told <= before) return;
    before = told;
  }
}

const SLOW = ["pve-certificates", "pve-backups"];

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

/** The demo's own host, where the user gave none, and what answers beside it. */
interface Living extends Services {
  readonly directory: string;
}

function welcome(settings: Settings, addresses: readonly string[], living: Living | undefined): string {
  const url = addresses.map(openable).find((address) => address !== undefined);
  const lines = [
    "",
    "plumbline demo: real collectors, simulated devices. Nothing of this machine is read.",
    "",
    ...(url === undefined ? [] : howToOpen(settings, url)),
    ...(living === undefined ? [] : whatIsSimulated(settings, url, living)),
    "Ctrl-C ends it.",
  ];
  return `${lines.join("\n")}\n\n`;
}

function howToOpen({ web: { telemetryPath } }: Settings, url: URL): string[] {
  return [
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
  ];
}

function whatIsSimulated({ mayastor, pve }: Settings, url: URL | undefined, living: Living): string[] {
  return [
    "NVMe devices that are simulated, and move:",
    "",
    ...table(LIVING_HOST_SHOWS),
    "",
    "CSI volumes of a simulated Kubernetes node, and what carries them:",
    "",
    ...table(LIVING_NODE_SHOWS),
    "",
    ...(mayastor.endpoint === living.mayastor ? theMayastor(living.mayastor) : []),
    ...(pve.targets.some(({ endpoints }) => endpoints.includes(living.pve)) ? thePve(living.pve, url) : []),
    "Worth a look, from the second scrape on and again after half a minute:",
    "",
    ...table([
      ["ebs_volume_iops_exceeded_check", "is a volume being throttled"],
      ["ebs_instance_performance_exceeded_throughput_percent", "or is it the instance"],
      ["nvme_temperature_celsius, nvme_critical_warning", "what is too hot, or worn out"],
      ["nvme_media_errors_total", "what is failing"],
      ["plumbline_nvme_device_errors_total", "what could not be read, and why"],
      ["csi_volume_node_device_info", "which device carries which volume"],
      ["csi_volume_backing_device_info", "which disks, multipath and NVMe devices lie below"],
      ["csi_volume_device_exporter_volumes_skipped", "which volumes have no device, and why"],
      ["mayastor_node_status, mayastor_node_cordon_state", "which nodes are down, and which are meant to be"],
      ["mayastor_volume_status, mayastor_pool_status", "which volumes and pools are not in order"],
      ["mayastor_replica_rebuild_progress_ratio", "how far each rebuild is"],
      [
        "pve_ha_node_state, pve_ha_service_state",
        "which nodes are lost, and where HA is with their services",
      ],
      ["pve_physical_disk_health_state, pve_zfs_pool_health_state", "which drives and pools have failed"],
      ["pve_guest_last_backup_timestamp_seconds", "how old the backups are"],
    ]),
    "",
    "The same host for a node_exporter from 1.12 on, which sees the I/O of each device, and the paths fail:",
    "",
    "  node_exporter --collector.disable-defaults --collector.diskstats \\",
    "    --collector.dmmultipath --collector.nvmesubsystem \\",
    `    --path.sysfs=${living.directory}/sys --path.procfs=${living.directory}/proc`,
    "",
  ];
}

const theMayastor = (endpoint: string): string[] => [
  `The Mayastor of its cluster, which answers at ${endpoint}/nodes:`,
  "",
  ...table(LIVING_CLUSTER_SHOWS),
  "",
];

function thePve(address: string, url: URL | undefined): string[] {
  const { host } = new URL(address);
  return [
    `A Proxmox VE cluster, whose API is at ${address}. Its hour, over and over:`,
    "",
    ...table(LIVING_PVE_SHOWS),
    "",
    ...(url === undefined
      ? []
      : ["As prometheus-pve-exporter has it:", "", `  curl -s '${url.origin}/pve?target=${host}'`, ""]),
  ];
}

function table(rows: readonly (readonly [subject: string, what: string])[]): string[] {
  const width = Math.max(...rows.map(([subject]) => subject.length));
  return rows.map(([subject, what]) => `  ${subject.padEnd(width)}  ${what}`);
}

/** What a browser on this machine can open: every address of the host means also the local one. */
function openable(address: string): URL | undefined {
  if (address.startsWith("unix:")) return undefined;
  const url = new URL(address);
  if (["0.0.0.0", "[::]"].includes(url.hostname)) url.hostname = "localhost";
  return url;
}
