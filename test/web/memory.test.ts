import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { MemoryKeeper } from "../../src/web/memory.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function keeper() {
  const counted = { collections: 0 };
  const memory = new MemoryKeeper(async () => {
    counted.collections++;
  });
  return { memory, counted };
}

test("memory is collected behind the 64th scrape in a row, not within it", () => {
  const { memory, counted } = keeper();
  for (let scrape = 0; scrape < 64; scrape++) memory.scrapeEnded();
  expect(counted.collections).toBe(0);
  jest.advanceTimersByTime(1);
  expect(counted.collections).toBe(1);
});

test("memory is collected once when it is quiet after a few scrapes", () => {
  const { memory, counted } = keeper();
  for (let scrape = 0; scrape < 10; scrape++) {
    memory.scrapeEnded();
    jest.advanceTimersByTime(500);
  }
  expect(counted.collections).toBe(0);
  jest.advanceTimersByTime(60_000);
  expect(counted.collections).toBe(1);
});

test("a scrape now and then costs no collection", () => {
  const { memory, counted } = keeper();
  for (let scrape = 0; scrape < 7; scrape++) {
    memory.scrapeEnded();
    jest.advanceTimersByTime(15_000);
  }
  expect(counted.collections).toBe(0);
});
