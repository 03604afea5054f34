/** Which exposition format an `Accept` header asks for (RFC 9110, section 12.5.1). */
import type { Format } from "./exposition.ts";

interface Range {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

interface Preference {
  readonly quality: number;
  /** 1 for `*\/*`, 2 for `text/*`, 3 for the type itself, 4 with its version. */
  readonly precision: number;
}

const OFFERS: Readonly<Record<Format, { readonly type: string; readonly version: string }>> = {
  text: { type: "text/plain", version: "0.0.4" },
  openmetrics: { type: "application/openmetrics-text", version: "1.0.0" },
};

/**
 * OpenMetrics where the header prefers it, the text format otherwise: also for a missing or senseless header and for
 * one that accepts neither, because a scraper that asks wrongly is served better by an answer than by a 406.
 */
export function negotiate(accept: string | null): Format {
  const ranges = parseAccept(accept ?? "");
  const text = preference(ranges, "text");
  const openmetrics = preference(ranges, "openmetrics");
  if (openmetrics.quality !== text.quality)
    return openmetrics.quality > text.quality ? "openmetrics" : "text";
  return openmetrics.quality > 0 && openmetrics.precision > text.precision ? "openmetrics" : "text";
}

/** By the most precise range that fits the format; of several the one with the highest quality. */
function preference(ranges: readonly Range[], format: Format): Preference {
  let best: Preference = { quality: 0, precision: 0 };
  for (const range of ranges) {
    const precision = precisionOf(range, format);
    if (precision === 0 || precision < best.precision) continue;
    if (precision > best.precision || range.quality > best.quality)
      best = { quality: range.quality, precision };
  }
  return best;
}

/** 0 where the range does not fit. Parameters other than the version (`charset`, `escaping`) change nothing. */
function precisionOf({ type, parameters }: Range, format: Format): number {
  const offer = OFFERS[format];
  if (type === "*/*") return 1;
  if (type === `${offer.type.split("/")[0]}/*`) return 2;
  if (type !== offer.type) return 0;
  const version = parameters.get("version");
  if (version === undefined) return 3;
  return version === offer.version ? 4 : 0;
}

function parseAccept(accept: string): Range[] {
  return accept.split(",").flatMap((part) => {
    const [type = "", ...rest] = part.split(";").map((piece) => piece.trim());
    if (type === "") return [];
    const parameters = new Map(rest.map(parseParameter));
    return { type: type.toLowerCase(), parameters, quality: qualityOf(parameters.get("q")) };
  });
}

function parseParameter(text: string): [name: string, value: string] {
  const [name = "", value = ""] = text.split("=", 2).map((piece) => piece.trim());
  return [name.toLowerCase(), value.replace(/^"(.*)"$/, "$1").toLowerCase()];
}

/** 1 where it is left out or no number, as Prometheus' own client takes it. */
function qualityOf(text: string | undefined): number {
  const quality = Number.parseFloat(text ?? "1");
  return Number.isNaN(quality) ? 1 : Math.min(Math.max(quality, 0), 1);
}
