/** Keeps two runs from writing one textfile at a time: the kernel's lock, which ends with the process that holds it. */
import { join } from "node:path";
import type { FileLock } from "../host/libc.ts";
import { flockExclusive } from "../host/libc.ts";

/** A run takes a fraction of a second: looking this often costs nothing and wastes little. */
const POLL_MS = 50;

/** Beside the textfile, where whoever may write the one may write the other. */
export const lockPath = (directory: string, name: string): string => join(directory, `.${name}.lock`);

export const LOCK_REMEDY =
  "let this user write into the directory; remove a lock file that is another user's";

/**
 * Takes the lock file at `path`, waiting for whoever holds it; undefined where that takes longer than `timeoutMs`.
 * Rejects where the file cannot be opened or locked.
 */
export async function waitForLock(path: string, timeoutMs: number): Promise<FileLock | undefined> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const lock = flockExclusive(path);
    if (lock !== "locked") return lock;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return undefined;
    await new Promise((resolve) => setTimeout(resolve, Math.min(POLL_MS, leftMs)));
  }
}
