/**
 * Everything that can be tested on this machine, one step after the other, also behind a failed one. Ends with what was
 * left out and why (nothing, under CI=true: there it fails), and the line `N passed, N failed`: tests, and one for each
 * other step.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./build.ts";

interface Count {
  readonly passed: number;
  readonly failed: number;
}

const scratch = mkdtempSync(join(tmpdir(), "plumbline-test-all-"));
const leftOut = join(scratch, "left-out");
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const counts = [check("lint"), check("typecheck"), tests("test"), tests("test:e2e"), tests("test:guest")];
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
if (existsSync(leftOut)) say(`\n${readFileSync(leftOut, "utf8").trimEnd()}`);
rmSync(scratch, { recursive: true });
say(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function check(script: string): Count {
  return run(script, []) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Counts from the JUnit report; a run that fails without a failed test, or without a report, is one failure more. */
function tests(script: string): Count {
  const report = join(scratch, `${script.replace(":", "-")}.xml`);
  const succeeded = run(script, ["--reporter=junit", `--reporter-outfile=${report}`]);
  const suites = existsSync(report)
    ? /<testsuites [^>]*>/.exec(readFileSync(report, "utf8"))?.[0]
    : undefined;
  const attribute = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suites ?? "")?.[1] ?? 0);
  const failures = attribute("failures");
  return {
    passed: attribute("tests") - failures - attribute("skipped"),
    failed: succeeded || failures > 0 ? failures : 1,
  };
}

/** Runs a script of package.json with the Bun that runs this file, whatever the PATH has. */
function run(script: string, args: readonly string[]): boolean {
  say(`\n=== ${script}`);
  const start = performance.now();
  const done = spawnSync(process.execPath, ["run", "--silent", script, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, PLUMBLINE_LEFT_OUT: leftOut },
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  say(`=== ${script}: ${done.status === 0 ? "passed" : "FAILED"} in ${seconds} s`);
  return done.status === 0;
}
