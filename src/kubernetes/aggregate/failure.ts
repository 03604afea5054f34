/** Why the samples of one exporter are not in the answer, or not all of them. */

export const AGGREGATE_REASONS = ["connect", "timeout", "http", "parse", "too_large", "conflict"] as const;
export type AggregateReason = (typeof AGGREGATE_REASONS)[number];

/** Of what the exporter answered, `message` holds names of metrics at most. */
export class AskFailure extends Error {
  override readonly name = "AskFailure";
  readonly reason: AggregateReason;

  constructor(reason: AggregateReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
