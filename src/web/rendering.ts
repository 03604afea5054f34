/**
 * The text of a scrape, made once for all who share the scrape: 40 clients that come at once cost one rendering, and
 * one compression.
 */
import type { FaultLog } from "../log/faults.ts";
import { type Exposition, expose, type Format } from "../metrics/exposition.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { DUPLICATE_SERIES_TOTAL } from "../metrics/own-descriptors.ts";
import type { Samples } from "../metrics/samples.ts";
import { gzip } from "../runtime/index.ts";
import type { ScrapeResult } from "../scrape/scraper.ts";

export class Renderings {
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  readonly #shared = new WeakMap<ScrapeResult, Rendering>();

  constructor(own: OwnMetrics, faults: FaultLog) {
    this.#own = own;
    this.#faults = faults;
  }

  of(result: ScrapeResult): Rendering {
    let rendering = this.#shared.get(result);
    if (rendering === undefined) {
      rendering = new Rendering(result, this.#own, this.#faults);
      this.#shared.set(result, rendering);
    }
    return rendering;
  }
}

export class Rendering {
  readonly #result: ScrapeResult;
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  #ownSamples: Promise<Samples> | undefined;
  readonly #plain = new Map<Format, Promise<Uint8Array<ArrayBuffer>>>();
  readonly #gzip = new Map<Format, Promise<Uint8Array<ArrayBuffer>>>();

  constructor(result: ScrapeResult, own: OwnMetrics, faults: FaultLog) {
    this.#result = result;
    this.#own = own;
    this.#faults = faults;
  }

  plain(format: Format): Promise<Uint8Array<ArrayBuffer>> {
    return once(this.#plain, format, async () => {
      this.#ownSamples ??= this.#own.samples();
      // Of the same series twice the first one is served, so what collectors read comes before what we count.
      const exposition = expose([...this.#result.sets, await this.#ownSamples], format);
      this.#tellDuplicates(exposition);
      return exposition.body;
    });
  }

  gzip(format: Format): Promise<Uint8Array<ArrayBuffer>> {
    return once(this.#gzip, format, async () => {
      return gzip(await this.plain(format));
    });
  }

  #tellDuplicates({ dropped, duplicates }: Exposition): void {
    if (dropped === 0) {
      this.#faults.recover("duplicates", "no series is given twice any more");
      return;
    }
    this.#own.counter(DUPLICATE_SERIES_TOTAL).inc(dropped);
    this.#faults.fail("duplicates", "series are given twice; the first of each is served", {
      series: duplicates.slice(0, 5).join(", "),
      dropped,
    });
  }
}

function once<Key, T>(made: Map<Key, Promise<T>>, key: Key, make: () => Promise<T>): Promise<T> {
  let promise = made.get(key);
  if (promise === undefined) {
    promise = make();
    made.set(key, promise);
  }
  return promise;
}
