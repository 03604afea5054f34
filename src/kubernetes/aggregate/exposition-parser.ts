/**
 * Reads the text format 0.0.4 while it comes, and keeps the chosen families: checked, so that they can stand in another
 * exposition, but as the bytes that they are.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
import { isDigit, isNameByte, isText, NEWLINE, skipBlanks } from "./bytes.ts";
import { AskFailure } from "./failure.ts";
import type { KnownMetadata } from "./metadata.ts";
import { SampleLine, type SampleName } from "./sample-line.ts";
import { SeriesSet } from "./series-set.ts";

export interface ParserOptions {
  readonly node: string;
  /** Added to series without `cluster_id`. */
  readonly clusterId: string | undefined;
  keeps(family: string): boolean;
  /** Shared by the answers of exporters. */
  readonly metadata: KnownMetadata;
  /** Of the whole exposition, where that is known. */
  readonly bodyBytes?: number;
  /** Whether it is known otherwise that this is the node's exporter: a label `node` may mean another thing then. */
  readonly isKnownNode: boolean;
}

/** What one exporter contributes. */
export interface PodExposition {
  readonly node: string;
  /** Lines of samples, family after family. */
  readonly bytes: Uint8Array;
  readonly families: readonly PodFamily[];
  readonly samples: number;
  /** In the order of the samples. */
  readonly series: SeriesSet;
  /** How many series are not in it, because they were there already, or are of another node. */
  readonly leftOut: number;
}

export interface PodFamily {
  readonly name: string;
  readonly type: FamilyType;
  /** As it stood there, escaped; undefined where there was none. */
  readonly help: string | undefined;
  /** Of its lines in the bytes. */
  readonly start: number;
  readonly end: number;
  readonly firstSample: number;
}

/** By what the names of the samples end with. */
const SUFFIXES = {
  counter: [""],
  gauge: [""],
  untyped: [""],
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
} as const;
export type FamilyType = keyof typeof SUFFIXES;

export const sampleNames = ({ name, type }: Pick<PodFamily, "name" | "type">): string[] =>
  SUFFIXES[type].map((suffix) => name + suffix);

