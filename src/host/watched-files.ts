/**
 * Directory listings and small files, remembered for as long as inotify(7) tells of no change to them. What cannot be
 * watched is read each time it is asked for.
 */
import type { Log } from "../log/log.ts";

export interface DirectoryEntry {
  /** U+FFFD stands for bytes that are not UTF-8: such a name cannot be opened (ENOENT). */
  readonly name: string;
  readonly type: "directory" | "file" | "symlink" | "other";
}

/** The same object for as long as nothing changed. `code` is ELOOP for a symlink, ENOTDIR for any other file. */
export type Listing =
  | { readonly kind: "listed"; readonly entries: readonly DirectoryEntry[] }
  | { readonly kind: "failed"; readonly code: string };

/** The same object for as long as nothing changed. `unsafe`: a symlink, directory, FIFO, socket or device. */
export type FileContent =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "unsafe" }
  | { readonly kind: "too_large" };

export class WatchedFiles {
  constructor(_log?: Log) {}

  /** Takes in what changed since; the number is the same only if nothing did in anything that was read through this object. */
  refresh(): number {
    throw new Error("being written");
  }

  /** Sorted by name (code units). `directory` is absolute, without `.`, `..` and a slash at its end. */
  list(_directory: string): Listing {
    throw new Error("being written");
  }

  read(_path: string, _maxBytes: number): FileContent {
    throw new Error("being written");
  }

  /** Forgets a path and all below it: call it for each mount point that came, went or changed (`changedMountPoints`), of which inotify does not tell. */
  forget(_path: string): void {}

  forgetAll(): void {}

  close(): void {}
}
