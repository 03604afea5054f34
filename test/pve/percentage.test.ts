import { describe, expect, test } from "bun:test";
import { pveGauge } from "../../src/pve/contract.ts";
import { addPercentage } from "../../src/pve/percentage.ts";
import { FakeReport } from "../support/pve-round.ts";

const RATIO = pveGauge("pve_example_ratio", "An example", []);

function added(value: unknown): { readonly values: unknown[]; readonly invalid: number } {
  const report = new FakeReport();
  addPercentage(report, RATIO, {}, value);
  const values = [...report.samples.families.values()].flatMap((family) => family.values);
  return { values, invalid: report.leftOut.get("invalid") ?? 0 };
}

describe("addPercentage", () => {
  test.each([
    [0, 0],
    [100, 1],
    ["25.00", 0.25],
  ])("%p is %p", (percent, ratio) => {
    expect(added(percent)).toEqual({ values: [ratio], invalid: 0 });
  });

  test.each([-0.01, 100.01, "-", "NaN", {}, Number.POSITIVE_INFINITY])(
    "%p is no percentage, and is counted",
    (value) => {
      expect(added(value)).toEqual({ values: [], invalid: 1 });
    },
  );

  test.each([undefined, null, ""])("%p says nothing, and is not counted", (value) => {
    expect(added(value)).toEqual({ values: [], invalid: 0 });
  });
});
