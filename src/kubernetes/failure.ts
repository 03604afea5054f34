/** Why a request to the API server gave nothing, in words that hold nothing of what the server answered. */

export const API_REASONS = [
  "unauthorized",
  "forbidden",
  "not_found",
  "conflict",
  "gone",
  "invalid",
  "too_many_requests",
  "server_error",
  "http",
  "redirect",
  "connect",
  "tls",
  "timeout",
  "bad_body",
  "too_large",
  "credentials",
] as const;
export type ApiReason = (typeof API_REASONS)[number];

export interface ApiAnswer {
  /** HTTP status. */
  readonly status?: number | undefined;
  /** What the server asks to wait before the next request. */
  readonly retryAfterMs?: number | undefined;
}

/** `message` is for the log, for conditions and for people: what failed and why, never a body, a header or a token. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly reason: ApiReason;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: ApiReason, message: string, { status, retryAfterMs }: ApiAnswer = {}) {
    super(message);
    this.reason = reason;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}