/** Unpacked; a node with a thousand volumes has 10 MB. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
const MAX_LINE_BYTES = 64 * 1024;
const MAX_SERIES = 100_000;
const MAX_FAMILIES = 10_000;

const MIN_EXPECTED_BYTES = 4 * 1024;
const MAX_EXPECTED_BYTES = 256 * 1024;

const HASH = 0x23;

const utf8 = new TextDecoder();

interface Family extends PodFamily {
  readonly nameBytes: Uint8Array;
  readonly isKept: boolean;
  hasType: boolean;
  type: FamilyType;
  help: string | undefined;
  end: number;
  hasSamples: boolean;
}

interface Name extends SampleName {
  readonly text: string;
  readonly family: Family;
  readonly isBucket: boolean;
}

export class ExpositionParser {
  readonly #options: ParserOptions;
  readonly #line: SampleLine;
  readonly #series = new SeriesSet();
  readonly #families = new Map<string, Family>();
  /** Whose lines are being read. */
  #family: Family | undefined;
  /** Of the sample before. */
  #name: Name | undefined;
  #comments = 0;
  #received = 0;
  #leftOut = 0;
  /** The beginning of a line whose end has not come. */
  #begun = new Uint8Array(256);
  #begunLength = 0;

  constructor(options: ParserOptions) {
    this.#options = options;
    this.#line = new SampleLine(options.node, options.clusterId, expectedBytes(options));
  }

  /** Throws AskFailure where this is no exposition, or too much of it; then nothing more may be pushed. */
  push(chunk: Uint8Array): void {
    this.#received += chunk.length;
    if (this.#received > MAX_BODY_BYTES)
      throw tooLarge(`its exposition has more than ${MAX_BODY_BYTES / 1024 / 1024} MiB`);
    let start = 0;
    if (this.#begunLength > 0) {
      const end = chunk.indexOf(NEWLINE);
      this.#begin(chunk, 0, end < 0 ? chunk.length : end);
      if (end < 0) return;
      this.#readLine(this.#begun, 0, this.#begunLength);
      this.#begunLength = 0;
      start = end + 1;
    }
    for (let end = chunk.indexOf(NEWLINE, start); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#readLine(chunk, start, end);
      start = end + 1;
    }
    if (start < chunk.length) this.#begin(chunk, start, chunk.length);
  }

  /** After the last piece. Throws AskFailure where it ends within a line. */
  end(): PodExposition {
    if (this.#begunLength > 0) throw unreadable("its exposition ends within a line");
    this.#leave();
    return {
      node: this.#options.node,
      bytes: this.#line.kept(),
      families: [...this.#families.values()].filter(({ isKept }) => isKept),
      samples: this.#series.size,
      series: this.#series,
      leftOut: this.#leftOut,
    };
  }

  #begin(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#begunLength + end - start;
    if (length > MAX_LINE_BYTES) throw lineTooLong();
    if (length >= this.#begun.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#begun);
      this.#begun = larger;
    }
    this.#begun.set(chunk.subarray(start, end), this.#begunLength);
    this.#begun[length] = NEWLINE;
    this.#begunLength = length;
  }

  /** A newline stands at `end`. */
  #readLine(bytes: Uint8Array, start: number, end: number): void {
    if (end - start > MAX_LINE_BYTES) throw lineTooLong();
    const at = skipBlanks(bytes, start);
    if (at === end) return;
    if (bytes[at] === HASH) this.#readComment(bytes, at, end);
    else this.#readSample(bytes, at, end);
  }

  #readComment(bytes: Uint8Array, start: number, end: number): void {
    const comment = this.#options.metadata.read(bytes, start, end, this.#comments++);
    if (comment === "comment") return;
    if (comment === "unreadable") throw unreadable("it has metadata of no metric");
    const { keyword, text } = comment;
    const family = this.#enter(comment.family, comment.familyBytes);
    const { name } = family;
    if (family.hasSamples) throw unreadable(`the metadata of ${shown(name)} stand behind its samples`);
    if (keyword === "TYPE") setType(family, text);
    else if (family.help === undefined) family.help = text;
    else throw unreadable(`${shown(name)} has two HELP lines`);
  }

  #readSample(bytes: Uint8Array, start: number, end: number): void {
    const name = this.#nameAt(bytes, start);
    const { family } = name;
    family.hasSamples = true;
    if (!family.isKept) return;
    const line = this.#line;
    if (!line.read(name, bytes, start + name.bytes.length, end) || (name.isBucket && !line.hasBound))
      throw unreadable(`it has a line of ${shown(name.text)} that is no sample`);
    if (line.namesOtherNode && !this.#options.isKnownNode)
      throw new AskFailure("conflict", "its samples are those of another node");
    if (line.namesOtherNode || !this.#series.add(line.high, line.low)) {
      this.#leftOut++;
      return;
    }
    if (this.#series.size > MAX_SERIES) throw tooLarge(`it has more than ${MAX_SERIES} series`);
    line.keep();
  }

  /** Most often it is that of the sample before, or of the family. */
  #nameAt(bytes: Uint8Array, start: number): Name {
    const before = this.#name;
    if (before !== undefined && isName(bytes, start, before.bytes)) return before;
    const current = this.#family;
    if (current !== undefined && current.type !== "histogram" && isName(bytes, start, current.nameBytes)) {
      this.#name = named(current.name, current.nameBytes, current);
      return this.#name;
    }
    let end = start;
    while (isNameByte(bytes[end] ?? 0)) end++;
    if (end === start || isDigit(bytes[start] ?? 0)) throw unreadable("it has a line that is no sample");
    const nameBytes = bytes.slice(start, end);
    const text = utf8.decode(nameBytes);
    this.#name = named(text, nameBytes, this.#familyOf(text, nameBytes));
    return this.#name;
  }

  #familyOf(sample: string, nameBytes: Uint8Array): Family {
    const current = this.#family;
    if (current === undefined || !sample.startsWith(current.name)) return this.#enter(sample, nameBytes);
    if (sampleNames(current).includes(sample)) return current;
    if (sample === current.name) throw unreadable(`${shown(sample)} is a histogram, and no name of a sample`);
    return this.#enter(sample, nameBytes);
  }

  /** The lines of a family stand together. */
  #enter(name: string, nameBytes: Uint8Array): Family {
    if (this.#family?.name === name) return this.#family;
    this.#leave();
    if (this.#families.has(name)) throw unreadable(`the lines of ${shown(name)} do not stand together`);
    if (this.#families.size === MAX_FAMILIES) throw tooLarge(`it has more than ${MAX_FAMILIES} families`);
    this.#family = {
      name,
      nameBytes,
      isKept: this.#options.keeps(name),
      hasType: false,
      type: "untyped",
      help: undefined,
      start: this.#line.length,
      end: this.#line.length,
      firstSample: this.#series.size,
      hasSamples: false,
    };
    this.#families.set(name, this.#family);
    this.#line.beginFamily();
    return this.#family;
  }

  #leave(): void {
    if (this.#family !== undefined) this.#family.end = this.#line.length;
    this.#name = undefined;
  }
}

/** What is added to the lines makes them longer by less than half; what is not kept is not known before. */
const expectedBytes = ({ bodyBytes = 0 }: ParserOptions): number =>
  Math.min(Math.max(bodyBytes * 1.25, MIN_EXPECTED_BYTES), MAX_EXPECTED_BYTES);

function setType(family: Family, type: string): void {
  const name = shown(family.name);
  if (!isFamilyType(type)) throw unreadable(`${name} has a type that the text format does not know`);
  if (family.hasType && family.type !== type) throw new AskFailure("conflict", `${name} has two types`);
  if (family.hasType) throw unreadable(`${name} has two TYPE lines`);
  family.hasType = true;
  family.type = type;
}

const isFamilyType = (text: string): text is FamilyType => Object.hasOwn(SUFFIXES, text);

/** Whether a sample of this name begins at `start`. */
function isName(bytes: Uint8Array, start: number, name: Uint8Array): boolean {
  const end = start + name.length;
  return isText(bytes, start, end, name) && !isNameByte(bytes[end] ?? 0);
}

const named = (text: string, bytes: Uint8Array, family: Family): Name => ({
  text,
  bytes,
  hash: hashOf(text),
  family,
  isBucket: family.type === "histogram" && text === `${family.name}_bucket`,
});

function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) + i;
  return hash;
}

/** Names of metrics have nothing in them that a log could stumble on, but they may be long. */
const shown = (name: string): string => (name.length > 100 ? `${name.slice(0, 100)}…` : name);

const unreadable = (why: string): AskFailure => new AskFailure("parse", why);
const tooLarge = (why: string): AskFailure => new AskFailure("too_large", why);
const lineTooLong = (): AskFailure => tooLarge(`it has a line of more than ${MAX_LINE_BYTES / 1024} KiB`);
