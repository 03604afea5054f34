/**
 * The writer of the exposition: the samples of all collectors in, the text that Prometheus reads out. The same
 * samples always give the same bytes: families by name, series by label values.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
import type { MetricType } from "./descriptor.ts";
import {
  compareSeries,
  Duplicates,
  type Family,
  isStates,
  type Labels,
  mergeFamilies,
  sortFamily,
} from "./families.ts";
import { LineWriter } from "./line-writer.ts";
import { type Notation, OPENMETRICS, TEXT } from "./notation.ts";
import type { HistogramValue, Samples } from "./samples.ts";
import type { States } from "./states.ts";

export { negotiate } from "./negotiate.ts";

export type Format = "text" | "openmetrics";

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

export interface Exposition {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Lines with a value. */
  readonly samples: number;
  /** How many series were left out, because they were there already. */
  readonly dropped: number;
  /** The first 20 of them, described for the log. */
  readonly duplicates: readonly string[];
}

/** What one answer took, the next will take about. */
let expectedBytes = 0;

export function expose(sets: readonly Samples[], format: Format): Exposition {
  const notation = format === "text" ? TEXT : OPENMETRICS;
  const duplicates = new Duplicates();
  const families = mergeFamilies(sets, duplicates);
  const titled = [...families.values()]
    .map((family) => ({
      family,
      title: notation.title(family.descriptor, (name) => families.has(name)),
    }))
    .sort((a, b) => (a.title.name < b.title.name ? -1 : 1));

  const out = new LineWriter(Math.ceil(expectedBytes * 1.05) + 4096);
  const bounds = new Map<number, string>();
  let samples = 0;
  for (const { family, title } of titled) {
    out.text(notation.metadata(title, family.descriptor.help));
    const start = out.length;
    let lines = writeSeries(out, family, notation, bounds);
    if (lines === "unordered") {
      out.truncate(start);
      lines = writeSeries(out, sortFamily(family, duplicates), notation, bounds);
    }
    if (lines === "unordered") throw new Error(`the series of ${family.descriptor.name} cannot be ordered`);
    samples += lines;
  }
  out.ascii(notation.end);
  expectedBytes = out.length;
  return { body: out.finish(), samples, dropped: duplicates.count, duplicates: duplicates.described };
}

/**
 * Writes the series as they come and gives the number of lines. "unordered" as soon as one does not follow the one
 * before it, or holds a lone surrogate: most collectors emit their series in order, and then nothing need be sorted.
 */
function writeSeries(
  out: LineWriter,
  { descriptor, labelNames, labels, values }: Family,
  notation: Notation,
  bounds: Map<number, string>,
): number | "unordered" {
  const { name } = descriptor;
  const lineName = name + (FIRST_SUFFIX[descriptor.type] ?? "");
  const opening = labelNames.map((label) => `{${label}="`);
  const following = labelNames.map((label) => `,${label}="`);
  /** Where each label begins in the series' first line, counted from its start. */
  const offsets = labelNames.map(() => lineName.length);
  /** The label values of the series before: looking up a name in an object is what costs most here. */
  const texts: (string | undefined)[] = labelNames.map(() => undefined);
  let previous: Labels | undefined;
  let previousStart = 0;
  let previousHasStates = false;
  let lines = 0;

  for (let index = 0; index < values.length; index++) {
    const series = labels[index];
    const value = values[index];
    if (series === undefined || value === undefined) break;
    const start = out.length;

    // What a line begins with as the one before it, it copies from there.
    let label = 0;
    let text = series[labelNames[0] ?? ""];
    if (previous === undefined) out.ascii(lineName);
    else {
      while (label < labelNames.length && text === texts[label]) text = series[labelNames[++label] ?? ""];
      // Whether it comes after all states of the one before is for the sorting to find out.
      const comparable = previousHasStates ? labelNames.length - 1 : labelNames.length;
      if (label >= comparable) return "unordered";
      const before = texts[label] ?? "";
      const after = text ?? "";
      if (before === after ? compareSeries(labelNames, previous, series) >= 0 : before > after)
        return "unordered";
      out.repeat(previousStart, offsets[label] ?? 0);
    }
    while (label < labelNames.length) {
      const offset = out.length - start;
      offsets[label] = offset;
      texts[label] = text;
      if (text !== undefined) {
        out.ascii((offset === lineName.length ? opening[label] : following[label]) ?? "");
        if (!out.labelValue(text)) return "unordered";
        out.ascii('"');
      }
      text = series[labelNames[++label] ?? ""];
    }

    previousHasStates = isStates(value);
    if (isStates(value)) {
      const openings = out.length - start === lineName.length ? opening : following;
      writeStates(out, start, openings[labelNames.length - 1] ?? "", value);
      lines += value.names.length;
    } else if (typeof value === "object" && descriptor.type === "summary") {
      writeSummary(out, name, lineName, start, value);
      lines += 2;
    } else if (typeof value === "object")
      lines += writeHistogram(out, name, lineName, start, value, notation, bounds);
    else {
      out.ascii(out.length - start === lineName.length ? " " : "} ");
      out.value(value);
      out.ascii("\n");
      lines++;
    }
    previous = series;
    previousStart = start;
  }
  return lines;
}

