import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATOR_METRICS } from "../../src/kubernetes/reference.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";

const ROOT = join(import.meta.dir, "../..");

function plumbline(...args: readonly string[]) {
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, "src/main.ts", ...args], { cwd: ROOT });
  return { exitCode, stdout: stdout.toString() };
}

test("`plumbline metrics` prints what docs/metrics.md holds", () => {
  const { exitCode, stdout } = plumbline("metrics");
  expect(exitCode).toBe(0);
  expect(stdout).toBe(readFileSync(join(ROOT, "docs/metrics.md"), "utf8"));
});

test("`plumbline metrics --output=json` names the collectors, and then what is none: exporter, operator, aggregate", () => {
  const { exitCode, stdout } = plumbline("metrics", "--output=json");
  expect(exitCode).toBe(0);
  const groups: readonly { readonly collector: string | null; readonly help: string }[] = JSON.parse(stdout);
  expect(groups.map(({ collector, help }) => collector ?? help)).toEqual([
    ...COLLECTORS.map(({ name }) => name),
    "What plumbline tells about itself",
    ...OPERATOR_METRICS.map(({ help }) => help),
  ]);
});
