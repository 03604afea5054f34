import { expect, test } from "bun:test";
import { matchesAny } from "../../../src/kubernetes/aggregate/globs.ts";

test.each([
  ["ebs_*", "ebs_reads_total", true],
  ["ebs_*", "ebs_", true],
  ["ebs_*", "csi_ebs_reads", false],
  ["ebs_reads", "ebs_reads", true],
  ["ebs_reads", "ebs_reads_total", false],
  ["*", "anything", true],
  ["*_total", "a_total", true],
  ["*_total", "a_totals", false],
  ["a*b*c", "a_b_b_c", true],
  ["a*b*c", "a_c_b", false],
  ["ab*ba", "aba", false],
  ["a.b", "a_b", false],
])("the families %s take %s: %p", (glob, name, is) => {
  expect(matchesAny(["x", glob], name)).toBe(is);
});

test("no pattern takes no family", () => {
  expect(matchesAny([], "a")).toBe(false);
});
