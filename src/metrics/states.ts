/**
 * Series that differ in their last label alone, with a fixed list of values for it: a state set, or a count by state.
 * They are kept as one value, because there are more of them than of anything else.
 */

/** A number for each of `names`, which ascend and are values of `label`, the last label of the family. */
export interface States<Label extends string = string> {
  readonly label: Label;
  readonly names: readonly string[];
  readonly values: readonly number[];
}

export class StateLabel<const Label extends string, const Name extends string> {
  readonly #label: Label;
  readonly #names: readonly Name[];
  readonly #only: ReadonlyMap<Name, States<Label>>;

  constructor(label: Label, names: readonly Name[]) {
    for (const name of names) {
      if (!/^[A-Za-z_-]+$/.test(name)) throw new Error(`"${name}" is no name of a state`);
    }
    this.#label = label;
    this.#names = names.toSorted();
    this.#only = new Map(this.#names.map((name) => [name, this.count([name])]));
  }

  /** 1 for this name and 0 for the others; the same object every time. */
  only(name: Name): States<Label> {
    return this.#only.get(name) ?? this.count([name]);
  }

  /** How often each name occurs. */
  count(occurrences: readonly Name[]): States<Label> {
    const values = this.#names.map(() => 0);
    for (const name of occurrences) {
      const index = this.#names.indexOf(name);
      values[index] = (values[index] ?? 0) + 1;
    }
    return { label: this.#label, names: this.#names, values };
  }
}
