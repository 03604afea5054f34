import { expect, test } from "bun:test";
import { durationMs } from "../../src/config/duration.ts";

test.each([
  ["10s", 10_000],
  ["500ms", 500],
  ["1m30s", 90_000],
  ["1h1m1s1ms", 3_661_001],
  ["0.5", 500],
  ["1.5s", 1500],
  ["10", 10_000],
  [0.25, 250],
  [0, 0],
])("%p is %d ms", (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each(["", "s", "1d", "-1s", "+1s", "1 s", "1s ", "1s2", "1e3", "٣s", "1..5s", "0x10", "Infinity"])(
  "%p is no duration",
  (text) => {
    expect(durationMs(text)).toBeUndefined();
  },
);
