/**
 * Writes to standard output before it returns: Bun loses what `process.stdout` has not yet handed to a pipe when the
 * process exits.
 */
import { writeSync } from "node:fs";

const STANDARD_OUTPUT = 1;
const PAUSE_MS = 5;
const clock = new Int32Array(new SharedArrayBuffer(4));

/** Returns early, without an error, when the reader has gone away (`plumbline metrics | head`). */
export function print(text: string): void {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(STANDARD_OUTPUT, bytes, written);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(clock, 0, 0, PAUSE_MS);
    }
  }
}
