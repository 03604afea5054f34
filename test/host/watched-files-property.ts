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
const NAMES = ["a", "b\n"];
const FIRST = NAMES.map((name) => `${root}/${name}`);
const SECOND = FIRST.flatMap((path) => NAMES.map((name) => `${path}/${name}`));
const THIRD = SECOND.flatMap((path) => NAMES.map((name) => `${path}/${name}`));
const PATHS = [root, ...FIRST, ...SECOND, ...THIRD];
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
const step = fc.record({
  changes: fc.array(change, { maxLength: 3 }),
  look: fc.oneof(
    { weight: 2, arbitrary: fc.constant(PATHS) },
    // What is known of the tree has gaps.
    { weight: 1, arbitrary: fc.subarray(PATHS, { maxLength: 3 }) },
  ),
});

fc.assert(
  fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    reset();
    for (const directory of SECOND) mkdirSync(directory, { recursive: true });
    for (const file of THIRD) writeFileSync(file, "old");
    const files = new WatchedFiles();
    let last: { readonly generation: number; readonly truth: string } | undefined;
    for (const { changes, look } of steps) {
      changes.forEach(apply);
      const generation = files.refresh();
      for (const path of look) compare(files, path);
      const truth = JSON.stringify(PATHS.map(actual));
      if (generation === last?.generation && truth !== last.truth) {
        throw new Error("something changed, the generation did not");
      }
      last = look === PATHS ? { generation, truth } : undefined;
    }
    files.close();
  }),
  {
    numRuns: 300,
    // Forbidden, and its parent never listed.
    examples: [
      [
        [
          { changes: [{ kind: "forbid", at: `${root}/a/a`, to: root }], look: [`${root}/a/a`] },
          { changes: [{ kind: "allow", at: `${root}/a/a`, to: root }], look: [`${root}/a/a`] },
        ],
      ],
    ],
  },
);
reset();
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
  const truth = JSON.stringify(actual(path));
  if (said !== truth) throw new Error(`${path}: said ${said}, is ${truth}`);
}

function normal(answer: ReturnType<WatchedFiles["list"]> | ReturnType<WatchedFiles["read"]>) {
  return answer.kind === "read" ? { kind: "read", text: new TextDecoder().decode(answer.bytes) } : answer;
}

function actual(path: string) {
  return [listed(path), read(path)];
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
    if (!lstatSync(path).isFile()) return { kind: "unsafe" };
    const text = readFileSync(path, "utf8");
    return text.length > MAX_BYTES ? { kind: "too_large" } : { kind: "read", text };
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
