/**
 * Directories and files read anew each time by the plainest means, for tests: what `WatchedFiles` answers must be the
 * same. It notes what it was asked for, and fails where it is told to.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { codeOf } from "../../src/host/system-error.ts";
import type { DirectoryEntry, FileContent, Listing, WatchedFiles } from "../../src/host/watched-files.ts";

export class DirectFiles implements Pick<WatchedFiles, "list" | "read"> {
  /** All paths asked for, in that order. */
  readonly asked: string[] = [];
  /** Codes of paths that cannot be read. */
  readonly failing: ReadonlyMap<string, string>;

  constructor(failing: Readonly<Record<string, string>> = {}) {
    this.failing = new Map(Object.entries(failing));
  }

  list(directory: string): Listing {
    this.asked.push(directory);
    try {
      this.#fail(directory);
      const stat = lstatSync(directory);
      if (!stat.isDirectory()) return { kind: "failed", code: stat.isSymbolicLink() ? "ELOOP" : "ENOTDIR" };
      const entries = readdirSync(directory, { withFileTypes: true })
        .map((entry): DirectoryEntry => ({ name: entry.name, type: typeOf(entry) }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      return { kind: "listed", entries };
    } catch (error) {
      return failed(error);
    }
  }

  read(path: string, maxBytes: number): FileContent {
    this.asked.push(path);
    let fd: number;
    try {
      this.#fail(path);
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      // ENXIO: a socket.
      return ["ELOOP", "ENXIO"].includes(codeOf(error) ?? "") ? { kind: "unsafe" } : failed(error);
    }
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) return { kind: "unsafe" };
      return stat.size > maxBytes ? { kind: "too_large" } : { kind: "read", bytes: readFileSync(fd) };
    } finally {
      closeSync(fd);
    }
  }

  #fail(path: string): void {
    for (const [failing, code] of this.failing) {
      if (path === failing || path.startsWith(`${failing}/`)) throw Object.assign(new Error(code), { code });
    }
  }
}

function typeOf(entry: {
  isDirectory(): boolean;
  isFile(): boolean;
  isSymbolicLink(): boolean;
}): DirectoryEntry["type"] {
  if (entry.isDirectory()) return "directory";
  if (entry.isFile()) return "file";
  return entry.isSymbolicLink() ? "symlink" : "other";
}

const failed = (error: unknown): { readonly kind: "failed"; readonly code: string } => ({
  kind: "failed",
  code: codeOf(error) ?? "EIO",
});
