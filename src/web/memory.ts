/**
 * Gives back the memory that scrapes leave behind. JavaScriptCore lets tens of megabytes gather before it collects by
 * itself, more than the whole exporter needs. A collection takes some 10 ms: so it comes after many scrapes, behind
 * an answer, and when nobody has asked for a while.
 */

/** While scrapes follow one another. */
const MOST_SCRAPES = 64;
/** When it has been quiet. */
const FEW_SCRAPES = 8;
const QUIET_MS = 1000;

export class MemoryKeeper {
  readonly #collect: () => Promise<void>;
  #scrapes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(collect: () => Promise<void>) {
    this.#collect = collect;
  }

  scrapeEnded(): void {
    this.#scrapes++;
    clearTimeout(this.#timer);
    if (this.#scrapes < FEW_SCRAPES) return;
    this.#timer = setTimeout(
      () => {
        this.#scrapes = 0;
        void this.#collect();
      },
      this.#scrapes < MOST_SCRAPES ? QUIET_MS : 0,
    );
    this.#timer.unref();
  }
}
