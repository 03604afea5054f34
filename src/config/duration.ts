/** Durations as people write them: `10s`, `500ms`, `1m30s`, `0.5` (seconds); and as Rust's humantime does: `1m 30sec`. */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const WHOLE = /^(?:\d+(?:\.\d+)?|(?:\d+(?:\.\d+)?(?:ms|s|m|h))+)$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h)?/g;

export const DURATION = WHOLE;

/** In ms; undefined if the text is no duration. A number without a unit counts seconds. */
export function durationMs(text: string | number): number | undefined {
  if (typeof text === "number") return text * 1000;
  if (!WHOLE.test(text)) return undefined;
  let sum = 0;
  for (const [, amount = "", unit = "s"] of text.matchAll(PART)) sum += Number(amount) * (UNIT_MS[unit] ?? 0);
  return sum;
}

/** In ms; undefined if the text is none of humantime's durations: blanks between the parts, and units of any length. */
export function humantimeMs(text: string | number): number | undefined {
  if (typeof text === "number" || !/^\s*(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const unitMs = HUMANTIME_UNITS.find(([, names]) => names.includes(unit))?.[0];
    if (unitMs === undefined) return undefined;
    sum += Number(amount) * unitMs;
  }
  return sum;
}

const HUMANTIME_UNITS: readonly (readonly [number, readonly string[]])[] = [
  [1e-6, ["ns", "nsec", "nanos"]],
  [1e-3, ["us", "usec", "micros"]],
  [1, ["ms", "msec", "millis"]],
  [1000, ["s", "sec", "secs", "second", "seconds"]],
  [60_000, ["m", "min", "mins", "minute", "minutes"]],
  [3_600_000, ["h", "hr", "hrs", "hour", "hours"]],
  [86_400_000, ["d", "day", "days"]],
];
