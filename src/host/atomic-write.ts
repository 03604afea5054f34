/**
 * Puts a whole file in the place of another: who reads it sees the old one or the new one, never a part, also after a
 * crash at any point.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { codeOf, reasonOf } from "./system-error.ts";

/** A temporary file that is this much older than the one being written belongs to no living writer. */
const STALE_MS = 60_000;

/** Throws "cannot write PATH: REASON"; then the old file is as it was, and no temporary one is left. */
export function writeAtomically(path: string, bytes: Uint8Array, mode: number): void {
  const directory = dirname(path);
  // The name must not end in .prom: node_exporter would read it.
  const temporary = join(directory, `${temporaryPrefix(path)}${randomBytes(6).toString("hex")}.tmp`);
  try {
    const writtenAt = writeNew(temporary, bytes, mode);
    renameSync(temporary, path);
    syncDirectory(directory);
    removeStale(path, writtenAt);
  } catch (error) {
    remove(temporary);
    throw new Error(`cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

const temporaryPrefix = (path: string): string => `.${basename(path)}.`;

/** Answers the file's time of modification, on the clock of its file system, in ms. */
function writeNew(path: string, bytes: Uint8Array, mode: number): number {
  const fd = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    for (let offset = 0; offset < bytes.length; ) {
      offset += writeSync(fd, bytes, offset, bytes.length - offset);
    }
    fchmodSync(fd, mode);
    fsyncSync(fd);
    return fstatSync(fd).mtimeMs;
  } finally {
    closeSync(fd);
  }
}

/** Makes the rename survive a power cut. The new file is in its place already, so no error of this is one of the write. */
function syncDirectory(directory: string): void {
  try {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Some network and FUSE file systems refuse to sync a directory.
  }
}

/** Removes what earlier runs left behind when they were killed between creating and renaming. */
function removeStale(path: string, now: number): void {
  const directory = dirname(path);
  const prefix = temporaryPrefix(path);
  try {
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(prefix) || !/^[0-9a-f]{12}\.tmp$/.test(name.slice(prefix.length))) continue;
      const left = join(directory, name);
      // Either way: a clock that was set back must not keep the file for ever.
      if (Math.abs(now - lstatSync(left).mtimeMs) > STALE_MS) unlinkSync(left);
    }
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never made, was renamed, or cannot be removed on a file system that turned read-only.
  }
}
