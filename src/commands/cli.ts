/** The command line: which words and flags there are, and which command they start. */
import { basename } from "node:path";
import process from "node:process";
import { ConfigError, problemText } from "../config/error.ts";
import type { Program } from "../config/load.ts";
import { writeStandardError } from "../log/standard-error.ts";
import { REVISION, VERSION } from "../version.ts";
import { print } from "./print.ts";

const FAILED = 1;
const WRONG_USAGE = 2;

/** Runs the command that `words` (without runtime and script) ask for; the exit code. */
export async function run(words: readonly string[]): Promise<number> {
  try {
    if (asksForVersion(words)) return await printVersion();
    // Only now: the flags need the list of collectors, and that needs all their code.
    const [{ parse }, { COLLECTORS }] = await Promise.all([
      import("./command-line.ts"),
      import("../scrape/sources.ts"),
    ]);
    const parsed = parse(words, COLLECTORS, programName());
    return typeof parsed === "number" ? parsed : await parsed();
  } catch (error) {
    return explain(error);
  }
}

/** The image has pve_exporter as a second name of the same executable. */
const programName = (): Program =>
  basename(process.argv0) === "pve_exporter" ? "pve_exporter" : "plumbline";

function asksForVersion(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end === -1 ? undefined : end).some((word) => word === "--version");
}

async function printVersion(): Promise<number> {
  const runtime = await import("../runtime/index.ts");
  const machine = `${process.platform} ${process.arch}`;
  print(`plumbline ${VERSION} (revision ${REVISION}, ${runtime.name} ${runtime.version}, ${machine})\n`);
  return 0;
}

function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const problem of error.problems) complain(problemText(problem));
    return error.usage ? WRONG_USAGE : FAILED;
  }
  complain(error instanceof Error ? error.message : String(error));
  return FAILED;
}

const complain = (text: string) => writeStandardError(`plumbline: ${text}\n`);
