/**
 * Run by `watched-files.test.ts`: changes a tree in every way at random and compares what WatchedFiles says of it with
 * what is there. A process of its own, so that it can run without the capabilities that let root read everything.
 */
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { WatchedFiles } from "../../src/host/watched-files.ts";

const root = mkdtempSync(`${process.cwd()}/plumbline-property-`);
const NAMES = ["a", "b", "c\n"];
const FIRST = NAMES.map((name) => `${root}/${name}`);
const SECOND = FIRST.flatMap((path) => NAMES.map((name) => `${path}/${name}`));
const PATHS = [
  root,
  ...FIRST,
  ...SECOND,
  ...SECOND.flatMap((path) => NAMES.map((name) => `${path}/${name}`)),
];
const MAX_BYTES = 6;

type Change = { readonly at: string; readonly to: string; readonly kind: keyof typeof CHANGES };

const CHANGES = {
  directory: ({ at }) => mkdirSync(at, { recursive: true }),
  write: ({ at }) => writeFileSync(at, "new"),
  append: ({ at }) => appendFileSync(at, "more"),
  remove: ({ at }) => rmSync(at, { recursive: true, force: true }),
  rename: ({ at, to }) => renameSync(at, to),
  swap: ({ at, to }) => {
    renameSync(at, `${root}/swapped`);
    renameSync(to, at);
    renameSync(`${root}/swapped`, to);
  },
  link: ({ at, to }) => {
    rmSync(at, { recursive: true, force: true });
    symlinkSync(to, at);
  },
  forbid: ({ at }) => chmodSync(at, 0),
  half: ({ at }) => chmodSync(at, 0o400),
  allow: ({ at }) => chmodSync(at, 0o700),
} satisfies Record<string, (change: { readonly at: string; readonly to: string }) => void>;

const KINDS: readonly (keyof typeof CHANGES)[] = [
  ...(["directory", "directory", "write", "write", "append", "remove", "rename"] as const),
  ...(["swap", "link", "forbid", "half", "allow", "allow"] as const),
];
const path = fc.constantFrom(...PATHS.slice(1));
const change = fc.record({ kind: fc.constantFrom(...KINDS), at: path, to: path });
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ changes: fc.array(change, { minLength: 1, maxLength: 6 }) }) },
  // Only some paths are looked at: what is known of the tree has gaps.
  { weight: 1, arbitrary: fc.record({ look: fc.subarray(PATHS) }) },
);

fc.assert(
  fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const files = new WatchedFiles();
    let last = { generation: files.refresh(), truth: "" };
    for (const next of steps) {
      if ("changes" in next) next.changes.forEach(apply);
      const generation = files.refresh();
      const looked = "look" in next ? next.look : PATHS;
      for (const path of looked) compare(files, path);
      if ("look" in next) continue;
      const truth = JSON.stringify(PATHS.map((path) => [listed(path), read(path)]));
      if (generation === last.generation && last.truth !== "" && truth !== last.truth) {
        throw new Error("something changed, the generation did not");
      }
      last = { generation, truth };
    }
    files.close();
    reset();
  }),
  { numRuns: 150 },
);
rmSync(root, { recursive: true });
process.stdout.write("as a fresh walk\n");

function apply(change: Change): void {
  try {
    CHANGES[change.kind](change);
  } catch {
    // Most are not possible where they fall.
  }
}

function compare(files: WatchedFiles, path: string): void {
  const said = JSON.stringify([normal(files.list(path)), normal(files.read(path, MAX_BYTES))]);
  const truth = JSON.stringify([listed(path), read(path)]);
  if (said !== truth) throw new Error(`${path}: said ${said}, is ${truth}`);
}

function normal(answer: ReturnType<WatchedFiles["list"]> | ReturnType<WatchedFiles["read"]>) {
  return answer.kind === "read" ? { kind: "read", text: new TextDecoder().decode(answer.bytes) } : answer;
}

function listed(path: string) {
  try {
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) return { kind: "failed", code: "ELOOP" };
    if (!stat.isDirectory()) return { kind: "failed", code: "ENOTDIR" };
    const entries = readdirSync(path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      type: entry.isDirectory() ? "directory" : entry.isFile() ? "file" : "symlink",
    }));
    return { kind: "listed", entries: entries.sort((one, other) => (one.name < other.name ? -1 : 1)) };
  } catch (error) {
    return { kind: "failed", code: codeOf(error) };
  }
}

function read(path: string) {
  try {
    const stat = lstatSync(path);
    if (!stat.isFile()) return { kind: "unsafe" };
    if (stat.size > MAX_BYTES) return { kind: "too_large" };
    return { kind: "read", text: readFileSync(path, "utf8") };
  } catch (error) {
    return { kind: "failed", code: codeOf(error) };
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}

/** An empty tree, whatever the rights in it are. */
function reset(): void {
  allowAll(root);
  rmSync(root, { recursive: true });
  mkdirSync(root);
}

function allowAll(directory: string): void {
  chmodSync(directory, 0o700);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) allowAll(`${directory}/${entry.name}`);
  }
}
