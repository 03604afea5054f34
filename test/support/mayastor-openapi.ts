/** Our description of Mayastor's API, to hold answers against. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv";
import { parse } from "yaml";

const FILE = join(import.meta.dir, "../../fixtures/mayastor/openapi.yaml");

/** The paths that are described, `/nodes/{id}`. */
export const PATHS: readonly string[] = Object.keys(parse(readFileSync(FILE, "utf8")).paths);

/** What is wrong with the body of an answer to a GET of a described path; a member that is not described is, too. */
export function errorsOf(path: string, status: number, body: unknown): string[] {
  const response =
    status < 400
      ? ["paths", path, "get", "responses", String(status)]
      : ["components", "responses", status < 500 ? "ClientError" : "ServerError"];
  const pointer = [...response, "content", "application/json", "schema"].map(escaped).join("/");
  const validate = ajv.compile({ $ref: `openapi#/${pointer}` });
  validate(body);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`);
}

const escaped = (key: string) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"));

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const ajv = new Ajv({ strict: false, allErrors: true })
  .addFormat("uuid", UUID)
  .addFormat("int32", { type: "number", validate: (value) => value < 2 ** 31 })
  .addFormat("int64", { type: "number", validate: (value) => value < 2 ** 63 })
  .addFormat("uint8", { type: "number", validate: (value) => value < 2 ** 8 })
  .addSchema(closed(parse(readFileSync(FILE, "utf8"))), "openapi");

/** Each described object with the members that it has, and no others. */
function closed<Value>(value: Value): Value {
  if (Array.isArray(value)) value.forEach(closed);
  else if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(closed);
    if ("type" in value && value.type === "object" && "properties" in value)
      Object.assign(value, { additionalProperties: false });
  }
  return value;
}