/** Goes on behind the other labels of the first state's line, which begins at `start`. */
function writeStates(out: LineWriter, start: number, opening: string, { names, values }: States): void {
  const labelled = out.length - start;
  for (let index = 0; index < names.length; index++) {
    if (index > 0) out.repeat(start, labelled);
    out.ascii(opening);
    out.ascii(names[index] ?? "");
    const value = values[index];
    if (value === 0) out.ascii('"} 0\n');
    else if (value === 1) out.ascii('"} 1\n');
    else {
      out.ascii('"} ');
      out.value(value ?? 0);
      out.ascii("\n");
    }
  }
}

/** Of a family whose lines are not called as it is: of the first line of a series. */
const FIRST_SUFFIX: Readonly<Partial<Record<MetricType, string>>> = { histogram: "_bucket", summary: "_sum" };

/** Goes on behind the labels of the sum's line, which begins at `start`. */
function writeSummary(
  out: LineWriter,
  name: string,
  sumName: string,
  start: number,
  { count, sum = 0 }: HistogramValue,
): void {
  const labelled = out.length - start - sumName.length;
  const closing = labelled > 0 ? "} " : " ";
  out.ascii(closing);
  out.value(sum);
  out.ascii(`\n${name}_count`);
  out.repeat(start + sumName.length, labelled);
  out.ascii(closing);
  out.value(count);
  out.ascii("\n");
}

/** Goes on behind the labels of the first bucket's line, which begins at `start`; gives the number of lines. */
function writeHistogram(
  out: LineWriter,
  name: string,
  bucketName: string,
  start: number,
  { upperBounds, counts, count, sum }: HistogramValue,
  notation: Notation,
  bounds: Map<number, string>,
): number {
  const labelled = out.length - start;
  const hasLabels = labelled > bucketName.length;
  const le = hasLabels ? ',le="' : '{le="';
  let isFirst = true;
  const bucket = (bound: string, value: number | bigint) => {
    if (!isFirst) out.repeat(start, labelled);
    isFirst = false;
    out.ascii(le);
    out.ascii(bound);
    out.ascii('"} ');
    out.value(value);
    out.ascii("\n");
  };
  const total = (suffix: string, value: number | bigint) => {
    out.ascii(name + suffix);
    out.repeat(start + bucketName.length, labelled - bucketName.length);
    out.ascii(hasLabels ? "} " : " ");
    out.value(value);
    out.ascii("\n");
  };

  let lines = 1;
  for (const [index, upperBound] of upperBounds.entries()) {
    const cumulative = counts[index];
    if (cumulative === undefined) break;
    let bound = bounds.get(upperBound);
    if (bound === undefined) {
      bound = notation.bound(upperBound);
      bounds.set(upperBound, bound);
    }
    bucket(bound, cumulative);
    lines++;
  }
  bucket("+Inf", count);
  if (sum !== undefined) {
    total("_sum", sum);
    lines++;
  }
  if (sum !== undefined || notation.countWithoutSum) {
    total("_count", count);
    lines++;
  }
  return lines;
}
