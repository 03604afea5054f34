/**
 * What one run of `plumbline textfile` leaves for the next in `ebs-state.json`: the base of the delta gauges, the
 * pages that devices do not have, and commands that still hang. All times are in ms since boot (/proc/uptime).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { bootId, uptimeMs } from "../host/boot.ts";
import { StateFile } from "../host/state-file.ts";
import { type BootClock, type DeltaStore, SavedDeltasSchema } from "./delta.ts";
import type { HungCommand, Unsupported } from "./devices.ts";
import type { Controller } from "./model.ts";

/** The kernel gives a command up after 60 s (nvme_core.admin_timeout), and then resets the controller. */
const HANG_MS = 65_000;

const Text = v.pipe(v.string(), v.maxLength(4096));
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Uptime = v.pipe(v.number(), v.finite());

/** A command, and the process whose thread waits for it. */
const HangSchema = v.object({
  controller: Text,
  serial: Text,
  sent_uptime_ms: Uptime,
  pid: Count,
  /** Field 22 of /proc/PID/stat: tells the process from a later one with its number. */
  process_start: Count,
});
type Hang = v.InferOutput<typeof HangSchema>;

const StateSchema = v.object({
  /** No device was asked after this. */
  saved_uptime_ms: Uptime,
  deltas: SavedDeltasSchema,
  unsupported: v.array(
    v.object({
      controller: Text,
      serial: Text,
      firmware: Text,
      pages: v.array(
        v.picklist([
          "identify_controller",
          "identify_namespace",
          "smart",
          "ebs",
          "instance_store",
          "instance_store_detail",
        ]),
      ),
    }),
  ),
  hung: v.array(HangSchema),
});

export class NvmeState {
  readonly #procfs: string;
  readonly #file: StateFile<typeof StateSchema> | undefined;
  readonly #foreign: boolean;
  readonly #hangs: Hang[];
  /** Pages that devices did not have in an earlier run. */
  readonly unsupported: readonly Unsupported[];
  /** When the run before ended, on the clock of `performance.now()`: it may have asked a device until then. */
  readonly lastAskedAt: number;
  /** Why the state of the run before could not be used; undefined where it could, or where there is none to use. */
  readonly fault: string | undefined;

  /** Reads the state and lets `deltas` go on from it. Never throws. */
  constructor(directory: string, procfs: string, deltas: DeltaStore) {
    this.#procfs = procfs;
    const boot = bootId(procfs);
    const clock = bootClock(procfs);
    if (boot === undefined || clock === undefined) {
      this.#foreign = true;
      this.#hangs = [];
      this.unsupported = [];
      this.lastAskedAt = Number.NEGATIVE_INFINITY;
      this.fault = `no state is kept: ${procfs} does not tell which boot this is and how long ago it began`;
      return;
    }
    this.#file = new StateFile(join(directory, STATE_FILE), StateSchema, boot);
    const loaded = this.#file.load();
    this.#foreign = loaded.kind === "foreign";
    this.fault = loaded.kind === "foreign" || loaded.kind === "corrupt" ? loaded.reason : undefined;
    const state = loaded.kind === "loaded" ? loaded.state : undefined;
    this.unsupported = state?.unsupported ?? [];
    // From the future, as a command cannot be: the clock is not the one it was written by.
    this.#hangs = (state?.hung ?? []).filter(({ sent_uptime_ms }) => sent_uptime_ms <= clock.uptimeMs);
    this.lastAskedAt =
      state === undefined || state.saved_uptime_ms > clock.uptimeMs
        ? Number.NEGATIVE_INFINITY
        : state.saved_uptime_ms - clock.uptimeMs + clock.monotonicMs;
    deltas.load(state?.deltas ?? {}, clock);
  }

  /** Whether an earlier run left a command on this device that may still hang: a second one would hang behind it. */
  hangs({ name, serial }: Controller): boolean {
    return this.#hangs.some(
      (hang) => hang.controller === name && hang.serial === serial && this.#lasts(hang),
    );
  }

  /** Throws where the file cannot be written; one that is not ours is left as it is. */
  save(deltas: DeltaStore, unsupported: readonly Unsupported[], hung: readonly HungCommand[]): void {
    const clock = bootClock(this.#procfs);
    if (this.#file === undefined || this.#foreign || clock === undefined) return;
    const self = processStat(this.#procfs, "self");
    this.#file.save({
      saved_uptime_ms: clock.uptimeMs,
      deltas: deltas.save(clock),
      unsupported: unsupported.map((device) => ({ ...device, pages: [...device.pages] })),
      hung: [
        ...this.#hangs.filter((hang) => this.#lasts(hang)),
        ...hung.map(({ controller, serial, sentAt }) => ({
          controller,
          serial,
          sent_uptime_ms: Math.max(0, sentAt - clock.monotonicMs + clock.uptimeMs),
          pid: self?.pid ?? 0,
          process_start: self?.start ?? 0,
        })),
      ],
    });
  }

  #lasts(hang: Hang): boolean {
    const now = uptimeMs(this.#procfs);
    if (now !== undefined && now - hang.sent_uptime_ms < HANG_MS) return true;
    return processStat(this.#procfs, `${hang.pid}`)?.start === hang.process_start;
  }
}

const STATE_FILE = "ebs-state.json";

function bootClock(procfs: string): BootClock | undefined {
  const monotonicMs = performance.now();
  const uptime = uptimeMs(procfs);
  return uptime === undefined ? undefined : { monotonicMs, uptimeMs: uptime };
}

/** Of a process as this procfs numbers it; undefined where it is gone. A thread that hangs keeps its process there. */
function processStat(
  procfs: string,
  process: string,
): { readonly pid: number; readonly start: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(join(procfs, process, "stat"), "latin1");
  } catch {
    return undefined;
  }
  // "123 (any (name)) S 1 …": the name may hold anything, so the fields count from its closing bracket.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { pid: Number.parseInt(stat, 10), start: Number(fields[19]) };
}
