/**
 * Where the file of a Worker is: beside the sources under Bun and Deno, at the root of the bundle in the compiled
 * binary, where every module's own URL is that of the executable.
 */

const COMPILED = "file:///$bunfs/root/";

/** `path` counts from src/: `nvme/device-worker.ts`. The build must name that file as an entry point. */
export function workerEntry(path: string): URL {
  return import.meta.url.startsWith(COMPILED)
    ? new URL(path, COMPILED)
    : new URL(`../${path}`, import.meta.url);
}
