/**
 * A strict parser of both exposition formats: what Prometheus may read leniently is an error here. It knows the
 * formats from their specifications and nothing of the writer.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details and
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 */

export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As it is written: all digits. */
  readonly value: string;
}

export interface ParsedFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string | undefined;
  readonly samples: readonly ParsedSample[];
}

export type ParsedFormat = "text" | "openmetrics";

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const NUMBER = /[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?/y;
const SPECIAL = /NaN|[-+]Inf/y;

const SUFFIXES: Readonly<Record<ParsedFormat, Readonly<Record<string, readonly string[]>>>> = {
  text: {
    counter: [""],
    gauge: [""],
    histogram: ["_bucket", "_sum", "_count"],
    summary: ["_sum", "_count"],
    untyped: [""],
  },
  openmetrics: {
    counter: ["_total"],
    gauge: [""],
    histogram: ["_bucket", "_sum", "_count"],
    summary: ["_sum", "_count"],
    unknown: [""],
  },
};

/** Throws with the line's number at the first thing that the format does not allow. */
export function parseExposition(body: Uint8Array, format: ParsedFormat): readonly ParsedFamily[] {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  if (format === "openmetrics" && !text.endsWith("# EOF\n")) throw new Error("does not end with # EOF");
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line does not end");
  const content = format === "openmetrics" ? text.slice(0, -"# EOF\n".length) : text;
  const families: OpenFamily[] = [];
  const lines = content.split("\n").slice(0, -1);
  for (const [index, line] of lines.entries()) {
    try {
      parseLine(line, families, format);
    } catch (error) {
      throw new Error(`line ${index + 1}: ${error instanceof Error ? error.message : error}: ${line}`);
    }
  }
  for (const family of families) checkFamily(family, format);
  refuseSame(
    families.map(({ name }) => name),
    "family",
  );
  refuseSame(
    families.flatMap(({ samples }) => samples.map(seriesKey)),
    "series",
  );
  return families.map(({ name, type = "", help = "", unit, samples }) => ({
    name,
    type,
    help,
    unit,
    samples,
  }));
}

interface OpenFamily {
  readonly name: string;
  type?: string;
  help?: string;
  unit?: string;
  readonly samples: ParsedSample[];
}

function parseLine(line: string, families: OpenFamily[], format: ParsedFormat): void {
  const last = families.at(-1);
  const metadata = /^# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/su.exec(line);
  if (metadata !== null) {
    const [, keyword = "", name = "", rest = ""] = metadata;
    const family = last?.name === name ? last : open(families, name);
    if (family.samples.length > 0) throw new Error("metadata stands behind a sample");
    if (keyword === "HELP")
      family.help = once(family.help, unescaped(rest, format === "text" ? "\\n" : '\\n"'));
    else if (keyword === "TYPE") family.type = once(family.type, rest);
    else if (format === "text") throw new Error("the text format has no UNIT");
    else family.unit = once(family.unit, rest);
    return;
  }
  if (line.startsWith("#")) throw new Error("is neither HELP, TYPE nor UNIT");
  if (last?.type === undefined || last.help === undefined) throw new Error("has no HELP and TYPE before it");
  const sample = parseSample(line, format);
  const suffixes = SUFFIXES[format][last.type];
  if (suffixes === undefined) throw new Error(`type ${last.type} is not known`);
  if (!suffixes.some((suffix) => sample.name === last.name + suffix))
    throw new Error(`does not belong to ${last.type} ${last.name}`);
  if (format === "openmetrics" && last.type === "counter" && !(Number(sample.value) >= 0))
    throw new Error("a counter is not ≥ 0");
  last.samples.push(sample);
}

function open(families: OpenFamily[], name: string): OpenFamily {
  const family: OpenFamily = { name, samples: [] };
  families.push(family);
  return family;
}

function once(before: string | undefined, now: string): string {
  if (before !== undefined) throw new Error("is there twice");
  return now;
}

function parseSample(line: string, format: ParsedFormat): ParsedSample {
  const name = match(NAME, line, 0);
  let at = name.length;
  const labels: Record<string, string> = {};
  if (line[at] === "{") {
    at++;
    while (line[at] !== "}") {
      const label = match(LABEL_NAME, line, at);
      at += label.length;
      if (line[at] !== "=" || line[at + 1] !== '"') throw new Error(`label ${label} has no value`);
      const end = closingQuote(line, at + 2);
      if (Object.hasOwn(labels, label)) throw new Error(`label ${label} is there twice`);
      labels[label] = unescaped(line.slice(at + 2, end), '\\n"');
      at = end + 1;
      if (line[at] === ",") at++;
      else if (line[at] !== "}") throw new Error("the labels are not closed");
      if (line[at] === "}" && line[at - 1] === ",") throw new Error("a comma too many");
    }
    if (Object.keys(labels).length === 0) throw new Error("empty braces");
    at++;
  }
  if (line[at] !== " ") throw new Error("there is no blank before the value");
  const value = line.slice(at + 1);
  parseNumber(value);
  if (Object.hasOwn(labels, "le")) checkBound(labels["le"] ?? "", format);
  return { name, labels, value };
}

function match(pattern: RegExp, line: string, at: number): string {
  pattern.lastIndex = at;
  const found = pattern.exec(line)?.[0];
  if (found === undefined) throw new Error(`${pattern.source} was expected at ${at}`);
  return found;
}

function closingQuote(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === "\\") at++;
    else if (line[at] === '"') return at;
  }
  throw new Error("a label value is not closed");
}

