/**
 * Writes exposition lines as bytes into one growing buffer. Hundreds of thousands of lines go through here in a
 * scrape; bytes are cheaper than joined strings, and the escape comes with the copy.
 */
import { valueText } from "./number-text.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const LAST_ASCII = 0x7f;

/** UTF-8 takes at most 3 bytes for a UTF-16 unit, an escaped character 2. */
const MOST_BYTES_PER_UNIT = 3;

const LARGEST_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

const encoder = new TextEncoder();

export class LineWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  #view: DataView;

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes);
    this.#view = new DataView(this.#bytes.buffer);
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
    // Four bytes at a time; what goes too far at the end is written over by what follows.
    this.#reserve(length + 4);
    const view = this.#view;
    const at = this.#length;
    for (let i = 0; i < length; i += 4) view.setInt32(at + i, view.getInt32(start + i));
    this.#length = at + length;
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

  /** A sample's value as `valueText` writes it, without a string in between where it is short. */
  value(value: number | bigint): void {
    if (typeof value === "bigint") {
      if (value >= 0n && value <= LARGEST_SAFE) this.#integer(Number(value));
      else this.ascii(valueText(value));
      return;
    }
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.#integer(value);
      return;
    }
    // A decimal of so few digits that gives the number again is also the shortest that does.
    const thousandths = value * 1000;
    if ((thousandths | 0) === thousandths && thousandths !== 0 && thousandths / 1000 === value)
      this.#thousandths(thousandths);
    else this.ascii(valueText(value));
  }

  /** A safe integer. */
  #integer(value: number): void {
    this.#reserve(20);
    let rest = value;
    if (rest < 0) {
      this.#bytes[this.#length++] = MINUS;
      rest = -rest;
    }
    // Arithmetic with 32 bits is cheaper: nine digits at a time.
    if (rest < 1e9) {
      this.#digits(rest, digitsOf(rest));
      return;
    }
    const high = Math.floor(rest / 1e9);
    this.#digits(high, digitsOf(high));
    this.#digits(rest - high * 1e9, 9);
  }

  /** `thousandths` / 1000, where that is no integer. */
  #thousandths(thousandths: number): void {
    this.#reserve(20);
    let rest = thousandths;
    if (rest < 0) {
      this.#bytes[this.#length++] = MINUS;
      rest = -rest;
    }
    const whole = Math.trunc(rest / 1000);
    const fraction = rest - whole * 1000;
    this.#digits(whole, digitsOf(whole));
    this.#bytes[this.#length++] = POINT;
    this.#digits(fraction, 3);
    while (this.#bytes[this.#length - 1] === ZERO) this.#length--;
  }

  /** The last `count` digits of an integer below 2^31. There must be room for them. */
  #digits(integer: number, count: number): void {
    const bytes = this.#bytes;
    let rest = integer | 0;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      const next = (rest / 10) | 0;
      bytes[at] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.#length += count;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
    this.#view = new DataView(this.#bytes.buffer);
  }
}

function digitsOf(integer: number): number {
  let digits = 1;
  for (let power = 10; power <= integer; power *= 10) digits++;
  return digits;
}
