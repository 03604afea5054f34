/** What went wrong with a device or with a page of it: a bounded reason to count and a sentence to read. */
import type { Reason } from "./model.ts";

export interface Problem {
  readonly reason: Reason;
  /** What was asked and what came; never bytes of a page. */
  readonly detail: string;
  /** What to do, where something can be done. */
  readonly remedy?: string;
}

/** What a page decoder gives: as much of the page as is sound, and what was not. `page` is absent where nothing is. */
export interface Decoded<Page> {
  readonly page: Page | undefined;
  readonly problems: readonly Problem[];
}
