import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
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

test("`plumbline metrics --output=json` names the collectors and then the exporter itself", () => {
  const { exitCode, stdout } = plumbline("metrics", "--output=json");
  expect(exitCode).toBe(0);
  const groups: readonly { readonly collector: string | null }[] = JSON.parse(stdout);
  expect(groups.map(({ collector }) => collector)).toEqual([...COLLECTORS.map(({ name }) => name), null]);
});
