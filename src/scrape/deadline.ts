/** How long a scrape may take: what Prometheus allows, less the time that the answer needs to reach it. */
import type { Settings } from "../config/settings.ts";

/** A plain decimal number, as Prometheus writes it: no sign but `+`, no `Infinity`, no hexadecimal digits. */
const DECIMAL = /^\+?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * `header` is `X-Prometheus-Scrape-Timeout-Seconds`, in seconds, or null. One that is no positive number is ignored;
 * of one so short that the offset would eat half of it, half is left.
 */
export function scrapeTimeoutMs(
  header: string | null,
  settings: {
    readonly web: Pick<Settings["web"], "timeoutOffsetMs">;
    readonly scrape: Settings["scrape"];
  },
): number {
  const { timeoutMs, timeoutMaxMs } = settings.scrape;
  const allowedMs = header === null ? undefined : positiveMs(header);
  if (allowedMs === undefined) return Math.min(timeoutMs, timeoutMaxMs);
  const offsetMs = settings.web.timeoutOffsetMs;
  return Math.min(allowedMs <= 2 * offsetMs ? allowedMs / 2 : allowedMs - offsetMs, timeoutMaxMs);
}

function positiveMs(seconds: string): number | undefined {
  const text = seconds.trim();
  if (!DECIMAL.test(text)) return undefined;
  const ms = Number(text) * 1000;
  return ms > 0 ? ms : undefined;
}
