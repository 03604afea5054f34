import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { CRD_FILE, crdYaml, specSchema } from "../../../.ci/crd.ts";
import { NOT_IN_CONFIG } from "../../../src/kubernetes/resource/spec-schema.ts";
import { wrongValues } from "./wrong-fields.ts";

test("the CRD is what `bun run docs` writes", () => {
  expect(readFileSync(CRD_FILE, "utf8")).toBe(crdYaml());
});

interface Node {
  readonly path: string;
  readonly words: Readonly<Record<string, unknown>>;
}

const NODE = v.record(v.string(), v.unknown());
const PARTS = v.object({
  properties: v.optional(v.record(v.string(), NODE), {}),
  items: v.optional(NODE),
  additionalProperties: v.optional(NODE),
});

/** By paths as they stand in an object. */
function nodes(words: Readonly<Record<string, unknown>>, path: string): Node[] {
  const { properties, items, additionalProperties } = v.parse(PARTS, words);
  return [
    { path, words },
    ...Object.entries(properties).flatMap(([key, inner]) => nodes(inner, `${path}.${key}`)),
    ...(items === undefined ? [] : nodes(items, `${path}[0]`)),
    ...(additionalProperties === undefined ? [] : nodes(additionalProperties, `${path}.any`)),
  ];
}

const ALL = nodes(specSchema(), "spec");
const PATHS = new Set(ALL.map(({ path }) => path));

describe("the schema in the CRD", () => {
  test("is structural: each field has one type, or says in Kubernetes' words why it has none", () => {
    const types = ["object", "array", "string", "integer", "number", "boolean"];
    const untyped = ALL.filter(
      ({ words }) =>
        !types.some((type) => type === words["type"]) &&
        !words["x-kubernetes-int-or-string"] &&
        !words["x-kubernetes-preserve-unknown-fields"],
    );
    expect(untyped.map(({ path }) => path)).toEqual([]);
  });

  test("has no word that Kubernetes does not know", () => {
    const known = [
      ...["type", "description", "default", "enum", "pattern", "format", "required", "items", "properties"],
      ...["minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "additionalProperties"],
      ...["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"],
    ];
    const others = ALL.flatMap(({ words }) => Object.keys(words).filter((word) => !known.includes(word)));
    expect(others).toEqual([]);
  });

  test("describes every field", () => {
    const isItem = (path: string) => path.endsWith("]");
    const silent = ALL.filter(({ path, words }) => !isItem(path) && !words["description"]);
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  test("has each field of the spec, but for those that a Plumbline cannot have", () => {
    const absent = NOT_IN_CONFIG.map(([path]) => `spec.config.${path.replace("[]", "[0]")}`);
    const isLeft = (path: string) => absent.some((one) => path === one || path.startsWith(`${one}.`));
    // What may be a switch or a mapping is left to the operator.
    const isInside = (path: string) => /\.collectors\.(physical-disks|config)\./.test(path);
    const missing = wrongValues().filter(({ path }) => !PATHS.has(path) && !isLeft(path) && !isInside(path));
    expect(missing.map(({ path }) => path)).toEqual([]);
    expect([...PATHS].filter(isLeft)).toEqual([]);
  });

  test("has patterns that Go can read", () => {
    const patterns = ALL.flatMap(({ words }) =>
      typeof words["pattern"] === "string" ? [words["pattern"]] : [],
    );
    expect(patterns.length).toBeGreaterThan(0);
    expect(patterns.filter((pattern) => /\(\?(?!:)/.test(pattern))).toEqual([]);
  });

  test("fills sections of the configuration only where somebody wrote them", () => {
    const filled = ALL.filter(
      ({ path, words }) => path.startsWith("spec.config") && words["type"] === "object",
    );
    expect(filled.filter(({ words }) => "default" in words).map(({ path }) => path)).toEqual([]);
  });
});
