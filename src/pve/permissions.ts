/** What the user or token that asks may do: /access/permissions, which gives everyone their own. */
import { booleanOf, isRow, type Row, rowOf } from "./values.ts";

export const PERMISSIONS_PATH = "/access/permissions";

export class Permissions {
  /** Path → privilege → whether it is held below the path as well. */
  readonly #privileges: Row;

  /** Throws PveFailure `invalid` where `data` is no object. */
  constructor(data: unknown) {
    this.#privileges = rowOf(data, PERMISSIONS_PATH);
  }

  /** Those with an entry of their own, as far as that shows: some are listed for everybody, with what / gives. */
  get paths(): readonly string[] {
    const atRoot = this.#at("/");
    return Object.keys(this.#privileges).filter((path) => this.#at(path) !== atRoot);
  }

  #at(path: string): string {
    const here = this.#privileges[path];
    return isRow(here) ? Object.keys(here).sort().join() : "";
  }

  /** A path that is listed replaces what those above it say. */
  allows(privilege: string, path: string): boolean {
    for (let at = path; ; at = at.slice(0, at.lastIndexOf("/")) || "/") {
      const here = Object.hasOwn(this.#privileges, at) ? this.#privileges[at] : undefined;
      if (isRow(here))
        return Object.hasOwn(here, privilege) && (at === path || booleanOf(here[privilege]) === true);
      if (at === "/") return false;
    }
  }
}
