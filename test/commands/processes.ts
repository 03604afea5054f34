/** Plumbline with fake collectors, as a process of its own. */
import { join } from "node:path";
import { type Process, watch } from "../support/processes.ts";
import type { FakeRun } from "./with-fakes.ts";

export type { Process } from "../support/processes.ts";

export function start(run: FakeRun, environment: Readonly<Record<string, string>> = {}): Process {
  return watch([process.execPath, join(import.meta.dir, "with-fakes.ts"), JSON.stringify(run)], environment);
}
