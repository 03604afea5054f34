/** What the files of this folder share: the names of the resources, and the counts of one reading. */
import { RestFailure } from "../rest/failure.ts";

export const RESOURCES = ["nodes", "pools", "volumes", "replicas"] as const;
export type Resource = (typeof RESOURCES)[number];

/** Why an entry, or one value of it, was left out. */
export const SKIP_REASONS = ["malformed", "duplicate", "ignored"] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** Enumerations of the API, in which a newer server may say what this program does not know. */
export const ENUM_FIELDS = [
  "node_status",
  "cordon_state",
  "pool_status",
  "pool_spec_status",
  "volume_status",
  "target_state",
  "child_status",
  "replica_status",
] as const;
export type EnumField = (typeof ENUM_FIELDS)[number];

/**
 * More than any cluster has: 20,000 volumes of 3 replicas are 140,000 with what they hold. An answer of tiny entries
 * could else hold millions within its bytes, and nothing else would be scraped for seconds.
 */
const MOST_ENTRIES = 250_000;

/** Counts of one reading. */
export class Tally {
  #entries = 0;
  readonly skipped = new Map<SkipReason, number>();
  readonly unrecognized = new Map<EnumField, number>();

  /** Throws RestFailure `too_large` where there are more than any cluster has, over all lists of the reading. */
  count(entries: number): void {
    this.#entries += entries;
    if (this.#entries > MOST_ENTRIES)
      throw new RestFailure("too_large", `the answer has over ${MOST_ENTRIES} entries`, { status: 200 });
  }

  skip(reason: SkipReason): void {
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  unknown(field: EnumField): void {
    this.unrecognized.set(field, (this.unrecognized.get(field) ?? 0) + 1);
  }
}
