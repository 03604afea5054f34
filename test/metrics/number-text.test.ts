import { expect, test } from "bun:test";
import { boundText, canonicalBoundText } from "../../src/metrics/number-text.ts";

/** Each as Go's strconv.FormatFloat(bound, 'g', -1, 64) prints it. */
test.each([
  [0, "0"],
  [1, "1"],
  [10, "10"],
  [0.1, "0.1"],
  [100_000, "100000"],
  [999_999, "999999"],
  [1_000_000, "1e+06"],
  [1_234_567, "1.234567e+06"],
  [67_108_864, "6.7108864e+07"],
  [67.108864, "67.108864"],
  [0.000128, "0.000128"],
  [0.0001, "0.0001"],
  [0.00001, "1e-05"],
  [1e-6, "1e-06"],
  [1.5e-6, "1.5e-06"],
  [1e21, "1e+21"],
  [1.5e300, "1.5e+300"],
  [5e-324, "5e-324"],
  [-1, "-1"],
  [-1e-6, "-1e-06"],
  [Number.POSITIVE_INFINITY, "+Inf"],
])("the bound %p is written as %s", (bound, text) => {
  expect(boundText(bound)).toBe(text);
});

test.each([
  [0, "0.0"],
  [1, "1.0"],
  [-1, "-1.0"],
  [100_000, "100000.0"],
  [1_000_000, "1e+06"],
  [0.25, "0.25"],
  [1e-6, "1e-06"],
])("the bound %p is %s as a canonical float of OpenMetrics", (bound, text) => {
  expect(canonicalBoundText(bound)).toBe(text);
});
