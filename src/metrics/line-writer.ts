/**
 * Writes exposition lines as bytes into one growing buffer. Hundreds of thousands of lines go through here in a
 * scrape; bytes are cheaper than joined strings, and the escape comes with the copy.
 */
import { valueText } from "./number-text.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const MINUS = 0x2d;
const ZERO = 0x30;
const LAST_ASCII = 0x7f;

/** UTF-8 takes at most 3 bytes for a UTF-16 unit, an escaped character 2. */
const MOST_BYTES_PER_UNIT = 3;

const encoder = new TextEncoder();

export class LineWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Takes back everything from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** What has been written; the writer is used up. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Repeats what stands at `start`, `length` bytes of it. */
  repeat(start: number, length: number): void {
    this.#reserve(length);
    this.#bytes.copyWithin(this.#length, start, start + length);
    this.#length += length;
  }

  /** Text that is known to be ASCII and to need no escape. */
  ascii(text: string): void {
    this.#reserve(text.length);
    const bytes = this.#bytes;
    const at = this.#length;
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
    this.#length = at + text.length;
  }

  /** Any text, as it is. */
  text(text: string): void {
    this.#reserve(text.length * MOST_BYTES_PER_UNIT);
    this.#length += encoder.encodeInto(text, this.#bytes.subarray(this.#length)).written;
  }

  /** A label value with `\`, `"` and newline escaped. False: it holds a lone surrogate, and nothing was written. */
  labelValue(value: string): boolean {
    this.#reserve(value.length * MOST_BYTES_PER_UNIT);
    const bytes = this.#bytes;
    const at = this.#length;
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i);
      if (unit > LAST_ASCII || unit === QUOTE || unit === BACKSLASH || unit === NEWLINE) {
        if (!value.isWellFormed()) return false;
        this.text(value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"'));
        return true;
      }
      bytes[at + i] = unit;
    }
    this.#length = at + value.length;
    return true;
  }

  /** A sample's value in the shortest digits that give the same number again; all digits of a bigint. */
  value(value: number | bigint): void {
    if (typeof value === "number" && (value | 0) === value && (value !== 0 || 1 / value > 0))
      this.#integer(value);
    else this.ascii(valueText(value));
  }

  /** A 32-bit integer. */
  #integer(value: number): void {
    this.#reserve(11);
    const bytes = this.#bytes;
    let rest = value;
    if (rest < 0) {
      bytes[this.#length++] = MINUS;
      rest = -rest;
    }
    let digits = 1;
    for (let power = 10; power <= rest; power *= 10) digits++;
    for (let at = this.#length + digits - 1; at >= this.#length; at--) {
      const next = Math.trunc(rest / 10);
      bytes[at] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.#length += digits;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
