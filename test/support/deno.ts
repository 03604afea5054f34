/** Deno, which comes from npm with the other development tools. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";

const NPM_NAMES: Readonly<Record<string, string>> = { x64: "linux-x64-glibc", arm64: "linux-arm64-glibc" };

/** The executable itself and not npm's script before it, which wants Node. */
export function denoPath(): string | undefined {
  const fromNpm = join(ROOT, "node_modules/@deno", NPM_NAMES[process.arch] ?? "", "deno");
  return existsSync(fromNpm) ? fromNpm : (Bun.which("deno") ?? undefined);
}
