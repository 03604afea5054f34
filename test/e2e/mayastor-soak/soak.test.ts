/** The soak's short form; `bun test/e2e/mayastor-soak/soak.ts` is the long one. */
import { expect, test } from "bun:test";
import { soak } from "./soak.ts";

test("every scrape is answered in time, and counts what the service did wrong in it", async () => {
  const report = await soak(600, 20261121);
  expect(report.problems).toEqual([]);
  expect(report.scrapes).toBe(600);
  expect([...report.failures.keys()].sort()).toEqual([
    ...["bad_body", "circuit_open", "connect", "http_4xx", "http_5xx", "not_found"],
    ...["redirect", "timeout", "too_large", "unauthorized"],
  ]);
  // A connection that a fault has ended must not stay behind.
  const [first, last] = report.descriptors;
  expect(last).toBeLessThan(first + 10);
  expect(report.logLines).toBeLessThan(200);
}, 300_000);
