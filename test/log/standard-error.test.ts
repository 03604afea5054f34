import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CREATE = JSON.stringify(join(import.meta.dir, "../../src/log/create.ts"));
const LOG = `import { createLog } from ${CREATE}; const log = createLog({ level: "info", format: "logfmt" });`;

/** Runs a script in a shell, so that the shell can do what it likes with standard error. */
const shell = (command: string, script: string) =>
  spawnSync("sh", ["-c", command], { env: { ...process.env, BUN: process.execPath, SCRIPT: LOG + script } });

test("nothing is lost at exit", () => {
  const script = 'for (let i = 0; i < 20000; i++) log.info("line", { i }); process.exit(3);';
  const { stdout } = shell('"$BUN" -e "$SCRIPT" 2>&1 >/dev/null | (sleep 0.2; tail -n 1)', script);
  expect(stdout.toString()).toEndWith("msg=line i=19999\n");
});

test("a reader that has gone is no error", () => {
  const script = 'for (let i = 0; i < 20000; i++) log.info("line", { i }); process.stdout.write("alive");';
  const { stdout } = shell('{ "$BUN" -e "$SCRIPT" 2>&1 1>&3 | true; } 3>&1', script);
  expect(stdout.toString()).toBe("alive");
});

test("a closed standard error is no error", () => {
  const { stdout } = shell('"$BUN" -e "$SCRIPT" 2>&-', 'log.info("x"); process.stdout.write("alive");');
  expect(stdout.toString()).toBe("alive");
});

test("a full disk is no error", () => {
  const { stdout } = shell(
    '"$BUN" -e "$SCRIPT" 2>/dev/full',
    'log.info("x"); process.stdout.write("alive");',
  );
  expect(stdout.toString()).toBe("alive");
});

test("a reader that takes nothing from a non-blocking pipe costs lines, and neither an error nor much time", () => {
  const scratch = mkdtempSync(join(tmpdir(), "plumbline-log-"));
  const fifo = join(scratch, "fifo");
  spawnSync("mkfifo", [fifo]);
  // Bun makes what it hands to a child blocking, so the child itself puts the pipe in place of its standard error.
  const script = `
    import { closeSync, constants, openSync } from "node:fs";
    closeSync(2);
    const fd = openSync(${JSON.stringify(fifo)}, constants.O_RDWR | constants.O_NONBLOCK);
    for (let i = 0; i < 20; i++) log.info("x".repeat(100_000));
    process.stdout.write("alive with standard error at " + fd);`;
  try {
    const { stdout } = spawnSync(process.execPath, ["-e", LOG + script], { timeout: 15_000 });
    expect(stdout.toString()).toBe("alive with standard error at 2");
  } finally {
    rmSync(scratch, { recursive: true });
  }
}, 20_000);
