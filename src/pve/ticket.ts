/** The ticket that a password buys: shared by all calls, bought again before it ends and when it is refused. */

/** Tickets are good for 2 hours; a call that begins now may take minutes. */
const RENEW_AFTER_MS = 90 * 60_000;

interface Ticket {
  readonly text: string;
  readonly boughtAt: number;
}

export class Tickets {
  readonly #buy: () => Promise<string>;
  readonly #now: () => number;
  #ticket: Ticket | undefined;
  #buying: Promise<string> | undefined;

  /** `now` is a monotonic clock in ms. */
  constructor(buy: () => Promise<string>, now: () => number = () => performance.now()) {
    this.#buy = buy;
    this.#now = now;
  }

  /** One for all who ask at the same time. Rejects as `buy` does. */
  current(): Promise<string> {
    const ticket = this.#ticket;
    if (ticket !== undefined && this.#now() - ticket.boughtAt < RENEW_AFTER_MS)
      return Promise.resolve(ticket.text);
    this.#buying ??= this.#bought().finally(() => {
      this.#buying = undefined;
    });
    return this.#buying;
  }

  /** Another one than that; the current one, where another call has renewed it meanwhile. */
  insteadOf(refused: string): Promise<string> {
    if (this.#ticket?.text === refused) this.#ticket = undefined;
    return this.current();
  }

  async #bought(): Promise<string> {
    const boughtAt = this.#now();
    const text = await this.#buy();
    this.#ticket = { text, boughtAt };
    return text;
  }
}
