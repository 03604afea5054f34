/** Expositions as flat lists of series, to be held against what another program makes of them. */
import { type ParsedFormat, parseExposition } from "./exposition-parser.ts";

/** `name{a="x",b="y"}`, labels sorted, quoted as JSON: the same for the same series whoever wrote it. */
export function seriesKey(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(",")}}`;
}

/** Every series of an exposition, with its value as Prometheus keeps it: 64 bits of float. */
export function seriesOfExposition(text: string, format: ParsedFormat = "text"): Map<string, number> {
  const series = new Map<string, number>();
  for (const { samples } of parseExposition(new TextEncoder().encode(text), format)) {
    for (const { name, labels, value } of samples) series.set(seriesKey(name, labels), asNumber(value));
  }
  return series;
}

/** Numbers as Go writes and reads them. */
export function asNumber(text: string): number {
  return Number(text.replace(/^([+-]?)Inf$/, "$1Infinity"));
}
