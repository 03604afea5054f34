/** A tree of directories, files and links as a value: built in memory, then written, or changed into the next one. */
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join, posix } from "node:path";
import { codeOf } from "../host/system-error.ts";

export type FileContents = Readonly<Record<string, string | Uint8Array | undefined>>;

export type Entry =
  | { readonly kind: "directory" }
  | { readonly kind: "file"; readonly content: string | Uint8Array }
  | { readonly kind: "link"; readonly target: string };

/** Paths count from the root of the tree and have no leading `/`. */
export class FileTree {
  readonly #entries = new Map<string, Entry>();

  /** Directories before what is in them. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  directory(path: string): void {
    if (path === "." || this.#entries.get(path)?.kind === "directory") return;
    this.#put(path, { kind: "directory" });
  }

  file(path: string, content: string | Uint8Array): void {
    this.#put(path, { kind: "file", content });
  }

  /** Each below `directory`; what is undefined is left out. */
  files(directory: string, contents: FileContents): void {
    this.directory(directory);
    for (const [name, content] of Object.entries(contents)) {
      if (content !== undefined) this.file(`${directory}/${name}`, content);
    }
  }

  /** A relative link from one path of the tree to another. */
  link(path: string, to: string): void {
    this.symlink(path, posix.relative(posix.dirname(path), to));
  }

  symlink(path: string, target: string): void {
    this.#put(path, { kind: "link", target });
  }

  /** Where a link of this tree leads; undefined where there is none. */
  linked(path: string): string | undefined {
    const entry = this.#entries.get(path);
    return entry?.kind === "link" ? posix.join(posix.dirname(path), entry.target) : undefined;
  }

  text(path: string): string | undefined {
    const entry = this.#entries.get(path);
    return entry?.kind === "file" && typeof entry.content === "string" ? entry.content : undefined;
  }

  /** All of another tree below `path`. */
  graft(path: string, tree: FileTree): void {
    this.directory(path);
    for (const [name, entry] of tree.entries) this.#entries.set(`${path}/${name}`, entry);
  }

  #put(path: string, entry: Entry): void {
    this.directory(posix.dirname(path));
    this.#entries.set(path, entry);
  }
}

/**
 * Makes the files below `root`, which must exist. With `before`, what was written there last, only the difference is
 * made: first what is new, then what is another (in one step, so that a reader sees the old or the new content), at
 * last what is gone.
 */
export function writeTree(root: string, tree: FileTree, before = new FileTree()): void {
  const replaced: [path: string, entry: Entry][] = [];
  for (const [path, entry] of tree.entries) {
    const old = before.entries.get(path);
    if (old === undefined) create(join(root, path), entry);
    else if (!isSame(old, entry)) replaced.push([path, entry]);
  }
  replaceAll(root, replaced);
  for (const [path, { kind }] of [...before.entries].reverse()) {
    if (tree.entries.has(path)) continue;
    if (kind === "directory") rmdirSync(join(root, path));
    else unlinkSync(join(root, path));
  }
}

function create(path: string, entry: Entry): void {
  if (entry.kind === "directory") createDirectory(path);
  else if (entry.kind === "file") writeFileSync(path, entry.content);
  else symlinkSync(entry.target, path);
}

/** One that another tree made here may stay; one whose own directory is gone must not come back. */
function createDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** By way of a directory beside the tree's own, in which nobody looks. */
function replaceAll(root: string, replaced: readonly (readonly [path: string, entry: Entry])[]): void {
  if (replaced.length === 0) return;
  const aside = mkdtempSync(join(root, ".next-"));
  try {
    for (const [path, entry] of replaced) {
      if (entry.kind === "directory") throw new Error(`${path} cannot become a directory`);
      const next = join(aside, basename(path));
      create(next, entry);
      renameSync(next, join(root, path));
    }
  } finally {
    rmSync(aside, { recursive: true });
  }
}

function isSame(a: Entry, b: Entry): boolean {
  if (a.kind === "file" && b.kind === "file") return a.content === b.content;
  if (a.kind === "link" && b.kind === "link") return a.target === b.target;
  return a.kind === b.kind;
}
