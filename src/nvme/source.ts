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
import type { Settings } from "../config/settings.ts";
import type { Log } from "../log/log.ts";
import type { Availability, Collector, CollectorDescription } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { Devices } from "./model.ts";

export interface NvmeSeams {
  /** The entry file of the Workers; left out, the one that asks the real devices. */
  readonly worker?: URL | undefined;
  /** Given: what a run must remember is read from settings.state.directory at the start, and written by saveState. */
  readonly state?: "keep" | undefined;
}

export interface NvmeSource {
  /** `nvme`, `ebs` and `instance_store`; they share one set of devices. */
  readonly collectors: Collector[];
  /** Writes `ebs-state.json`; does nothing without `state: "keep"`. */
  saveState(): void;
  /** Ends the Workers; returns at once, also while a device hangs. */
  close(): void;
}

export const NVME_COLLECTORS: readonly CollectorDescription[] = [];

export function nvmeAvailability(_settings: Settings): Availability {
  throw new Error("not written yet");
}

export function openNvme(_settings: Settings, _own: OwnMetrics, _log: Log, _seams: NvmeSeams = {}): NvmeSource {
  throw new Error("not written yet");
}

/** The devices without collectors, for `inspect nvme`. */
export function openDevices(
  _settings: Settings,
  _log: Log,
  _seams: NvmeSeams = {},
): { readonly devices: Devices; close(): void } {
  throw new Error("not written yet");
}
