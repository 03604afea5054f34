import { expect, test } from "bun:test";
import { durationMs, humantimeMs } from "../../src/config/duration.ts";

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

test.each([
  ["10s", 10_000],
  ["500ms", 500],
  ["1m 30s", 90_000],
  ["1m30s", 90_000],
  [" 1 min  30 secs ", 90_000],
  ["1hour 1minute 1second 1msec", 3_661_001],
  ["2 hrs", 7_200_000],
  ["1day", 86_400_000],
  ["250us", 0.25],
  ["250 usec", 0.25],
  ["1000000ns", 1],
  ["1.5s", 1500],
])("humantime's %p is %d ms", (text, ms) => {
  expect(humantimeMs(text)).toBeCloseTo(ms, 9);
});

test.each(["", " ", "10", "s", "1 parsec", "-1s", "1s2", "1,5s", "1S", "1w", 10])(
  "%p is none of humantime's durations",
  (text) => {
    expect(humantimeMs(text)).toBeUndefined();
  },
);
