/** Keeps requests from a service that failed slowly several times in a row, so that scrapes do not wait for it. */
import { match } from "ts-pattern";
import { type FailureReason, RestFailure } from "./failure.ts";

/** So many failures in a row open the circuit. */
const THRESHOLD = 3;
const FIRST_OPEN_MS = 60_000;
const MAX_OPEN_MS = 300_000;
const PROBE_LIMIT_MS = 6000;
/** Any failure that took longer counts. */
const SLOW_MS = 2000;
/** Counts however fast it came: the next one may take all the time there is. */
const COUNTED: ReadonlySet<FailureReason> = new Set<FailureReason>(["timeout", "connect", "tls"]);

/** `probing` is open as well: the one probe runs, all others stay away. */
type State =
  | { readonly kind: "closed" }
  | { readonly kind: "open"; readonly until: number }
  | { readonly kind: "probing" };

export class Circuit {
  readonly #now: () => number;
  #state: State = { kind: "closed" };
  /** In a row; an answer, be it an error that comes fast, ends the row. */
  #failures = 0;
  #openMs = 0;

  /** `now` is a monotonic clock in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Until the next probe: 0 where it is due or runs; undefined while closed. */
  get openForMs(): number | undefined {
    return match(this.#state)
      .with({ kind: "closed" }, () => undefined)
      .with({ kind: "open" }, ({ until }) => Math.max(0, until - this.#now()))
      .with({ kind: "probing" }, () => 0)
      .exhaustive();
  }

  /**
   * Rejects with RestFailure("circuit_open") at once while open; else as the attempt does, which gets the time that it
   * may take at most where it is a probe.
   */
  async guard<T>(attempt: (limitMs: number | undefined) => Promise<T>): Promise<T> {
    const isProbe = this.#state.kind === "open" && this.#now() >= this.#state.until;
    if (this.#state.kind !== "closed" && !isProbe) throw this.#refusal();
    const before = this.#state;
    if (isProbe) this.#state = { kind: "probing" };
    const start = this.#now();
    try {
      const result = await attempt(isProbe ? PROBE_LIMIT_MS : undefined);
      this.#close();
      return result;
    } catch (error) {
      const verdict = verdictOn(error, this.#now() - start);
      if (verdict === "answered") this.#close();
      else if (verdict === "failed") this.#fail(isProbe);
      else if (isProbe) this.#state = before;
      throw error;
    }
  }

  #close(): void {
    this.#state = { kind: "closed" };
    this.#failures = 0;
    this.#openMs = 0;
  }

  #fail(isProbe: boolean): void {
    // What began before the circuit opened, and fails after that, says nothing new.
    if (this.#state.kind !== "closed" && !isProbe) return;
    this.#failures++;
    if (this.#failures < THRESHOLD) return;
    this.#openMs = Math.min(Math.max(this.#openMs * 2, FIRST_OPEN_MS), MAX_OPEN_MS);
    this.#state = { kind: "open", until: this.#now() + this.#openMs };
  }

  #refusal(): RestFailure {
    const seconds = Math.ceil((this.openForMs ?? 0) / 1000);
    const next = seconds === 0 ? "one request tries it now" : `the next one is sent in ${seconds} s`;
    return new RestFailure(
      "circuit_open",
      `no request is sent after ${this.#failures} failures in a row; ${next}`,
    );
  }
}

/** "nothing": no request was sent, or the caller gave it up. */
function verdictOn(error: unknown, tookMs: number): "answered" | "failed" | "nothing" {
  if (!(error instanceof RestFailure) || error.reason === "credentials") return "nothing";
  return COUNTED.has(error.reason) || tookMs > SLOW_MS ? "failed" : "answered";
}
