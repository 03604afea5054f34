/** The words in which the schema of the configuration is written. */
import * as v from "valibot";
import { DURATION, durationMs } from "./duration.ts";

/** A value of the configuration, as opposed to a section. */
export function setting<const Schema extends v.GenericSchema>(schema: Schema, about: About) {
  return v.pipe(schema, v.description(about.description), v.metadata({ about }));
}

export function section<const Entries extends v.ObjectEntries>(title: string, entries: Entries) {
  return v.pipe(v.strictObject(entries), v.title(title));
}

/** What a setting is called outside the file, and what a person is told about it. */
export interface About {
  readonly description: string;
  /** Ends the sentence "web.max_requests must be …". */
  readonly expected: string;
  /** The same for one item of a list. */
  readonly expectedItem?: string;
  /** The flag without dashes, where it is not the name in the file with `-` for `_`. */
  readonly flag?: string;
  /** Another flag that means the same, not shown in `--help`. */
  readonly otherFlag?: string;
  /** Stands for the value in `--help`. */
  readonly placeholder?: string;
  /** Further variables that are honoured after `PLUMBLINE_…`, in this order. */
  readonly environment?: readonly FurtherVariable[];
  /** What holds if nothing is set and the default is no fixed value. */
  readonly defaultText?: string;
  /** A path that, if relative and from the file, starts at the file's directory. */
  readonly besideFile?: boolean;
  /** The path of a secret's file: a relative one may be the name of a credential of systemd. */
  readonly isCredential?: boolean;
  /** Never shown. */
  readonly secret?: boolean;
}

export interface FurtherVariable {
  readonly name: string;
  /** Takes the setting's value out of the variable's text. */
  readonly take?: (text: string) => string;
  /** Honoured only where the file says nothing. */
  readonly afterFile?: boolean;
}

export const SWITCH = "true or false";
export const SOME_TEXT = "a text that is not empty";
export const FILE = { expected: "the path of a file", placeholder: "file", besideFile: true } as const;
export const MAX_DURATION_MS = 24 * 3_600_000;

/** NUL would end it for the kernel. */
export const text = v.pipe(v.string(), v.regex(/^[^\0]+$/));

/** In ms, from `minimumMs` to a day. */
export function duration(minimumMs: number) {
  return v.pipe(
    v.union([v.pipe(v.string(), v.regex(DURATION)), v.pipe(v.number(), v.minValue(0))]),
    v.transform((written) => durationMs(written) ?? Number.NaN),
    v.check((ms) => ms >= minimumMs && ms <= MAX_DURATION_MS),
  );
}

/** What people write for a switch, in lower case. */
export const SWITCH_WORDS = new Map([
  ...["true", "1", "yes", "on"].map((word) => [word, true] as const),
  ...["false", "0", "no", "off"].map((word) => [word, false] as const),
]);
