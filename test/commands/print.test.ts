import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const PRINT = JSON.stringify(join(import.meta.dir, "../../src/commands/print.ts"));

/** Runs a script that may print, with its standard output going where the shell command says. */
const shell = (command: string, script: string) =>
  spawnSync("sh", ["-c", command], {
    env: { ...process.env, BUN: process.execPath, SCRIPT: `import { print } from ${PRINT}; ${script}` },
  });

test("megabytes arrive whole in a pipe that is read slowly, though the process exits at once", () => {
  const { stdout } = shell(
    '"$BUN" -e "$SCRIPT" | (sleep 0.3; wc -c)',
    'print("x".repeat(3_000_000)); process.exit(0);',
  );
  expect(Number(stdout.toString())).toBe(3_000_000);
});

test("a reader that goes away early is no error", () => {
  const { stderr } = shell(
    '{ "$BUN" -e "$SCRIPT"; echo "exit $?" >&2; } | true',
    'print("x".repeat(3_000_000)); process.exit(0);',
  );
  expect(stderr.toString()).toBe("exit 0\n");
});

test("a full disk is an error", () => {
  const { status, stderr } = shell('"$BUN" -e "$SCRIPT" >/dev/full', 'print("x");');
  expect(status).not.toBe(0);
  expect(stderr.toString()).toContain("ENOSPC");
});
