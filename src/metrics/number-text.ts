/** Numbers as the exposition formats write them. */

/** A sample's value: the shortest digits that give the same number again, and all digits of a bigint. */
export function valueText(value: number | bigint): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return Object.is(value, -0) ? "-0" : String(value);
}

/**
 * A bucket's bound in the form of Go's `%g` with the shortest digits, which is what Prometheus' own client writes
 * into `le`: `1e-06`, `0.000128`, `67.108864`, `1e+06`.
 */
export function boundText(bound: number): string {
  if (!Number.isFinite(bound) || bound === 0) return valueText(bound);
  const [mantissa = "", exponent = ""] = bound.toExponential().split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(bound);
  return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** The same as OpenMetrics' canonical float: an integer is marked as one, `1.0`. */
export function canonicalBoundText(bound: number): string {
  const text = boundText(bound);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
