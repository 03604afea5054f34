/** Every field of a Plumbline's spec, each once with a value that cannot be right: made from the schema, so none is left out. */
import * as v from "valibot";
import { aboutOf, choicesOf, entriesOf, itemOf, namedValueOf } from "../../../src/config/catalogue.ts";
import { type Path, pathText } from "../../../src/config/file.ts";
import { SPEC } from "../../../src/kubernetes/resource/spec-schema.ts";

export interface WrongField {
  /** `spec.config.pve.targets[0].name`. */
  readonly path: string;
  /** A spec in which nothing but that is written. */
  readonly spec: unknown;
  readonly schema: v.GenericSchema;
}

/** Fields that hold a value, and the items of those that hold several. */
export const wrongValues = (): WrongField[] => fields(SPEC, []).flatMap(wrong);

/** The same with a mapping in the place of the value. */
export const mappings = (): WrongField[] =>
  fields(SPEC, []).map(([path, schema]) => field(path, { no: "such" }, schema));

/** Members of sections, lists and mappings, and the whole spec. */
export const wrongSections = (): WrongField[] =>
  sections(SPEC, []).map(([path, schema]) => field(path, "no such thing", schema));

/** A member that does not exist, in each section. */
export const unknownMembers = (): WrongField[] =>
  sections(SPEC, [])
    .filter(([, schema]) => entriesOf(schema) !== undefined)
    .map(([path, schema]) => field([...path, "nosuch"], 1, schema));

type Place = readonly [path: Path, schema: v.GenericSchema];

function fields(schema: v.GenericSchema, path: Path): Place[] {
  return aboutOf(schema) === undefined
    ? below(schema, path).flatMap(([p, s]) => fields(s, p))
    : [[path, schema]];
}

function sections(schema: v.GenericSchema, path: Path): Place[] {
  if (aboutOf(schema) !== undefined) return [];
  const own: Place[] = choicesOf(schema) === undefined ? [[path, schema]] : [];
  return [...own, ...below(schema, path).flatMap(([p, s]) => sections(s, p))];
}

function below(schema: v.GenericSchema, path: Path): Place[] {
  const [item, value] = [itemOf(schema), namedValueOf(schema)];
  return [
    ...Object.entries(entriesOf(schema) ?? {}).map(([key, entry]): Place => [[...path, key], entry]),
    ...(item === undefined ? [] : [[[...path, 0], item] as const]),
    ...(value === undefined ? [] : [[[...path, "any"], value] as const]),
    ...(choicesOf(schema) ?? []).map((choice): Place => [path, choice]),
  ];
}

/** The worst that its schema refuses; of a list also an item. */
function wrong([path, schema]: Place): WrongField[] {
  const item = itemOf(schema);
  const refused = (of: v.GenericSchema) => {
    const value = CANDIDATES.find((candidate) => !v.is(of, candidate));
    if (value === undefined) throw new Error(`${pathText(path)} takes anything`);
    return value;
  };
  return [
    field(path, refused(schema), schema),
    ...(item === undefined ? [] : [field([...path, 0], refused(item), item)]),
  ];
}

const CANDIDATES: readonly unknown[] = ["a \0 b", "", { no: "such" }, true];

const field = (path: Path, value: unknown, schema: v.GenericSchema): WrongField => ({
  path: pathText(["spec", ...path]),
  spec: path.reduceRight<unknown>(
    (inner, key) => (typeof key === "number" ? [inner] : { [key]: inner }),
    value,
  ),
  schema,
});
