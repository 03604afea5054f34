/** The answer to a GET of HTTP/1.1, read while it comes (RFC 9112). */
import { AskFailure } from "./failure.ts";

export interface AnswerHead {
  readonly status: number;
  /** By names in lower case; of several with one name the first. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Gets the body's pieces; what it throws ends the exchange. */
export type Receive = (piece: Uint8Array) => void;

/** With what comes before it, as 103 Early Hints; also of what stands behind the last chunk. */
const MAX_HEAD_BYTES = 16 * 1024;

const LF = 0x0a;

const latin1 = new TextDecoder("latin1");

const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: |$)/;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;
const LENGTH = /^\d{1,15}$/;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/;

/** What the next bytes are. */
type State = "head" | "sized" | "unsized" | "chunk size" | "chunk" | "chunk end" | "trailer" | "done";

export class HttpAnswer {
  readonly #onHead: (head: AnswerHead) => Receive;
  #receive: Receive = () => {};
  #state: State = "head";
  /** Of the body, or of the chunk. */
  #left = 0;
  /** The lines of the head that have come. */
  readonly #head: string[] = [];
  /** The part of a line that has come. */
  #text = "";
  /** Since the last piece of the body. */
  #textBytes = 0;
  #begun = false;
  #keeps = false;

  constructor(onHead: (head: AnswerHead) => Receive) {
    this.#onHead = onHead;
  }

  /** Whether anything of it has come. */
  get hasBegun(): boolean {
    return this.#begun;
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Whether the connection may be used again, once the answer is done. */
  get keepsConnection(): boolean {
    return this.#keeps;
  }

  /** Throws AskFailure("http") where it is none. */
  push(bytes: Uint8Array): void {
    this.#begun = true;
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case "sized":
          at = this.#pass(bytes, at, "done");
          break;
        case "chunk":
          at = this.#pass(bytes, at, "chunk end");
          break;
        case "unsized":
          this.#receive(at === 0 ? bytes : bytes.subarray(at));
          at = bytes.length;
          break;
        case "done":
          // Nobody asked for more: whatever comes next on this connection is not to be trusted.
          this.#keeps = false;
          return;
        default:
          at = this.#readLine(bytes, at);
      }
    }
  }

  /** Whether it is complete where the connection is closed now. */
  get endsHere(): boolean {
    return this.#state === "unsized";
  }

  #pass(bytes: Uint8Array, at: number, next: State): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = next;
    this.#receive(bytes.subarray(at, end));
    return end;
  }

  #enterBody(): void {
    const [statusLine = "", ...lines] = this.#head.splice(0);
    const [, minor, code] = STATUS_LINE.exec(statusLine) ?? [];
    if (code === undefined) throw notHttp("it does not begin as one");
    const status = Number(code);
    // What comes before the answer, as 103 Early Hints.
    if (status < 200 && status !== 101) return;
    this.#textBytes = 0;
    const headers = headersOf(lines);
    const options = (headers.get("connection") ?? "").toLowerCase();
    this.#keeps = minor === "1" && !options.includes("close");
    this.#receive = this.#onHead({ status, headers });
    const length = headers.get("content-length");
    if (status === 204 || status === 304) this.#state = "done";
    else if (headers.has("transfer-encoding")) {
      if (headers.get("transfer-encoding")?.toLowerCase() !== "chunked")
        throw notHttp("its coding is unknown");
      this.#keeps &&= length === undefined;
      this.#state = "chunk size";
    } else if (length === undefined) {
      this.#keeps = false;
      this.#state = "unsized";
    } else {
      if (!LENGTH.test(length)) throw notHttp("its length is no number");
      this.#left = Number(length);
      this.#state = this.#left === 0 ? "done" : "sized";
    }
  }

  /** A line of the head, one between chunks, or one behind the last of them. */
  #readLine(bytes: Uint8Array, start: number): number {
    const newline = bytes.indexOf(LF, start);
    const end = newline < 0 ? bytes.length : newline;
    this.#textBytes += end - start;
    if (this.#textBytes > MAX_HEAD_BYTES) throw notHttp("its head is too large");
    this.#text += latin1.decode(bytes.subarray(start, end));
    if (newline < 0) return end;
    const line = this.#text.endsWith("\r") ? this.#text.slice(0, -1) : this.#text;
    this.#text = "";
    this.#enterLine(line);
    return end + 1;
  }

  #enterLine(line: string): void {
    switch (this.#state) {
      case "head":
        if (line !== "") this.#head.push(line);
        else this.#enterBody();
        return;
      case "chunk end":
        if (line !== "") throw notHttp("its chunks are none");
        this.#state = "chunk size";
        return;
      case "chunk size": {
        const [, size] = CHUNK_SIZE.exec(line) ?? [];
        if (size === undefined) throw notHttp("its chunks are none");
        this.#left = Number.parseInt(size, 16);
        this.#state = this.#left === 0 ? "trailer" : "chunk";
        this.#textBytes = 0;
        return;
      }
      default:
        if (line === "") this.#state = "done";
    }
  }
}

function headersOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value = ""] = HEADER.exec(line) ?? [];
    if (name === undefined) throw notHttp("it has a header that is none");
    const key = name.toLowerCase();
    const known = headers.get(key);
    if (key === "content-length" && known !== undefined && known !== value)
      throw notHttp("it has two lengths");
    if (known === undefined) headers.set(key, value);
  }
  return headers;
}

const notHttp = (why: string): AskFailure => new AskFailure("http", `its answer is not HTTP: ${why}`);