/** Undoes `\\`, and `\n` and `\"` where `allowed` names them; anything else behind a backslash is an error. */
function unescaped(text: string, allowed: string): string {
  return text.replace(/\\(.|$)/gsu, (_, escaped: string) => {
    if (escaped === "\\") return "\\";
    if (escaped === "n") return "\n";
    if (escaped === '"' && allowed.includes('"')) return '"';
    throw new Error(`\\${escaped} is no escape`);
  });
}

function parseNumber(text: string): number {
  for (const pattern of [SPECIAL, NUMBER]) {
    pattern.lastIndex = 0;
    if (pattern.exec(text)?.[0] === text) return Number(text.replace("Inf", "Infinity"));
  }
  throw new Error(`"${text}" is no number`);
}

function checkBound(bound: string, format: ParsedFormat): void {
  parseNumber(bound);
  if (format === "openmetrics" && /^-?\d+$/.test(bound)) throw new Error(`le="${bound}" is not canonical`);
}

function checkFamily(family: OpenFamily, format: ParsedFormat): void {
  const { name, type, unit, samples } = family;
  if (unit !== undefined && !name.endsWith(`_${unit}`))
    throw new Error(`${name} does not end in its unit ${unit}`);
  if (type !== "histogram") return;
  const series = Map.groupBy(samples, ({ name: line, labels: { le: _, ...labels } }) =>
    seriesKey({ name: line.replace(/_(bucket|sum|count)$/, ""), labels }),
  );
  for (const lines of series.values()) checkHistogram(name, lines, format);
}

function checkHistogram(name: string, lines: readonly ParsedSample[], format: ParsedFormat): void {
  const named = (suffix: string) => lines.filter((line) => line.name === name + suffix);
  const buckets = named("_bucket");
  const bounds = buckets.map(({ labels }) => parseNumber(labels["le"] ?? ""));
  const counts = buckets.map(({ value }) => parseNumber(value));
  if (bounds.at(-1) !== Number.POSITIVE_INFINITY) throw new Error(`${name} has no last bucket +Inf`);
  for (const [index, bound] of bounds.entries()) {
    if (!(bound > (bounds[index - 1] ?? Number.NEGATIVE_INFINITY)))
      throw new Error(`the bounds of ${name} do not ascend`);
    if ((counts[index] ?? 0) < (counts[index - 1] ?? 0))
      throw new Error(`the buckets of ${name} are not cumulative`);
  }
  const [count] = named("_count");
  const [sum] = named("_sum");
  if (count !== undefined && count.value !== buckets.at(-1)?.value)
    throw new Error(`${name}_count is not the bucket +Inf`);
  if (format === "text" && count === undefined) throw new Error(`${name} has no _count`);
  if (format === "openmetrics" && (count === undefined) !== (sum === undefined))
    throw new Error(`${name} has only one of _sum and _count`);
}

function seriesKey({ name, labels }: Pick<ParsedSample, "name" | "labels">): string {
  return JSON.stringify([name, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function refuseSame(keys: readonly string[], what: string): void {
  const known = new Set<string>();
  for (const key of keys) {
    if (known.has(key)) throw new Error(`${what} ${key} is there twice`);
    known.add(key);
  }
}
