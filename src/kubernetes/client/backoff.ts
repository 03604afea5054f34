/** How long to wait before the next attempt: twice as long each time, and never at the same moment as everybody else. */
import { setTimeout as sleep } from "node:timers/promises";

const FIRST_MS = 500;
const MAX_MS = 30_000;

export class Backoff {
  readonly #maxMs: number;
  readonly #random: () => number;
  #baseMs = FIRST_MS;

  constructor({
    maxMs = MAX_MS,
    random = Math.random,
  }: { readonly maxMs?: number; readonly random?: () => number } = {}) {
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** Between half and all of 0.5 s, 1 s, 2 s … 30 s; longer where the server has asked for it. */
  nextMs(retryAfterMs = 0): number {
    const base = this.#baseMs;
    this.#baseMs = Math.min(base * 2, this.#maxMs);
    const jitter = this.#random();
    return Math.max(base * (0.5 + jitter / 2), retryAfterMs * (1 + jitter / 10));
  }

  /** It worked. */
  reset(): void {
    this.#baseMs = FIRST_MS;
  }
}

/** Resolves after that time, or as soon as the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
