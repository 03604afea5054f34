/** Which boot this is and how long ago it began: what tells a state file of today from one of before a restart. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `<procfs>/sys/kernel/random/boot_id`: another one after every boot; undefined where the kernel shows none. */
export function bootId(procfs: string): string | undefined {
  const text = read(join(procfs, "sys/kernel/random/boot_id"));
  return text !== undefined && UUID.test(text) ? text : undefined;
}

/** First field of `<procfs>/uptime`, in ms since boot (suspended time counts), with a resolution of 10 ms. */
export function uptimeMs(procfs: string): number | undefined {
  const seconds = Number(read(join(procfs, "uptime"))?.split(" ", 1)[0] || Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.round(seconds * 1000) : undefined;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
