/** The Mayastor of the demo as it begins: through real HTTP, all four resources. */
import { expect, test } from "bun:test";
import { expectGolden } from "../support/golden.ts";
import { ofMayastor, PRINT_MAYASTOR } from "../support/mayastor-demo.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

test("the demo's Mayastor, from its answers to the exposition, byte for byte", () => {
  const { stdout, status } = runToEnd([...FROM_SOURCES, ...PRINT_MAYASTOR]);
  expect(status).toBe(0);
  expectGolden("mayastor-demo.prom", ofMayastor(stdout));
});
