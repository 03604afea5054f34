import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Collection, ScrapeContext } from "../../src/metrics/collector.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { FakeCollector, ownMetrics, recordingLog, sampleOf } from "./fakes.ts";

const NAMES = ["a", "b", "c"];

/** How a collector behaves in every run: how long it takes, whether it heeds its signal, whether it fails. */
const BEHAVIOUR = fc.record({
  ms: fc.integer({ min: 0, max: 25 }),
  heeds: fc.boolean(),
  fails: fc.boolean(),
});
const CLIENT = fc.record({
  arrivesMs: fc.integer({ min: 0, max: 40 }),
  timeoutMs: fc.integer({ min: 1, max: 30 }),
  only: fc.subarray(NAMES),
  /** When it disconnects; most never do. */
  leavesMs: fc.option(fc.integer({ min: 0, max: 20 }), { freq: 3 }),
});

test("whoever comes and goes in whatever order, no collector runs twice at once and every answer is whole", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(BEHAVIOUR, BEHAVIOUR, BEHAVIOUR),
      fc.array(CLIENT, { minLength: 1, maxLength: 8 }),
      async (behaviours, clients) => {
        let mostAtOnce = 0;
        const collectors = behaviours.map(({ ms, heeds, fails }, index) => {
          const name = NAMES[index] ?? "";
          let running = 0;
          return new FakeCollector(name, async ({ signal }: ScrapeContext): Promise<Collection> => {
            mostAtOnce = Math.max(mostAtOnce, ++running);
            try {
              await new Promise<void>((resolve, reject) => {
                setTimeout(resolve, ms);
                if (heeds) signal.addEventListener("abort", () => reject(signal.reason));
              });
              if (fails) throw new Error("failed");
              return { samples: sampleOf(name), success: true };
            } finally {
              running--;
            }
          });
        });
        const scraper = new Scraper(collectors, ownMetrics(), recordingLog());
        await Promise.all(
          clients.map(async ({ arrivesMs, timeoutMs, only, leavesMs }) => {
            await Bun.sleep(arrivesMs);
            const client = new AbortController();
            if (leavesMs !== null) setTimeout(() => client.abort(), leavesMs);
            const scrape = scraper.scrape({ only, timeoutMs, signal: client.signal });
            const result = await scrape.catch((error: unknown) => {
              if (!client.signal.aborted) throw error;
            });
            if (result === undefined) return;
            expect(result.outcomes.map(({ collector }) => collector)).toEqual(only);
            // One set for each collector that succeeded, and the one of verdicts.
            expect(result.sets).toHaveLength(1 + result.outcomes.filter(({ success }) => success).length);
          }),
        );
        expect(mostAtOnce).toBeLessThanOrEqual(1);
        await scraper.idle();
        const after = await scraper.scrape({ timeoutMs: 200 });
        expect(after.outcomes).toHaveLength(NAMES.length);
      },
    ),
    { numRuns: 40 },
  );
}, 20_000);
