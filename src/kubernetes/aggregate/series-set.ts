/** The series of one answer, each as a hash of 64 bits, in the order in which they came. */

const FIRST_SLOTS = 512;

export class SeriesSet {
  /** High and low half of each hash, one series after the other. */
  #halves = new Int32Array(FIRST_SLOTS);
  /** Open addressing: 0 for an empty slot, else the series' number and 1. At most half are taken. */
  #slots = new Int32Array(FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** False where it is there already. */
  add(high: number, low: number): boolean {
    const slot = this.#slotOf(high, low);
    if (this.#slots[slot] !== 0) return false;
    if (this.#size * 2 >= this.#slots.length) {
      this.#grow();
      return this.add(high, low);
    }
    this.#halves[this.#size * 2] = high;
    this.#halves[this.#size * 2 + 1] = low;
    this.#slots[slot] = ++this.#size;
    return true;
  }

  /** Whether the series with this number in `other` is new here; it is not afterwards. */
  addFrom(other: SeriesSet, number: number): boolean {
    return this.add(other.#halves[number * 2] ?? 0, other.#halves[number * 2 + 1] ?? 0);
  }

  /** Where it stands, or would stand. */
  #slotOf(high: number, low: number): number {
    const halves = this.#halves;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = low & mask;
    for (;;) {
      const taken = slots[slot] ?? 0;
      if (taken === 0) return slot;
      const at = (taken - 1) * 2;
      if (halves[at] === high && halves[at + 1] === low) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const length = this.#slots.length * 2;
    const halves = new Int32Array(length);
    halves.set(this.#halves);
    this.#halves = halves;
    this.#slots = new Int32Array(length);
    for (let number = 0; number < this.#size; number++)
      this.#slots[this.#slotOf(halves[number * 2] ?? 0, halves[number * 2 + 1] ?? 0)] = number + 1;
  }
}
