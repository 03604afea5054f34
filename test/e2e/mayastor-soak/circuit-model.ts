/** When a resource may be asked, from the rule alone: what the soak holds the real circuits against. */

const SLOW_FAILURES = new Set(["timeout", "connect", "tls"]);
/** The real circuit opens a moment before its model hears of it. */
const TOLERANCE_MS = 2000;

export class CircuitModel {
  #inARow = 0;
  #openMs = 0;
  #openUntil = 0;

  /** Whether asking, or not asking, is against the rule just now. */
  objectsTo(wasAsked: boolean): boolean {
    const now = performance.now();
    return wasAsked ? now < this.#openUntil - TOLERANCE_MS : now > this.#openUntil + TOLERANCE_MS;
  }

  /** `reason`: why it failed; undefined for a success. */
  asked(wasAsked: boolean, reason: string | undefined): void {
    if (!wasAsked) return;
    if (reason === undefined || !SLOW_FAILURES.has(reason)) {
      this.#inARow = 0;
      this.#openMs = 0;
      return;
    }
    this.#inARow++;
    if (this.#inARow < 3) return;
    this.#openMs = Math.min(Math.max(this.#openMs * 2, 60_000), 300_000);
    this.#openUntil = performance.now() + this.#openMs;
  }

  toString(): string {
    const openForMs = Math.max(0, Math.round(this.#openUntil - performance.now()));
    return `${this.#inARow} slow failures in a row, open for ${openForMs} ms`;
  }
}
