/**
 * Series that differ in their last label alone, with a fixed list of values for it: a state set, or a count by state.
 * They are kept as one value, because there are more of them than of anything else: one entry a volume, not six.
 */

/** A number for each of `names`, which ascend and are values of the label `label`, the last one of its family. */
export interface States<Label extends string = string> {
  readonly label: Label;
  readonly names: readonly string[];
  readonly values: readonly number[];
}

export class StateLabel<const Label extends string, const Name extends string> {
  readonly #label: Label;
  readonly #names: readonly Name[];
  readonly #only: ReadonlyMap<string, States<Label>>;

  constructor(label: Label, names: readonly Name[]) {
    this.#label = label;
    this.#names = names.toSorted();
    this.#only = new Map(this.#names.map((name) => [name, this.#with((other) => (other === name ? 1 : 0))]));
  }

  /** 1 for this name and 0 for all others: the same value every time. */
  only(name: Name): States<Label> {
    return this.#only.get(name) ?? this.#with(() => 0);
  }

  /** How often each name occurs. */
  count(occurrences: readonly Name[]): States<Label> {
    return this.#with((name) => occurrences.reduce((sum, other) => (other === name ? sum + 1 : sum), 0));
  }

  #with(valueOf: (name: Name) => number): States<Label> {
    return { label: this.#label, names: this.#names, values: this.#names.map(valueOf) };
  }
}
