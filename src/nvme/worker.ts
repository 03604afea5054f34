/** The Worker's side of asking a device: takes one command at a time, runs it on a Kernel, posts the answer. */
import type { Kernel } from "./kernel.ts";

/** Serves the pool for as long as the Worker lives. Call it once, as the last statement of a Worker's entry file. */
export function serveCommands(_kernel: Kernel): void {
  throw new Error("not written yet");
}
