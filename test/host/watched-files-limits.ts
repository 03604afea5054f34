/**
 * Run by `watched-files.test.ts` where the kernel allows few watches: writes what WatchedFiles saw of eleven versions of
 * a tree, and what it logged, as JSON.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cwd } from "node:process";
import { WatchedFiles } from "../../src/host/watched-files.ts";
import type { LogFields } from "../../src/log/log.ts";

const root = mkdtempSync(`${cwd()}/plumbline-limits-`);
const warnings: LogFields[] = [];
const ignore = (): void => {};
const files = new WatchedFiles({
  debug: ignore,
  info: ignore,
  warn: (message, fields) => void warnings.push({ message, ...fields }),
  error: ignore,
});

const directories = ["a", "b", "c", "d", "e", "f"].map((name) => `${root}/${name}`);
for (const directory of directories) {
  mkdirSync(directory);
  writeFileSync(`${directory}/file`, "");
}

const contents = () =>
  directories.map((directory) => {
    const content = files.read(`${directory}/file`, 100);
    return content.kind === "read" ? new TextDecoder().decode(content.bytes) : content.kind;
  });

const seen: string[] = [];
/** What stood for all that was read in a directory, which has been written to since. */
const tokens = new Map<string, object | undefined>();
let outlived = 0;
for (let version = 0; ; version++) {
  files.refresh();
  for (const [directory, token] of tokens) {
    if (token !== undefined && files.token(directory) === token) outlived++;
  }
  for (const directory of [root, ...directories]) files.list(directory);
  seen.push([...new Set(contents())].join(" "));
  for (const directory of directories) {
    // That there is none is remembered also without a watch.
    files.list(`${directory}/missing`);
    tokens.set(directory, files.token(directory));
  }
  if (version === 10) break;
  for (const directory of directories) writeFileSync(`${directory}/file`, `${version}`);
}
files.close();
rmSync(root, { recursive: true });
process.stdout.write(JSON.stringify({ seen, warnings, outlived }));
