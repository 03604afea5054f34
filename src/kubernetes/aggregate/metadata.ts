/**
 * Lines of HELP and TYPE. All exporters of one version have the same, in the same order: what was found out about those
 * of one holds for the next.
 */
import { isText } from "./bytes.ts";

export interface Metadata {
  readonly keyword: "HELP" | "TYPE";
  readonly family: string;
  readonly familyBytes: Uint8Array;
  /** Behind the name. */
  readonly text: string;
}

/** "comment": it says nothing; "unreadable": it says something of no metric, or is not UTF-8. */
export type Comment = Metadata | "comment" | "unreadable";

const METADATA = /^#[ \t]+(HELP|TYPE)[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]+(.*))?$/s;
const LOOKS_LIKE_METADATA = /^#[ \t]+(?:HELP|TYPE)(?:[ \t]|$)/;
/** Lines, and bytes of one, that are remembered. */
const MOST_KNOWN = 2000;
const LONGEST_KNOWN = 1024;

const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class KnownMetadata {
  readonly #known: { readonly line: Uint8Array; readonly comment: Comment }[] = [];

  /** `place`: how many there were before it in the exposition. */
  read(bytes: Uint8Array, start: number, end: number, place: number): Comment {
    const known = this.#known[place];
    if (known !== undefined && isText(bytes, start, end, known.line)) return known.comment;
    const line = bytes.slice(start, end);
    const comment = parse(line);
    if (place < MOST_KNOWN && line.length <= LONGEST_KNOWN) this.#known[place] = { line, comment };
    return comment;
  }
}

function parse(line: Uint8Array): Comment {
  let text: string;
  try {
    text = utf8.decode(line);
  } catch {
    return "unreadable";
  }
  const [, keyword, family, rest = ""] = METADATA.exec(text) ?? [];
  if (family === undefined) return LOOKS_LIKE_METADATA.test(text) ? "unreadable" : "comment";
  return keyword === "HELP"
    ? { keyword, family, familyBytes: encoder.encode(family), text: rest }
    : { keyword: "TYPE", family, familyBytes: encoder.encode(family), text: rest.trim() };
}
