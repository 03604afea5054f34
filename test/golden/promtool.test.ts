/** Every golden exposition as Prometheus' own checker sees it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { describeWith, PROMTOOL } from "../support/debian.ts";
import { checkMetrics } from "../support/promtool.ts";

const GOLDEN = join(import.meta.dir, "../../fixtures/golden");
const files = [...new Glob("**/*.prom").scanSync(GOLDEN)].sort();

describeWith([PROMTOOL], "promtool has no objection to", () => {
  test.each(files)("%s", (file) => {
    expect(checkMetrics(readFileSync(join(GOLDEN, file))).objections).toEqual([]);
  });
});
