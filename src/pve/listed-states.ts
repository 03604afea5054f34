/** States that the API says in a word: one of a list holds, or none. */
import { StateLabel, type States } from "../metrics/states.ts";
import { nameIn } from "./values.ts";

export class ListedStates<const Label extends string, const Name extends string> {
  readonly #names: readonly Name[];
  readonly #states: StateLabel<Label, Name>;
  readonly #none: States<Label>;

  constructor(label: Label, names: readonly Name[]) {
    this.#names = names;
    this.#states = new StateLabel(label, names);
    this.#none = this.#states.count([]);
  }

  /** Undefined for whatever is not on the list. */
  nameOf(word: unknown): Name | undefined {
    return nameIn(this.#names, word);
  }

  /** All 0 for whatever is not on the list. */
  of(word: unknown): States<Label> {
    const name = this.nameOf(word);
    return name === undefined ? this.#none : this.#states.only(name);
  }
}
