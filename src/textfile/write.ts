/** The textfile: one collection, rendered for node_exporter's textfile collector and put in place atomically. */
import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { writeAtomically } from "../host/atomic-write.ts";
import { reasonOf } from "../host/system-error.ts";
import type { Log } from "../log/log.ts";
import { expose } from "../metrics/exposition.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { TEXTFILE_LAST_COLLECTION_TIMESTAMP_SECONDS } from "../metrics/own-descriptors.ts";
import { Samples } from "../metrics/samples.ts";
import { scrapeTimeoutMs } from "../scrape/deadline.ts";
import { type Outcome, Scraper } from "../scrape/scraper.ts";
import type { openCollectors } from "../scrape/sources.ts";
import { resume } from "./continuity.ts";

/** Node_exporter exports these itself: a second time in a file, and its whole scrape would fail. */
const OF_NODE_EXPORTER = /^(?:process|go|promhttp|node)_/;
/** Its textfile collector runs as another user. */
const MODE = 0o644;

export interface Textfile {
  /** The directory that node_exporter reads. */
  readonly directory: string;
  /** Ends in `.prom`. */
  readonly name: string;
}

/**
 * Collects once and writes the file; how each collector fared. Rejects where the file cannot be written: then the old
 * one stays.
 */
export async function writeTextfile(
  file: Textfile,
  settings: Settings,
  own: OwnMetrics,
  processLog: Log,
  open: typeof openCollectors,
): Promise<readonly Outcome[]> {
  const continuity = resume(settings, own, processLog);
  const log = continuity?.log ?? processLog;
  const opened = open(settings, own, log, continuity === undefined ? {} : { state: "keep" });
  try {
    const scraper = new Scraper(opened.collectors, own, log);
    const { sets, outcomes } = await scraper.scrape({ timeoutMs: scrapeTimeoutMs(null, settings) });
    own.gauge(TEXTFILE_LAST_COLLECTION_TIMESTAMP_SECONDS).set(Date.now() / 1000);
    const body = renderTextfile([...sets, await own.samples()], log);
    if (continuity !== undefined) {
      await opened.settled();
      // State first: were this run killed before the rename, a counter would jump forward, but never back.
      attempt(() => continuity.save(own), log);
      attempt(() => opened.saveState(), log);
    }
    writeAtomically(join(file.directory, file.name), body, MODE);
    return outcomes;
  } finally {
    opened.close();
  }
}

/** Text format 0.0.4 without the families that node_exporter exports itself. */
export function renderTextfile(sets: readonly Samples[], log: Log): Uint8Array {
  const { body, duplicates } = expose(sets.map(withoutNodeExporters), "text");
  for (const series of duplicates) log.warn("left out a series that was there already", { series });
  return body;
}

function withoutNodeExporters(set: Samples): Samples {
  const kept = new Samples();
  for (const [descriptor, family] of set.families) {
    if (!OF_NODE_EXPORTER.test(descriptor.name)) kept.families.set(descriptor, family);
  }
  return kept;
}

function attempt(saving: () => void, log: Log): void {
  try {
    saving();
  } catch (error) {
    log.warn("the next run will not know all of this one", { err: reasonOf(error) });
  }
}
