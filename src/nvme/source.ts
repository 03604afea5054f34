/**
 * The NVMe source as the rest of the program sees it: the three collectors, whether this host has what they read, and
 * the devices themselves for `inspect`.
 *
 * Worker entries. Commands run in Workers whose entry file is named by `workerEntry("nvme/device-worker.ts")` of
 * src/runtime/worker-entry.ts, the path counting from src/. It gives the right URL in the sources under both runtimes
 * and in the compiled binary, as long as the build names the file as a further entry point, with src/ as the root:
 *
 *     bun build --compile --minify --bytecode --format=esm --root=src \
 *       src/main.ts src/nvme/device-worker.ts src/demo/nvme-worker.ts
 *
 * Another Kernel (the demo's, a test's) is another entry file that ends in `serveCommands(kernel)` and is given as
 * `seams.worker`: `openNvme(settings, own, log, { worker: workerEntry("demo/nvme-worker.ts") })`.
 */
import { existsSync, readdirSync } from "node:fs";
import type { Settings } from "../config/settings.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { Availability, Collector, CollectorDescription } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { workerEntry } from "../runtime/worker-entry.ts";
import { DeltaStore } from "./delta.ts";
import { NvmeDevices } from "./devices.ts";
import { createEbsCollector, EBS } from "./ebs.ts";
import { CollectorFaults } from "./faults.ts";
import { createInstanceStoreCollector, INSTANCE_STORE } from "./instance-store.ts";
import { listControllers } from "./listing.ts";
import type { Devices } from "./model.ts";
import { createNvmeCollector, NVME } from "./nvme.ts";
import { NvmeState } from "./state.ts";
import { WorkerPool } from "./worker-pool.ts";

export interface NvmeSeams {
  /** The entry file of the Workers; left out, the one that asks the real devices. */
  readonly worker?: URL | undefined;
  /** Given: what a run must remember is read from settings.state.directory at the start, and written by saveState. */
  readonly state?: "keep" | undefined;
  /** The clock that paces the readings, in ms; left out, `performance.now()`. */
  readonly now?: () => number;
}

export interface NvmeSource {
  /** `nvme`, `ebs` and `instance_store`; they share one set of devices. */
  readonly collectors: Collector[];
  /** Writes `ebs-state.json`; does nothing without `state: "keep"`. */
  saveState(): void;
  /** Ends the Workers; returns at once, also while a device hangs. */
  close(): void;
}

export const NVME_COLLECTORS: readonly CollectorDescription[] = [NVME, EBS, INSTANCE_STORE];

/** On where the host has, or could get, a controller: one that is plugged in later is then seen without a restart. */
export function nvmeAvailability({ path: { sysfs, devfs } }: Settings): Availability {
  const directory = `${sysfs}/class/nvme`;
  try {
    const { length } = listControllers(sysfs);
    if (length > 0 || existsSync(directory)) {
      const controllers = length === 1 ? "1 controller" : `${length || "no"} controllers`;
      return { available: true, reason: `${directory} has ${controllers}` };
    }
  } catch (error) {
    return { available: true, reason: error instanceof Error ? error.message : String(error) };
  }
  const node = entries(devfs).find((name) => /^nvme\d+$/.test(name));
  return node === undefined
    ? { available: false, reason: `neither ${directory} nor ${devfs}/nvme* exists` }
    : { available: true, reason: `${devfs}/${node} exists, but ${directory} does not` };
}

/** Nothing is read, and no Worker started, before the first scrape; the state of the run before excepted. */
export function openNvme(settings: Settings, own: OwnMetrics, log: Log, seams: NvmeSeams = {}): NvmeSource {
  const faultLog = new FaultLog(log);
  const faults = ({ name }: CollectorDescription) => new CollectorFaults(name, own, log, faultLog);
  const deltas = new DeltaStore();
  const state =
    seams.state === "keep"
      ? new NvmeState(settings.state.directory, settings.path.procfs, deltas)
      : undefined;
  const access =
    state === undefined && seams.now === undefined
      ? sharedAccess(settings, faultLog, seams, deltas)
      : openAccess(settings, faultLog, seams, deltas, state);
  const { devices } = access;
  const ebsFaults = faults(EBS);
  if (state?.fault !== undefined) ebsFaults.record("", "state_file", state.fault);
  if (!existsSync(`${settings.path.sysfs}/class/nvme`)) {
    log.info("this host has no NVMe driver", { path: `${settings.path.sysfs}/class/nvme` });
  }
  const place = { node: settings.nodeName, clusterId: settings.clusterId };
  return {
    collectors: [
      createNvmeCollector(devices, faults(NVME)),
      createEbsCollector(devices, ebsFaults, {
        ...place,
        device: settings.ebs.device,
        deltas: access.deltas,
      }),
      createInstanceStoreCollector(devices, faults(INSTANCE_STORE), place),
    ],
    saveState: () => state?.save(deltas, devices.unsupported(), devices.hung()),
    close: access.close,
  };
}

/** The devices as this process knows them: what hangs, what they do not have, what was read last. */
interface Access {
  readonly devices: NvmeDevices;
  readonly deltas: DeltaStore;
  close(): void;
}

/**
 * The access of collectors that are open at the same time to the same devices. A reload opens the new ones before it
 * closes the old: they must not send a second command to a device that hangs, nor forget the readings before.
 */
const shares = new Map<string, { readonly access: Access; users: number }>();

function sharedAccess(settings: Settings, faults: FaultLog, seams: NvmeSeams, deltas: DeltaStore): Access {
  const { sysfs, devfs } = settings.path;
  const key = JSON.stringify([sysfs, devfs, seams.worker?.href]);
  const share = shares.get(key) ?? { access: openAccess(settings, faults, seams, deltas), users: 0 };
  shares.set(key, share);
  share.users++;
  return {
    ...share.access,
    close() {
      share.users--;
      if (share.users > 0) return;
      shares.delete(key);
      share.access.close();
    },
  };
}

function openAccess(
  settings: Settings,
  faults: FaultLog,
  seams: NvmeSeams,
  deltas: DeltaStore,
  state?: NvmeState,
): Access {
  const pool = openPool(faults, seams);
  const devices = new NvmeDevices({
    sysfs: settings.path.sysfs,
    devfs: settings.path.devfs,
    pool,
    ...(seams.now && { now: seams.now }),
    ...(state && {
      unsupported: state.unsupported,
      lastAskedAt: state.lastAskedAt,
      hangsElsewhere: (controller) => state.hangs(controller),
    }),
  });
  return { devices, deltas, close: () => pool.close() };
}

/** The devices without collectors, for `inspect nvme`. */
export function openDevices(
  settings: Settings,
  log: Log,
  seams: NvmeSeams = {},
): { readonly devices: Devices; close(): void } {
  const pool = openPool(new FaultLog(log), seams);
  const { sysfs, devfs } = settings.path;
  return { devices: new NvmeDevices({ sysfs, devfs, pool }), close: () => pool.close() };
}

const openPool = (faults: FaultLog, { worker = workerEntry("nvme/device-worker.ts") }: NvmeSeams) =>
  new WorkerPool(worker, faults);

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
