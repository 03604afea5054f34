/** A request that fails again and again: when it may be tried next, and whether people should hear of it. */
import type { ApiFailure, ApiReason } from "../client/failure.ts";

export interface Refusal {
  readonly reason: ApiReason;
  readonly message: string;
}

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 60_000;
/** From this failure on, what may pass by itself counts as not passing. */
const LASTING_FROM = 3;

/** What does not pass before somebody changes something. */
const LASTING: ReadonlySet<ApiReason> = new Set(["forbidden", "invalid", "too_large", "redirect"]);

/** What no other request to the same server would fare better with at this moment. */
const CONCERNS_ALL: ReadonlySet<ApiReason> = new Set([
  "unauthorized",
  "credentials",
  "connect",
  "tls",
  "too_many_requests",
]);

export const concernsAll = (failure: ApiFailure): boolean => CONCERNS_ALL.has(failure.reason);

export class Refused {
  #failure: ApiFailure | undefined;
  #count = 0;
  #dueAt = 0;

  again(failure: ApiFailure): void {
    this.#failure = failure;
    const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#count) * (0.75 + Math.random() / 2);
    this.#dueAt = performance.now() + Math.max(pauseMs, failure.retryAfterMs ?? 0);
    this.#count++;
  }

  clear(): void {
    this.#failure = undefined;
    this.#count = 0;
  }

  /** Until it may be tried again; 0 where it may be. */
  get pauseMs(): number {
    return this.#failure === undefined ? 0 : Math.max(0, this.#dueAt - performance.now());
  }

  /** For a condition. Undefined while all is well, or may be again soon. */
  get refusal(): Refusal | undefined {
    if (this.#failure === undefined) return undefined;
    const { reason, message } = this.#failure;
    return LASTING.has(reason) || this.#count >= LASTING_FROM ? { reason, message } : undefined;
  }
}
