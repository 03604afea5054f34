/** The words of the operating system for why a call failed, without the call and the path that Node adds. */

/** "no space left on device" of `ENOSPC: no space left on device, write`; the message itself where it has no code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const words = /^[A-Z][A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1];
  return words ?? error.message;
}

/**
 * `ENOENT`, `EACCES` …; undefined for an error that is none of the operating system. EACCES also where Deno refuses by
 * itself, for lack of --allow-read or another permission.
 */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof Error && error.name === "NotCapable") return "EACCES";
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
