/**
 * What one run of `plumbline textfile` leaves of its slow readings for the next, in `pve-readings.json`: otherwise each
 * run would begin them all anew, and no drive would sleep any more. Times are in ms since boot (/proc/uptime).
 */
import { join } from "node:path";
import * as v from "valibot";
import { bootId, uptimeMs } from "../host/boot.ts";
import { StateFile } from "../host/state-file.ts";
import { SavedReadingsSchema, SlowReadings } from "./slow.ts";

/** One reading a run, before it writes. */
const LIMIT_MS = 30_000;
/** The newest backup of each of many guests is in there. */
const MAX_BYTES = 16 * 1024 * 1024;

/** By the name of the target. */
const StateSchema = v.record(v.string(), SavedReadingsSchema);

export class SlowState {
  readonly #file: StateFile<typeof StateSchema> | undefined;
  readonly #saved: v.InferOutput<typeof StateSchema>;
  readonly #readings = new Map<string, SlowReadings>();
  readonly #now: () => number;
  /** Why the state of the run before could not be used; undefined where it could, or where there is none to use. */
  readonly fault: string | undefined;

  /** Reads the state. Never throws. */
  constructor(directory: string, procfs: string) {
    const boot = bootId(procfs);
    const begunMs = uptimeMs(procfs);
    const begunAt = performance.now();
    this.#now = () => (begunMs ?? 0) + performance.now() - begunAt;
    this.#saved = {};
    if (boot === undefined || begunMs === undefined) {
      this.fault = `no readings are kept: ${procfs} does not tell which boot this is and how long ago it began`;
      return;
    }
    const file = new StateFile(join(directory, "pve-readings.json"), StateSchema, boot, MAX_BYTES);
    const loaded = file.load();
    if (loaded.kind === "loaded") this.#saved = loaded.state;
    if (loaded.kind === "corrupt" || loaded.kind === "foreign") this.fault = loaded.reason;
    if (loaded.kind !== "foreign") this.#file = file;
  }

  /** Goes on where the run before left off; the same one for the same target. */
  readings(target: string): SlowReadings {
    const known = this.#readings.get(target);
    if (known !== undefined) return known;
    const clock = { now: this.#now, unixMs: () => Date.now() };
    const readings = new SlowReadings({ clock, limitMs: LIMIT_MS });
    readings.restore(this.#saved[target] ?? []);
    this.#readings.set(target, readings);
    return readings;
  }

  /** When none is under way any more. Targets that this run did not have are forgotten. Throws where the file cannot be written. */
  save(): void {
    this.#file?.save(
      Object.fromEntries([...this.#readings].map(([target, readings]) => [target, readings.saved()])),
    );
  }
}
