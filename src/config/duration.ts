/** Durations as people write them: `10s`, `500ms`, `1m30s`, `0.5` (seconds). */

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
