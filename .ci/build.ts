/**
 * Builds the one binary: `bun .ci/build.ts` makes dist/plumbline-linux-{x64,arm64} and reports size and start time;
 * `bun .ci/build.ts arm64` makes that one alone. PLUMBLINE_REVISION names the commit where there is no repository.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const ARCHITECTURES = ["x64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** The executable's entry, then the Worker entries, which keep their paths below src/ in the bundle. */
const ENTRIES = ["src/main.ts", "src/nvme/device-worker.ts", "src/demo/nvme-worker.ts"];

/** Compiles for `architecture` into `directory` (below the repository) and answers the executable's path. */
export async function build(architecture: Architecture, directory: string): Promise<string> {
  const outfile = join(ROOT, directory, `plumbline-linux-${architecture}`);
  mkdirSync(join(ROOT, directory), { recursive: true });
  run(process.execPath, [
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--root=src",
    `--target=bun-linux-${architecture}`,
    // A binary that runs as root must not take settings or preloads from the directory it is started in.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--define=PLUMBLINE_REVISION=${JSON.stringify(revision())}`,
    ...ENTRIES,
    `--outfile=${outfile}`,
  ]);
  return outfile;
}

function revision(): string {
  const given = process.env["PLUMBLINE_REVISION"];
  if (given !== undefined) return given;
  const git = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: ROOT, encoding: "utf8" });
  return git.status === 0 ? git.stdout.trim() : "unknown";
}

function run(command: string, args: readonly string[]): void {
  const done = spawnSync(command, args, { cwd: ROOT, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr}${done.stdout}`);
}

if (import.meta.main) {
  const named = ARCHITECTURES.filter((architecture) => process.argv.includes(architecture));
  for (const architecture of named.length > 0 ? named : ARCHITECTURES) {
    const path = await build(architecture, "dist");
    const size = `${(statSync(path).size / 1e6).toFixed(1)} MB`;
    const start = architecture === process.arch ? `, ${startMs(path).toFixed(0)} ms to --version` : "";
    process.stdout.write(`${path}: ${size}${start}\n`);
  }
}

/** The median of five starts. */
function startMs(path: string): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    run(path, ["--version"]);
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[2] ?? Number.NaN;
}
