/**
 * The lists of all resources are read alike: each entry against one schema, and an odd one costs itself alone. Numbers
 * and words of an enumeration cost less: a number that is none its series, a word that is new a count.
 */
import * as v from "valibot";
import { StateLabel } from "../metrics/states.ts";
import { RestFailure } from "../rest/failure.ts";
import type { EnumField, Tally } from "./model.ts";

/** Those of a list that are as the schema says, each id once. */
export function decodeList<Entry>(
  json: unknown,
  schema: v.GenericSchema<unknown, Entry>,
  idOf: (entry: Entry) => string,
  tally: Tally,
): Entry[] {
  return unique(validEntries(json, schema, tally), idOf, tally);
}

/** Throws RestFailure: `bad_body` where this is no list, `too_large` where it is longer than any can be. */
export function validEntries<Entry>(
  json: unknown,
  schema: v.GenericSchema<unknown, Entry>,
  tally: Tally,
): Entry[] {
  if (!Array.isArray(json)) throw badBody("the answer is no list");
  tally.count(json.length);
  const entries: Entry[] = [];
  for (const element of json) {
    const { success, output } = v.safeParse(schema, element, { abortEarly: true });
    if (success) entries.push(output);
    else tally.skip("malformed");
  }
  return entries;
}

/** Only what came with status 200 is read at all. */
export const badBody = (message: string): RestFailure =>
  new RestFailure("bad_body", message, { status: 200 });

/** Of several with one id, the first by JSON text: the service gives its lists in any order. */
export function unique<Entry>(
  entries: Iterable<Entry>,
  idOf: (entry: Entry) => string,
  tally: Tally,
): Entry[] {
  const byId = new Map<string, Entry>();
  for (const entry of entries) {
    const id = idOf(entry);
    const known = byId.get(id);
    if (known !== undefined) tally.skip("duplicate");
    if (known === undefined || JSON.stringify(entry) < JSON.stringify(known)) byId.set(id, entry);
  }
  return [...byId.values()];
}

/** In the order in which the exposition has its series: then nothing is sorted twice. */
export const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

const MAX_LABEL_BYTES = 1024;

/** Text that becomes a label. */
export const LabelText = v.custom<string>(isLabelText);
export const Id = v.custom<string>((value) => value !== "" && isLabelText(value));

/** A number of bytes or things; NaN where it is none. */
export const Quantity = v.nullish(v.fallback(v.custom<number>(isQuantity), Number.NaN));
export const Percentage = v.nullish(
  v.fallback(v.pipe(v.custom<number>(isQuantity), v.maxValue(100)), Number.NaN),
);

/** The quantity, or undefined where there is none to export. */
export function quantity(value: number | null | undefined, tally: Tally): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (Number.isNaN(value)) {
    tally.skip("malformed");
    return undefined;
  }
  // JSON knows -0.
  return value + 0;
}

/** UTF-8 takes at most 3 bytes for a UTF-16 unit. */
function isLabelText(value: unknown): boolean {
  if (typeof value !== "string" || value.length > MAX_LABEL_BYTES) return false;
  const fits = value.length * 3 <= MAX_LABEL_BYTES || Buffer.byteLength(value) <= MAX_LABEL_BYTES;
  return fits && value.isWellFormed();
}

function isQuantity(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

/** As `v.record` by id, which takes a list for an object too. */
export const recordOf = <Schema extends v.GenericSchema>(schema: Schema) =>
  v.pipe(
    v.custom<object>((value) => !Array.isArray(value)),
    v.record(Id, schema),
  );

/** What a word of the API is called in a label; undefined, and counted, where it is none that is known. */
export function stateOf<State>(
  states: ReadonlyMap<string, State>,
  word: string,
  field: EnumField,
  tally: Tally,
): State | undefined {
  const state = states.get(word);
  if (state === undefined) tally.unknown(field);
  return state;
}

export type Health = "online" | "degraded" | "faulted" | "unknown";

/** `ReplicaState` and `ChildState` of the API. */
export const HEALTH_WORDS: ReadonlyMap<string, Health> = new Map([
  ["Online", "online"],
  ["Degraded", "degraded"],
  ["Faulted", "faulted"],
  ["Unknown", "unknown"],
]);

export const HEALTHS = new StateLabel("status", [...HEALTH_WORDS.values()]);
