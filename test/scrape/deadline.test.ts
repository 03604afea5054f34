import { describe, expect, test } from "bun:test";
import { scrapeTimeoutMs } from "../../src/scrape/deadline.ts";

const settings = {
  web: { timeoutOffsetMs: 500 },
  scrape: { timeoutMs: 10_000, timeoutMaxMs: 120_000 },
};

describe("the time for a scrape", () => {
  test("is --scrape.timeout where the scraper says nothing", () => {
    expect(scrapeTimeoutMs(null, settings)).toBe(10_000);
  });

  test("is what the scraper allows, less the offset", () => {
    expect(scrapeTimeoutMs("5", settings)).toBe(4_500);
    expect(scrapeTimeoutMs("9.5", settings)).toBe(9_000);
    expect(scrapeTimeoutMs(" 5 ", settings)).toBe(4_500);
    expect(scrapeTimeoutMs("1e1", settings)).toBe(9_500);
    expect(scrapeTimeoutMs("+5", settings)).toBe(4_500);
  });

  test.each(["abc", "-1", "0", "-0", "", " ", "NaN", "Infinity", "+Inf", "5s", "5, 5", "0x10", "1e-400"])(
    "is --scrape.timeout where the header %p is no positive number",
    (header) => {
      expect(scrapeTimeoutMs(header, settings)).toBe(10_000);
    },
  );

  test.each([
    ["0.1", 50],
    ["1", 500],
    ["1.0001", 500.1],
  ])("of %p s, up to twice the offset, is half of it and then all but the offset", (header, expected) => {
    expect(scrapeTimeoutMs(header, settings)).toBeCloseTo(expected, 6);
  });

  test.each(["1e9", "121", "1e999", "120.5"])("is never more than the maximum, also for %p", (header) => {
    expect(scrapeTimeoutMs(header, settings)).toBe(120_000);
  });

  test("is never more than the maximum, also where the scraper says nothing", () => {
    const scrape = { timeoutMs: 10_000, timeoutMaxMs: 3_000 };
    expect(scrapeTimeoutMs(null, { ...settings, scrape })).toBe(3_000);
  });

  test("is all that the scraper allows where there is no offset", () => {
    expect(scrapeTimeoutMs("0.1", { ...settings, web: { timeoutOffsetMs: 0 } })).toBe(100);
  });
});
