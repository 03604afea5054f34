/**
 * Reads the lines of samples, byte by byte, and writes them as they shall be served: with `node` and `cluster_id`, and
 * without blanks and labels that say nothing. All samples of all nodes go through here.
 */
import { isDigit, isLabelByte, isLabelStart, isText, NEWLINE, skipBlanks } from "./bytes.ts";

const BLANK = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;
const LOWER_N = 0x6e;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LAST_ASCII = 0x7f;

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8", { fatal: true });

const NODE = encoder.encode("node");
const CLUSTER_ID = encoder.encode("cluster_id");
const LE = encoder.encode("le");

/**
 * Families of one exporter mostly have the same series in the same order. So many are tried, for those that a family
 * lacks.
 */
const EXPECTED = 3;

const MAX_LABELS = 64;
/** A float of 64 bits in full has some 770 digits; nobody writes them. */
const MAX_VALUE_BYTES = 64;
/** No 64-bit number of milliseconds has more. */
const MAX_TIME_BYTES = 20;

/** As Go reads it, but for hexadecimal digits and underscores. */
const VALUE = /^[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf(?:inity)?|nan)$/i;

export class SampleLine {
  /** Of the line that was read last: the hash of its name and its labels, in whatever order they stand. */
  high = 0;
  low = 0;
  namesOtherNode = false;
  hasBound = false;

  /** Those of the lines that are kept, in this family and in the one before. */
  #labelSets: LabelSet[] = [];
  #labelSetsBefore: readonly LabelSet[] = [];
  /** Which of the family before comes next, if this one has the same series. */
  #expected = 0;
  #labelSet: LabelSet | undefined;

  /** The lines written so far; those that are not kept are written over. */
  bytes: Uint8Array;
  #length = 0;
  /** Behind the line that was read last. */
  #to = 0;
  /** Where the next byte is read. */
  #at = 0;
  #labelsHigh = 0;
  #labelsLow = 0;
  #hasNode = false;
  #hasCluster = false;
  readonly #node: Uint8Array;
  readonly #nodePair: Uint8Array;
  readonly #clusterPair: Uint8Array;
  /** Where the names of the line's labels begin and end. */
  readonly #labels = new Int32Array(2 * MAX_LABELS);

  constructor(node: string, clusterId: string | undefined, expectedBytes: number) {
    this.bytes = new Uint8Array(expectedBytes);
    this.#node = encoder.encode(escaped(node));
    this.#nodePair = encoder.encode(`node="${escaped(node)}",`);
    this.#clusterPair = encoder.encode(clusterId === undefined ? "" : `cluster_id="${escaped(clusterId)}",`);
  }

  /** Of the lines that are kept. */
  get length(): number {
    return this.#length;
  }

