/**
 * What goes on from one run to the next, in the state directory: the exporter's own counters and times, without which
 * neither `rate()` nor an alert on an age would work, and what the log has said.
 */
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { bootId, uptimeMs } from "../host/boot.ts";
import { StateFile } from "../host/state-file.ts";
import { reasonOf } from "../host/system-error.ts";
import { FaultLog, SavedFaultsSchema } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import { type OwnMetrics, SavedValuesSchema } from "../metrics/own.ts";
import { RememberingLog } from "./remembering-log.ts";

export interface Continuity {
  /** Silent about what the runs before have said. */
  readonly log: Log;
  /** Keeps what `own` counts and what was said for the next run. Throws where that fails. */
  save(own: OwnMetrics): void;
}

/**
 * Sets `own` to where the last run left it. Whatever is wrong with the state is a warning, never a failure; undefined
 * where none can be kept.
 */
export function resume(settings: Settings, own: OwnMetrics, log: Log): Continuity | undefined {
  const { directory } = settings.state;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    log.warn("counters start from zero in every run: the state directory cannot be used", {
      directory,
      err: reasonOf(error),
      remedy: "create it for this user, or name another with --state.directory",
    });
    return undefined;
  }
  const boot = bootId(settings.path.procfs);
  if (boot === undefined) {
    log.warn("counters start from zero in every run: the boot cannot be told from earlier ones", {
      missing: join(settings.path.procfs, "sys/kernel/random/boot_id"),
    });
    return undefined;
  }
  const said = new StateFile(join(directory, "plumbline-log.json"), SavedFaultsSchema, boot);
  const lastSaid = said.load();
  const faults = new FaultLog(log, () => uptimeMs(settings.path.procfs) ?? 0);
  if (lastSaid.kind === "loaded") faults.restore(lastSaid.state);
  const remembering = new RememberingLog(log, faults);

  const file = new StateFile(join(directory, "plumbline-state.json"), SavedValuesSchema, boot);
  const loaded = file.load();
  if (loaded.kind === "loaded") own.restore(loaded.state);
  else if (loaded.kind === "stale") log.info("counters start from zero", { reason: loaded.reason });
  else if (loaded.kind !== "missing") remembering.warn("counters start from zero", { reason: loaded.reason });
  // Also what a collector counted that this run does not have.
  const before = loaded.kind === "loaded" ? loaded.state : {};
  return {
    log: remembering,
    save(counted) {
      remembering.settle();
      said.save(faults.saved());
      file.save({ ...before, ...counted.saved() });
    },
  };
}
