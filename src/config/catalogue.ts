/** The settings one by one, as flags, variables, help and reference need them: all of it read from the schema. */
import * as v from "valibot";
import { CONFIG_FILE, configSchema } from "./schema.ts";
import type { About, FurtherVariable } from "./setting.ts";

export interface Setting {
  /** Where it stands in the file; empty for `config.file`, which cannot stand there. */
  readonly path: readonly string[];
  /** As in the file, `web.telemetry_path`. */
  readonly name: string;
  /** Heading of the section it belongs to. */
  readonly section: string;
  /** Without dashes. */
  readonly flag: string;
  /** In the order in which they are honoured; the first is `PLUMBLINE_…`. */
  readonly variables: readonly FurtherVariable[];
  readonly about: About;
  /** A switch takes no value on the command line, a list may be repeated. */
  readonly kind: "switch" | "number" | "list" | "text";
  /** As it could stand in the file; undefined if the setting has no fixed default. */
  readonly fallback: unknown;
  readonly schema: v.GenericSchema;
}

export type Schema = ReturnType<typeof configSchema>;

export interface Catalogue {
  readonly schema: Schema;
  /** `config.file` first, then in the order of the schema. */
  readonly settings: readonly Setting[];
}

/** `collectors`: the names of all collectors that exist. */
export function catalogue(collectors: readonly string[]): Catalogue {
  const schema = configSchema(collectors);
  const file = describe(CONFIG_FILE, [], "General");
  return { schema, settings: [...(file === undefined ? [] : [file]), ...collect(schema, [], "General")] };
}

/** What may stand in an object of the schema; undefined if the schema is no object. */
export function entriesOf(schema: v.GenericSchema): Readonly<Record<string, v.GenericSchema>> | undefined {
  const inner = unwrap(schema);
  return v.is(OBJECT_SCHEMA, inner) ? inner.entries : undefined;
}

/** What each item of a list must be; undefined if the schema is no list. */
export function itemOf(schema: v.GenericSchema): v.GenericSchema | undefined {
  const inner = unwrap(schema);
  return v.is(ARRAY_SCHEMA, inner) ? inner.item : undefined;
}

/** What each value of a mapping with keys of any name must be; undefined if the schema is no such mapping. */
export function namedValueOf(schema: v.GenericSchema): v.GenericSchema | undefined {
  const inner = unwrap(schema);
  return v.is(RECORD_SCHEMA, inner) ? inner.value : undefined;
}

/** What a value may be instead, where it may be a setting or a section; undefined where it has no such choice. */
export function choicesOf(schema: v.GenericSchema): readonly v.GenericSchema[] | undefined {
  const inner = unwrap(schema);
  return aboutOf(schema) === undefined && v.is(UNION_SCHEMA, inner) ? inner.options : undefined;
}

/** Undefined if the schema is a section or a list of sections and no setting. */
export function aboutOf(schema: v.GenericSchema): About | undefined {
  const { about } = v.getMetadata(withoutOptional(schema));
  return isAbout(about) ? about : undefined;
}

function collect(schema: v.GenericSchema, path: readonly string[], section: string): Setting[] {
  const setting = describe(schema, path, section);
  if (setting !== undefined) return [setting];
  const title = v.getTitle(withoutOptional(schema)) ?? section;
  return Object.entries(entriesOf(schema) ?? {}).flatMap(([key, entry]) =>
    collect(entry, [...path, key], title),
  );
}

function describe(schema: v.GenericSchema, path: readonly string[], section: string): Setting | undefined {
  const about = aboutOf(schema);
  if (about === undefined) return undefined;
  const flag = about.flag ?? path.join(".").replaceAll("_", "-");
  return {
    path,
    name: path.length === 0 ? flag : path.join("."),
    section,
    flag,
    variables: [{ name: variableOf(flag) }, ...(about.environment ?? [])],
    about,
    kind: KINDS[unwrap(schema).type] ?? "text",
    fallback: v.getDefault(schema),
    schema: withoutOptional(schema),
  };
}

const KINDS: Readonly<Record<string, Setting["kind"]>> = {
  boolean: "switch",
  number: "number",
  array: "list",
};

const variableOf = (flag: string) => `PLUMBLINE_${flag.toUpperCase().replaceAll(/[.-]/g, "_")}`;

/** `optional(…)` holds the default; title, description and metadata belong to what it wraps. */
function withoutOptional(schema: v.GenericSchema): v.GenericSchema {
  return schema.type === "optional" && v.is(WRAPPER, schema) ? schema.wrapped : schema;
}

/** The first schema of a pipe says what kind of value it is. */
function unwrap(schema: v.GenericSchema): v.GenericSchema {
  const inner = withoutOptional(schema);
  if (!v.is(PIPE, inner)) return inner;
  return inner.pipe[0] === inner ? inner : unwrap(inner.pipe[0]);
}

const isAbout = (about: unknown): about is About => v.is(ABOUT, about);
const isSchema = (value: unknown): value is v.GenericSchema => v.is(SCHEMA, value);

const ABOUT = v.looseObject({ description: v.string(), expected: v.string() });
const SCHEMA = v.looseObject({ kind: v.literal("schema"), type: v.string() });
const ANY_SCHEMA = v.custom<v.GenericSchema>(isSchema);
const WRAPPER = v.looseObject({ wrapped: ANY_SCHEMA });
const PIPE = v.looseObject({ pipe: v.looseTuple([ANY_SCHEMA]) });
const ARRAY_SCHEMA = v.looseObject({ type: v.literal("array"), item: ANY_SCHEMA });
const RECORD_SCHEMA = v.looseObject({ type: v.literal("record"), value: ANY_SCHEMA });
const UNION_SCHEMA = v.looseObject({ type: v.literal("union"), options: v.array(ANY_SCHEMA) });
const OBJECT_SCHEMA = v.looseObject({
  type: v.literal("strict_object"),
  entries: v.record(v.string(), ANY_SCHEMA),
});
