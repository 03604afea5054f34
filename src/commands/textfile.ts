/** `plumbline textfile`: one collection, written as a file for node_exporter's textfile collector. */
import { statSync } from "node:fs";
import type { Loaded } from "../config/load.ts";
import type { FileLock } from "../host/libc.ts";
import { reasonOf } from "../host/system-error.ts";
import { createLog } from "../log/create.ts";
import type { Log } from "../log/log.ts";
import { OwnMetrics } from "../metrics/own.ts";
import { openCollectors } from "../scrape/sources.ts";
import { LOCK_REMEDY, lockPath, waitForLock } from "../textfile/lock.ts";
import { type Textfile, writeTextfile } from "../textfile/write.ts";
import { BUILD } from "./build-info.ts";

const WRITTEN = 0;
const NOT_WRITTEN = 1;
const WRONG_USAGE = 2;
const COLLECTOR_FAILED = 3;

/** How the collectors are opened: the demo and the tests give others. */
export type Open = typeof openCollectors;

export async function run(loaded: Loaded, open: Open = openCollectors): Promise<number> {
  const { settings } = loaded;
  const log = createLog(settings.log);
  for (const warning of loaded.warnings) log.warn(warning);
  const { directory, name } = settings.textfile;
  if (directory === undefined) {
    log.error("textfile needs --textfile.directory, the one that node_exporter reads");
    return WRONG_USAGE;
  }
  const problem = directoryProblem(directory);
  if (problem !== undefined) {
    log.error("nothing was written: --textfile.directory is no directory", {
      directory,
      err: problem,
      remedy: "create it, and let node_exporter read it with --collector.textfile.directory",
    });
    return NOT_WRITTEN;
  }
  const lock = await lockOf({ directory, name }, settings.scrape.timeoutMs, log);
  if (lock === undefined) return NOT_WRITTEN;
  try {
    const outcomes = await writeTextfile({ directory, name }, settings, ownMetrics(), log, open);
    if (outcomes.length === 0)
      log.warn(
        "no collector is enabled: nothing but plumbline's own metrics was written; `plumbline check` says why",
      );
    const failed = outcomes.some(({ success }) => !success);
    return failed && settings.textfile.strict ? COLLECTOR_FAILED : WRITTEN;
  } catch (error) {
    log.error("the textfile was not written; the old one stays", { err: reasonOf(error) });
    return NOT_WRITTEN;
  } finally {
    // Not left to the end of the process: a device that hangs can keep that waiting for a minute.
    lock.unlock();
  }
}

/** Undefined for a directory, or a link to one. */
function directoryProblem(path: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? undefined : "it is something else";
  } catch (error) {
    return reasonOf(error);
  }
}

async function lockOf(
  { directory, name }: Textfile,
  timeoutMs: number,
  log: Log,
): Promise<FileLock | undefined> {
  const path = lockPath(directory, name);
  try {
    const lock = await waitForLock(path, timeoutMs);
    if (lock === undefined) {
      log.error(
        `another plumbline textfile has been running for ${timeoutMs / 1000} s: nothing was written`,
        {
          lock: path,
        },
      );
    }
    return lock;
  } catch (error) {
    log.error("nothing was written", { err: reasonOf(error), remedy: LOCK_REMEDY });
    return undefined;
  }
}

function ownMetrics(): OwnMetrics {
  // node_exporter has process_* of its own.
  return new OwnMetrics(BUILD, { processMetrics: false });
}
