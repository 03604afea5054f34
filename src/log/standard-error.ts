/** Writes to standard error before it returns, so that nothing is lost at exit; never throws. */
import { writeSync } from "node:fs";

const STANDARD_ERROR = 2;
/** A reader that takes nothing for so long loses the line: a log must not hold up a scrape. */
const PATIENCE_MS = 50;
const PAUSE_MS = 5;

const clock = new Int32Array(new SharedArrayBuffer(4));

export function writeStandardError(line: string): void {
  const bytes = Buffer.from(line);
  const deadline = performance.now() + PATIENCE_MS;
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(STANDARD_ERROR, bytes, written);
    } catch (error) {
      if (!isFull(error) || performance.now() >= deadline) return;
      Atomics.wait(clock, 0, 0, PAUSE_MS);
    }
  }
}

/** A non-blocking pipe or terminal whose buffer is full; anything else (EPIPE, EBADF, EIO) will not get better. */
function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}
