/** The textfile: one collection, rendered for node_exporter's textfile collector and put in place atomically. */
import { gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";

export const LAST_COLLECTION = gauge(
  "plumbline_textfile_last_collection_timestamp_seconds",
  "When the collection whose values this file holds ended, in seconds since the epoch",
  [],
);

/** Text format 0.0.4 without the families that node_exporter exports itself. */
export function renderTextfile(_sets: readonly Samples[]): Uint8Array {
  throw new Error("not yet");
}