  /** The lines that are kept, in as little memory as is worth a copy. */
  kept(): Uint8Array {
    return this.#length * 2 < this.bytes.length
      ? this.bytes.slice(0, this.#length)
      : this.bytes.subarray(0, this.#length);
  }

  /** Before the first line of a family. */
  beginFamily(): void {
    this.#labelSetsBefore = this.#labelSets;
    this.#labelSets = [];
    this.#expected = 0;
  }

  /** Keeps the line that was read last. */
  keep(): void {
    this.#length = this.#to;
    if (this.#labelSet !== undefined) this.#labelSets.push(this.#labelSet);
  }

  /**
   * The line from its labels on, behind `name`; a newline stands at `end`, so that nothing reads beyond it. False where
   * it is none.
   */
  read(name: SampleName, bytes: Uint8Array, at: number, end: number): boolean {
    this.#reserve(name.bytes.length + end - at + this.#nodePair.length + this.#clusterPair.length + 8);
    this.#at = at;
    this.#to = this.#length;
    this.#write(name.bytes);
    if (!this.#repeatLabels(bytes) && !this.#readLabels(bytes)) return false;
    this.high = (this.#labelsHigh + name.hash) | 0;
    this.low = this.#labelsLow ^ Math.imul(name.hash, 0x2c1b3c6d);
    if (!this.#readValue(bytes) || !this.#readTime(bytes)) return false;
    this.bytes[this.#to++] = NEWLINE;
    return this.#at === end;
  }

  /** Whether the labels are those of one that is expected: what was found out about them holds again. */
  #repeatLabels(bytes: Uint8Array): boolean {
    const out = this.bytes;
    for (let index = this.#expected; index < this.#expected + EXPECTED; index++) {
      const known = this.#labelSetsBefore[index];
      if (known === undefined) return false;
      const { start, readLength, writtenLength } = known;
      let same = 0;
      while (same < readLength && bytes[this.#at + same] === out[start + same]) same++;
      if (same < readLength || bytes[this.#at + same] !== CLOSE) continue;
      out.copyWithin(this.#to, start, start + writtenLength);
      this.#to += writtenLength;
      this.#at = skipBlanks(bytes, this.#at + same + 1);
      this.#labelsHigh = known.high;
      this.#labelsLow = known.low;
      this.hasBound = known.hasBound;
      this.namesOtherNode = false;
      this.#labelSet = known;
      this.#expected = index + 1;
      return true;
    }
    return false;
  }

  #readLabels(bytes: Uint8Array): boolean {
    const start = this.#to;
    this.#labelsHigh = 0;
    this.#labelsLow = 0;
    this.namesOtherNode = false;
    this.hasBound = false;
    this.#hasNode = false;
    this.#hasCluster = false;
    this.bytes[this.#to++] = OPEN;
    if (!this.#readGivenLabels(bytes)) return false;
    const readLength = this.#to - start - 1;
    if (!this.#hasCluster) this.#write(this.#clusterPair);
    if (!this.#hasNode) this.#write(this.#nodePair);
    // Over the comma behind the last label; there is one at least.
    this.bytes[this.#to - 1] = CLOSE;
    this.bytes[this.#to++] = BLANK;
    this.#labelSet =
      readLength > 0
        ? {
            start,
            readLength,
            writtenLength: this.#to - start,
            high: this.#labelsHigh,
            low: this.#labelsLow,
            hasBound: this.hasBound,
          }
        : undefined;
    return true;
  }

  #readGivenLabels(bytes: Uint8Array): boolean {
    const behindName = this.#at;
    let at = skipBlanks(bytes, behindName);
    if (bytes[at] !== OPEN) {
      this.#at = at;
      return at > behindName;
    }
    at = skipBlanks(bytes, at + 1);
    for (let label = 0; bytes[at] !== CLOSE; label++) {
      if (label === MAX_LABELS) return false;
      this.#at = at;
      if (!this.#readLabel(bytes, label)) return false;
      at = skipBlanks(bytes, this.#at);
      if (bytes[at] === COMMA) at = skipBlanks(bytes, at + 1);
      else if (bytes[at] !== CLOSE) return false;
    }
    this.#at = skipBlanks(bytes, at + 1);
    return true;
  }

  #readLabel(bytes: Uint8Array, label: number): boolean {
    const out = this.bytes;
    const start = this.#at;
    let at = start;
    let to = this.#to;
    let a = 0x2545f491;
    let b = 0x1b873593;

    let byte = bytes[at] ?? 0;
    if (!isLabelStart(byte)) return false;
    while (isLabelByte(byte)) {
      out[to++] = byte;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b, 31) + byte;
      byte = bytes[++at] ?? 0;
    }
    const nameEnd = at;
    at = skipBlanks(bytes, at);
    if (bytes[at] !== EQUALS) return false;
    at = skipBlanks(bytes, at + 1);
    if (bytes[at] !== QUOTE) return false;
    out[to++] = EQUALS;
    out[to++] = QUOTE;
    a = Math.imul(a ^ EQUALS, 0x01000193);

    const valueStart = ++at;
    let seen = 0;
    byte = bytes[at] ?? 0;
    while (byte !== QUOTE) {
      if (byte === NEWLINE) return false;
      if (byte === BACKSLASH) {
        out[to++] = byte;
        a = Math.imul(a ^ byte, 0x01000193);
        byte = bytes[++at] ?? 0;
        if (byte !== BACKSLASH && byte !== QUOTE && byte !== LOWER_N) return false;
      }
      out[to++] = byte;
      seen |= byte;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b, 31) + byte;
      byte = bytes[++at] ?? 0;
    }
    if (seen > LAST_ASCII && !isUtf8(bytes, valueStart, at)) return false;
    if (this.#isSecond(bytes, start, nameEnd, label)) return false;
    this.#at = at + 1;
    // A label without a value is none.
    if (at === valueStart) return true;
    out[to++] = QUOTE;
    out[to++] = COMMA;
    this.#to = to;
    this.#labelsHigh = (this.#labelsHigh + mixed(a)) | 0;
    this.#labelsLow = (this.#labelsLow + mixed(b ^ (a >>> 16))) | 0;
    if (isText(bytes, start, nameEnd, NODE)) {
      this.#hasNode = true;
      this.namesOtherNode = !isText(bytes, valueStart, at, this.#node);
    } else if (isText(bytes, start, nameEnd, CLUSTER_ID)) this.#hasCluster = true;
    else if (isText(bytes, start, nameEnd, LE)) this.hasBound = true;
    return true;
  }

  /** Whether a label before it is called the same. */
  #isSecond(bytes: Uint8Array, start: number, end: number, label: number): boolean {
    const labels = this.#labels;
    for (let other = 0; other < label; other++) {
      let at = labels[other * 2] ?? 0;
      if ((labels[other * 2 + 1] ?? 0) - at !== end - start) continue;
      let same = start;
      while (same < end && bytes[same] === bytes[at]) {
        same++;
        at++;
      }
      if (same === end) return true;
    }
    labels[label * 2] = start;
    labels[label * 2 + 1] = end;
    return false;
  }

  #readValue(bytes: Uint8Array): boolean {
    const start = this.#at;
    let at = start;
    let to = this.#to;
    let isInteger = true;
    for (let byte = bytes[at] ?? 0; byte > BLANK; byte = bytes[++at] ?? 0) {
      this.bytes[to++] = byte;
      isInteger &&= isDigit(byte);
    }
    this.#at = skipBlanks(bytes, at);
    this.#to = to;
    const length = at - start;
    if (isInteger || length > MAX_VALUE_BYTES) return length > 0 && length <= MAX_VALUE_BYTES;
    return VALUE.test(latin1.decode(bytes.subarray(start, at)));
  }

  /** Milliseconds, where there are any. */
  #readTime(bytes: Uint8Array): boolean {
    const start = this.#at;
    let at = start;
    let byte = bytes[at] ?? 0;
    if (byte === NEWLINE) return true;
    let to = this.#to;
    this.bytes[to++] = BLANK;
    while (isDigit(byte) || (byte === MINUS && at === start)) {
      this.bytes[to++] = byte;
      byte = bytes[++at] ?? 0;
    }
    this.#at = skipBlanks(bytes, at);
    this.#to = to;
    return at - start <= MAX_TIME_BYTES && isDigit(bytes[at - 1] ?? 0);
  }

  #write(text: Uint8Array): void {
    const out = this.bytes;
    const to = this.#to;
    for (let i = 0; i < text.length; i++) out[to + i] = text[i] ?? 0;
    this.#to = to + text.length;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.#length));
    this.bytes = larger;
  }
}

/** The labels of a line that is kept, as they were written. */
interface LabelSet {
  /** In the lines written so far. */
  readonly start: number;
  /** Up to what stands for the brace at the end of those that were read; the rest was added. */
  readonly readLength: number;
  readonly writtenLength: number;
  readonly high: number;
  readonly low: number;
  readonly hasBound: boolean;
}

export interface SampleName {
  readonly bytes: Uint8Array;
  readonly hash: number;
}

/** So that sums of hashes that differ in few bits differ in many. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x2c1b3c6d);
  return Math.imul(once ^ (once >>> 12), 0x297a2d39);
}

function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  try {
    utf8.decode(bytes.subarray(start, end));
    return true;
  } catch {
    return false;
  }
}

const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
