/** Holds a file against the schema and says what is wrong with it, in the file's order. */
import * as v from "valibot";
import { aboutOf, choicesOf, entriesOf, itemOf, namedValueOf } from "./catalogue.ts";
import type { Problem } from "./error.ts";
import { type ConfigFile, type Path, pathText } from "./file.ts";
import { nearest } from "./nearest.ts";
import type { About } from "./setting.ts";

/** None if the file is right. */
export function fileProblems(file: ConfigFile, schema: v.GenericSchema): Problem[] {
  return inOrder([...problemsAt(file.value ?? {}, schema, [], file)]);
}

/** As they stand in the file. */
export function inOrder(problems: readonly Problem[]): Problem[] {
  const order = (problem: Problem) => (problem.line ?? 0) * 1e6 + (problem.column ?? 0);
  return problems.toSorted((a, b) => order(a) - order(b));
}

/** Those of the part of the file that `schema` describes. */
export function* problemsAt(
  value: unknown,
  schema: v.GenericSchema,
  path: Path,
  file: ConfigFile,
): Generator<Problem> {
  const place = file.place(path);
  const about = aboutOf(schema);
  if (about !== undefined) {
    yield* settingProblems(value, schema, about, path, file);
    return;
  }
  const choices = choicesOf(schema);
  if (choices !== undefined) {
    const [first] = choices;
    const meant = choices.find((choice) => (entriesOf(choice) !== undefined) === isMapping(value)) ?? first;
    if (meant !== undefined) yield* problemsAt(value, meant, path, file);
    return;
  }
  const entries = entriesOf(schema);
  const eachValue = namedValueOf(schema);
  if (entries !== undefined || eachValue !== undefined) {
    if (!isMapping(value)) {
      yield {
        text: `${pathText(path)} must be a mapping of keys to values; it is ${shown(value)}`,
        ...place,
      };
      return;
    }
    for (const [key, inner] of Object.entries(value)) {
      const entry = entries !== undefined && Object.hasOwn(entries, key) ? entries[key] : eachValue;
      if (entry === undefined)
        yield { text: unknownKey(key, path, Object.keys(entries ?? {})), ...file.place([...path, key]) };
      else yield* problemsAt(inner, entry, [...path, key], file);
    }
    const missing = Object.entries(entries ?? {}).filter(
      ([key, { type }]) => type !== "optional" && !Object.hasOwn(value, key),
    );
    if (missing.length > 0)
      yield {
        text: `${pathText(path)} lacks ${missing.map(([key]) => `\`${key}\``).join(" and ")}`,
        ...place,
      };
    return;
  }
  const item = itemOf(schema);
  if (item === undefined)
    throw new Error(`${pathText(path)} has a schema that is neither setting nor section nor list`);
  if (Array.isArray(value)) {
    for (const [index, inner] of value.entries()) yield* problemsAt(inner, item, [...path, index], file);
  } else {
    yield { text: `${pathText(path)} must be a list; it is ${shown(value)}`, ...place };
  }
}

function* settingProblems(
  value: unknown,
  schema: v.GenericSchema,
  about: About,
  path: Path,
  file: ConfigFile,
): Generator<Problem> {
  const wrong = wrongPart(schema, about, value);
  if (wrong === undefined) return;
  const at = wrong.index === undefined ? path : [...path, wrong.index];
  yield { text: mustBe(pathText(at), about, wrong), ...file.place(at) };
}

interface WrongPart {
  readonly value: unknown;
  readonly expected: string;
  /** Where it stands in a list of which only this item is wrong. */
  readonly index?: number;
}

/** Undefined if the value fits. */
export function wrongPart(schema: v.GenericSchema, about: About, value: unknown): WrongPart | undefined {
  if (v.safeParse(schema, value).success) return undefined;
  const item = itemOf(schema);
  if (item !== undefined && Array.isArray(value)) {
    const index = value.findIndex((inner) => !v.safeParse(item, inner).success);
    if (index !== -1) return { value: value[index], expected: about.expectedItem ?? about.expected, index };
  }
  return { value, expected: about.expected };
}

/** `--web.max-requests must be a whole number, 0 or more; it is "many"` */
export function mustBe(subject: string, about: About, wrong: WrongPart): string {
  return `${subject} must be ${wrong.expected}; it is ${about.secret ? "<set>" : shown(wrong.value)}`;
}

function unknownKey(key: string, path: Path, known: readonly string[]): string {
  const where = path.length === 0 ? "" : ` in ${pathText(path)}`;
  const meant = nearest(key, known);
  const help = meant === undefined ? `known are ${known.join(", ")}` : `did you mean \`${meant}\`?`;
  return `unknown key \`${oneLine(key)}\`${where}; ${help}`;
}

const isMapping = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const MAX_SHOWN = 60;

function shown(value: unknown): string {
  if (value === undefined) return "empty";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  return oneLine(typeof value === "string" ? JSON.stringify(withoutCredentials(value)) : String(value));
}

/** An address that is refused for its password, or for a token in its query, is shown without them. */
const withoutCredentials = (text: string): string =>
  text.replace(/^(\w+:[/\\]+|(?=.*:)).*@/s, "$1<set>@").replace(/^(\w+:[/\\]+[^?#]*)[?#].*$/s, "$1?<set>");

function oneLine(text: string): string {
  const printable = text.replace(/\p{Cc}/gu, "\ufffd");
  return printable.length > MAX_SHOWN ? `${printable.slice(0, MAX_SHOWN)}…` : printable;
}
