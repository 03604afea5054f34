/** Why a request to a REST service gave nothing, in words that hold nothing of what the service answered. */

export const FAILURE_REASONS = [
  "timeout",
  "connect",
  "tls",
  "unauthorized",
  "not_found",
  "http_4xx",
  "http_5xx",
  "redirect",
  "bad_body",
  "too_large",
  "credentials",
  "circuit_open",
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** `message` is for the log and for people: what failed and why, never a body, a header, a query or a token. */
export class RestFailure extends Error {
  override readonly name = "RestFailure";
  readonly reason: FailureReason;
  /** HTTP status of the answer, where there was one. */
  readonly status: number | undefined;
  /** The service's own word for the error, where it is one of the known ones. */
  readonly kind: string | undefined;

  constructor(
    reason: FailureReason,
    message: string,
    answer: { readonly status?: number; readonly kind?: string } = {},
  ) {
    super(message);
    this.reason = reason;
    this.status = answer.status;
    this.kind = answer.kind;
  }
}

/** `hasBegun`: the head of the answer had come. */
export function tooLate(where: string, limitMs: number, hasBegun: boolean): RestFailure {
  const seconds = Math.max(0, limitMs / 1000).toFixed(1);
  return new RestFailure(
    "timeout",
    hasBegun
      ? `the answer of ${where} did not end within ${seconds} s`
      : `no answer from ${where} within ${seconds} s`,
  );
}
