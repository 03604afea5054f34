/**
 * Everything that can be tested on this machine, one step after the other, also behind a failed one. Ends with what was
 * left out and why, and the line `N passed, N failed`: tests, and one for each other step. Under CI=true nothing may be
 * left out: what was counts as failed.
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
const leftOut: string[] = [];
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const counts = [
  check("lint"),
  check("typecheck"),
  tests("test"),
  tests("test:e2e"),
  testsOfKubernetes(),
  tests("test:guest"),
];
rmSync(scratch, { recursive: true });
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
const failed = counts.reduce((sum, count) => sum + count.failed, 0);
for (const line of new Set(leftOut)) say(`LEFT OUT: ${line}`);
say(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function check(script: string): Count {
  return run(script, []) ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Counts from the JUnit report; a run that fails without a failed test, or without a report, is one failure more. */
function tests(script: string): Count {
  const path = join(scratch, `${script.replace(":", "-")}.xml`);
  const succeeded = run(script, ["--reporter=junit", `--reporter-outfile=${path}`]);
  const report = existsSync(path) ? readFileSync(path, "utf8") : "";
  const totals = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const total = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  for (const [, name, suite = ""] of report.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*<skipped/g,
  )) {
    leftOut.push(plainText(suite.includes("left out: ") ? suite : `${suite} > ${name}`));
  }
  const failures = total("failures") + (process.env["CI"] === "true" ? total("skipped") : 0);
  return {
    passed: total("tests") - total("failures") - total("skipped"),
    failed: succeeded || failures > 0 ? failures : 1,
  };
}

/** The only ones that CI may leave out: it says so where it has not built the control plane in the time for it. */
function testsOfKubernetes(): Count {
  if (process.env["PLUMBLINE_WITHOUT_KUBERNETES"] !== "true") return tests("test:kubernetes");
  leftOut.push("test:kubernetes: there is no control plane");
  return { passed: 0, failed: 0 };
}

function plainText(xml: string): string {
  return xml
    .replaceAll("&apos;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}

/** Runs a script of package.json with the Bun that runs this file, whatever the PATH has. */
function run(script: string, args: readonly string[]): boolean {
  say(`\n=== ${script}`);
  const start = performance.now();
  const done = spawnSync(process.execPath, ["run", "--silent", script, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  say(`=== ${script}: ${done.status === 0 ? "passed" : "FAILED"} in ${seconds} s`);
  return done.status === 0;
}
