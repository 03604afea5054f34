/** Structural schemas of CustomResourceDefinitions: what is dropped, what is filled in, and what is refused. */
import Ajv, { type ErrorObject, type ValidateFunction } from "ajv";
import type { Cause } from "./failure.ts";
import { at, isMembers, type Members, membersOf } from "./json.ts";

/** Without the members that the schema does not know, and with its defaults. */
export function shaped(value: unknown, schema: unknown): unknown {
  const { properties, additionalProperties, items, ...rest } = membersOf(schema);
  if (Array.isArray(value)) return value.map((item: unknown) => shaped(item, items));
  if (!isMembers(value)) return value;
  const keepsUnknown = rest["x-kubernetes-preserve-unknown-fields"] === true || additionalProperties === true;
  const known = membersOf(properties);
  const result: Members = {};
  for (const [name, member] of Object.entries(value)) {
    const described = known[name] ?? (isMembers(additionalProperties) ? additionalProperties : undefined);
    if (member === null && at(described, "nullable") !== true) continue;
    if (described !== undefined) result[name] = shaped(member, described);
    else if (keepsUnknown) result[name] = member;
  }
  for (const [name, described] of Object.entries(known)) {
    const value = at(described, "default");
    if (!(name in result) && value !== undefined) result[name] = shaped(structuredClone(value), described);
  }
  return result;
}

/** The metadata is not the schema's business. */
export function shapedObject(object: Members, schema: unknown): Members {
  const { apiVersion, kind, metadata, ...rest } = object;
  return { apiVersion, kind, metadata, ...membersOf(shaped(rest, withoutEnvelope(schema))) };
}

function withoutEnvelope(schema: unknown): unknown {
  const { apiVersion, kind, metadata, ...properties } = membersOf(at(schema, "properties"));
  return { ...membersOf(schema), properties };
}

const checks = new WeakMap<object, ValidateFunction>();

/** What is wrong with it, named as the API server does. */
export function problemsOf(object: Members, schema: unknown): readonly Cause[] {
  if (!isMembers(schema)) return [];
  const check = checks.get(schema) ?? compiled(schema);
  checks.set(schema, check);
  const { apiVersion, kind, metadata, ...rest } = object;
  return check(rest) ? [] : (check.errors ?? []).flatMap(causeOf);
}

function compiled(schema: Members): ValidateFunction {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, verbose: true });
  return ajv.compile(membersOf(translated(withoutEnvelope(schema))));
}

/** OpenAPI's words in those of JSON schema. */
function translated(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(translated);
  if (!isMembers(schema)) return schema;
  const { nullable, ...inner } = Object.fromEntries(
    Object.entries(schema).map(([word, value]) => [
      word,
      word === "enum" || word === "default" ? value : translated(value),
    ]),
  );
  if (schema["x-kubernetes-int-or-string"] === true) return { ...inner, type: ["integer", "string"] };
  if (nullable === true && typeof inner["type"] === "string")
    return { ...inner, type: [inner["type"], "null"] };
  return inner;
}

function causeOf(error: ErrorObject): readonly Cause[] {
  if (error.keyword === "if") return [];
  const missing = error.keyword === "required" ? String(error.params["missingProperty"]) : undefined;
  const path = fieldOf(error.instancePath);
  const field = missing === undefined ? path : [path, missing].filter((part) => part !== "").join(".");
  if (missing !== undefined) return [{ reason: "FieldValueRequired", message: "Required value", field }];
  const value = JSON.stringify(error.data);
  if (error.keyword === "enum") {
    const allowed: unknown = error.params["allowedValues"];
    const list = Array.isArray(allowed) ? allowed.map((one: unknown) => JSON.stringify(one)).join(", ") : "";
    return [
      {
        reason: "FieldValueNotSupported",
        message: `Unsupported value: ${value}: supported values: ${list}`,
        field,
      },
    ];
  }
  const reason = error.keyword === "type" ? "FieldValueTypeInvalid" : "FieldValueInvalid";
  return [
    { reason, message: `Invalid value: ${value}: ${field} in body ${error.message ?? "is wrong"}`, field },
  ];
}

/** "/spec/tolerations/0/operator" → "spec.tolerations[0].operator" */
const fieldOf = (pointer: string): string =>
  pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part, index) => (/^\d+$/.test(part) ? `[${part}]` : `${index === 0 ? "" : "."}${part}`))
    .join("");
