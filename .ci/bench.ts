/** Builds the binary for this machine and runs every benchmark of test/bench, one after the other. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build, ROOT } from "./build.ts";

await build(process.arch === "arm64" ? "arm64" : "x64", "dist");
const bench = join(ROOT, "test/bench");
for (const file of readdirSync(bench)
  .filter((name) => name.endsWith(".bench.ts"))
  .sort()) {
  process.stdout.write(`\n=== ${file}\n`);
  const done = spawnSync(process.execPath, [join(bench, file), ...process.argv.slice(2)], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (done.status !== 0) process.exitCode = 1;
}
