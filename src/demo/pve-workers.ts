/** The workers of a node of the simulated Proxmox VE. */

/** So many calls at a time; the others wait in their order. */
export class Workers {
  readonly #count: () => number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(count: () => number) {
    this.#count = count;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#busy < this.#count()) this.#busy++;
    else await new Promise<void>((go) => this.#waiting.push(go));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }
}
