/** Which families of the exporters are kept: asked once a name, as all exporters have the same. */
import { matchesAny } from "./globs.ts";

/** What the aggregate tells itself. */
const RESERVED = "plumbline_aggregate_";
/** More than all exporters of one version have; only rubbish has so many. */
const MOST_NAMES = 10_000;

export class KeptFamilies {
  /** By the globs. */
  readonly #known = new Map<string, (family: string) => boolean>();

  of(globs: readonly string[]): (family: string) => boolean {
    const key = globs.join(",");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const verdicts = new Map<string, boolean>();
    const keeps = (family: string): boolean => {
      let verdict = verdicts.get(family);
      if (verdict === undefined) {
        verdict = !family.startsWith(RESERVED) && matchesAny(globs, family);
        if (verdicts.size < MOST_NAMES) verdicts.set(family, verdict);
      }
      return verdict;
    };
    this.#known.set(key, keeps);
    return keeps;
  }
}
