/** Keeps requests from a service that has failed slowly several times in a row, so that scrapes do not wait for it. */
import { RestFailure } from "./failure.ts";

export class Circuit {
  readonly #now: () => number;
  #openUntil: number | undefined;

  /** `now` is a monotonic clock in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Rejects with RestFailure("circuit_open") at once while open; else as the attempt does. `limitMs`: how long the
   * attempt may take at most where it is the one probe; undefined for any other.
   */
  guard<T>(attempt: (limitMs: number | undefined) => Promise<T>): Promise<T> {
    if (this.openForMs !== undefined) return Promise.reject(new RestFailure("circuit_open", "open"));
    return attempt(undefined);
  }

  /** How long until the next probe may start; 0 where it is due or runs; undefined while closed. */
  get openForMs(): number | undefined {
    return this.#openUntil === undefined ? undefined : Math.max(0, this.#openUntil - this.#now());
  }
}
