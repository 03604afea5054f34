/** Runs plumbline to its end, from its sources or compiled, and tells what it printed. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const FROM_SOURCES: readonly string[] = [process.execPath, join(ROOT, "src/main.ts")];

export function runToEnd(command: readonly string[], cwd = ROOT): Ended {
  const [program = "", ...args] = command;
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: 60_000,
    env: { PATH: process.env["PATH"], NODE_NAME: "node-a" },
  });
  return { status, stdout, stderr };
}

/** An exposition without what the exporter says of itself, which is another process each time. */
export function withoutOwnMetrics(exposition: string): string {
  const own = /^(# (HELP|TYPE|UNIT) )?(plumbline_|process_)/;
  return exposition
    .split("\n")
    .filter((line) => !own.test(line))
    .join("\n");
}

/** Log lines without their time, in the order of their text. */
export function logWithoutTimes(stderr: string): string[] {
  return stderr
    .split("\n")
    .map((line) => line.replace(/^ts=\S+ /, ""))
    .sort();
}
