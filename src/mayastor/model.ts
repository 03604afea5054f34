/** What the files of this folder share: the names of the resources, and the count of what a reading left out. */

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

/** Counts of one reading. */
export class Tally {
  readonly skipped = new Map<SkipReason, number>();
  readonly unrecognized = new Map<EnumField, number>();

  skip(reason: SkipReason): void {
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  unknown(field: EnumField): void {
    this.unrecognized.set(field, (this.unrecognized.get(field) ?? 0) + 1);
  }
}
