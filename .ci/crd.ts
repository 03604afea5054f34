/** Writes the CRD of `Plumbline` from the schema of its spec: `bun run docs`. A test compares it with what stands there. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { stringify } from "yaml";
import { aboutOf } from "../src/config/catalogue.ts";
import { PLUMBLINE } from "../src/kubernetes/object.ts";
import { MAX_NAME_LENGTH, NOT_IN_CONFIG, SPEC } from "../src/kubernetes/resource/spec-schema.ts";

export const CRD_FILE = join(import.meta.dirname, "../deploy/kubernetes/crd/plumblines.yaml");

export function crdYaml(): string {
  const head =
    "# Made from src/kubernetes/resource/spec-schema.ts by `bun run docs`; change that file, not this one.\n";
  return head + stringify(customResourceDefinition(), { aliasDuplicateObjects: false, lineWidth: 0 });
}

export function customResourceDefinition() {
  const [group = "", version = ""] = PLUMBLINE.apiVersion.split("/");
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${PLUMBLINE.plural}.${group}`,
      labels: { "app.kubernetes.io/name": "plumbline" },
    },
    spec: {
      group,
      scope: "Namespaced",
      names: {
        kind: PLUMBLINE.kind,
        listKind: `${PLUMBLINE.kind}List`,
        plural: PLUMBLINE.plural,
        singular: PLUMBLINE.kind.toLowerCase(),
        shortNames: ["plumb"],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              type: "object",
              description: "The exporter plumbline on the nodes of a cluster, as the operator is to keep it",
              properties: {
                apiVersion: {
                  type: "string",
                  description: `Version of this schema: ${PLUMBLINE.apiVersion}`,
                },
                kind: { type: "string", description: PLUMBLINE.kind },
                metadata: {
                  type: "object",
                  properties: {
                    name: {
                      type: "string",
                      maxLength: MAX_NAME_LENGTH,
                      pattern: "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
                    },
                  },
                },
                spec: { ...specSchema(), default: {} },
                status: STATUS,
              },
            },
          },
        },
      ],
    },
  };
}

const COLUMNS = [
  {
    name: "Desired",
    type: "integer",
    jsonPath: ".status.desired",
    description: "Nodes that are to have a pod",
  },
  { name: "Ready", type: "integer", jsonPath: ".status.ready", description: "Nodes whose pod answers" },
  {
    name: "Degraded",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Degraded")].status',
    description: "True: not all is as it should be; the condition says what",
  },
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

const count = (description: string) => ({ type: "integer", format: "int64", minimum: 0, description });

const STATUS = {
  type: "object",
  description: "What the operator found; it alone writes here",
  properties: {
    observedGeneration: count("The generation of this object that the rest of the status is about"),
    desired: count("Nodes that are to have a pod"),
    ready: count("Nodes whose pod answers"),
    updated: count("Nodes whose pod is the newest"),
    unavailable: count("Nodes that are to have a pod and have none that answers"),
    nodesFailing: {
      type: "array",
      maxItems: 20,
      description: "Names of nodes whose pod fails, at most 20 of them",
      items: { type: "string", description: "Name of a node" },
    },
    conditions: {
      type: "array",
      description: "Available, Progressing, Degraded, and what else holds at present",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["type"],
      items: {
        type: "object",
        description: "One of the conditions",
        required: ["type", "status", "lastTransitionTime", "reason", "message"],
        properties: {
          type: { type: "string", maxLength: 316, description: "What the condition is about" },
          status: { type: "string", enum: ["True", "False", "Unknown"], description: "Whether it holds" },
          observedGeneration: count("The generation of this object that the condition is about"),
          lastTransitionTime: {
            type: "string",
            format: "date-time",
            description: "When the status last changed",
          },
          reason: { type: "string", maxLength: 1024, description: "Why, in one word" },
          message: { type: "string", maxLength: 32_768, description: "Why, in a sentence" },
        },
      },
    },
  },
};

export function specSchema(): Node {
  const { config = {}, ...others } = structural(jsonSchema(SPEC)).properties ?? {};
  const allowed = NOT_IN_CONFIG.reduce(
    (schema, [path]) => without(schema, path.split(/\.|(?=\[\])/)),
    withoutSectionDefaults(config),
  );
  return {
    type: "object",
    description: v.getTitle(SPEC),
    properties: { config: allowed, ...others },
  };
}

/** A node of a schema, as JSON Schema has it or as Kubernetes wants it. */
interface Node {
  readonly type?: string | undefined;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly properties?: Readonly<Record<string, Node>> | undefined;
  readonly items?: Node | undefined;
  readonly additionalProperties?: Node | boolean | undefined;
  readonly anyOf?: readonly Node[] | undefined;
  readonly const?: unknown;
  readonly enum?: readonly unknown[] | undefined;
  readonly pattern?: string | undefined;
  readonly maximum?: number | undefined;
  readonly required?: readonly string[] | undefined;
  readonly [word: string]: unknown;
}

const NODE: v.GenericSchema<unknown, Node> = v.looseObject({
  type: v.optional(v.string()),
  title: v.optional(v.string()),
  description: v.optional(v.string()),
  properties: v.optional(
    v.record(
      v.string(),
      v.lazy(() => NODE),
    ),
  ),
  items: v.optional(v.lazy(() => NODE)),
  additionalProperties: v.optional(v.union([v.boolean(), v.lazy(() => NODE)])),
  anyOf: v.optional(v.array(v.lazy(() => NODE))),
  enum: v.optional(v.array(v.unknown())),
  pattern: v.optional(v.string()),
  maximum: v.optional(v.number()),
  required: v.optional(v.array(v.string())),
});

/** Without the checks that are written in code and the patterns that the API server cannot read: those the operator makes. */
function jsonSchema(schema: v.GenericSchema): Node {
  const converted = toJsonSchema(schema, {
    typeMode: "input",
    errorMode: "ignore",
    // The converter stops before a transformation, and so before a description that stands behind it.
    overrideSchema: ({ valibotSchema, jsonSchema }) => ({
      ...jsonSchema,
      description: aboutOf(valibotSchema)?.description,
    }),
    overrideAction: ({ valibotAction, jsonSchema: { pattern, ...rest } }) =>
      v.is(REGEX, valibotAction) &&
      pattern === valibotAction.requirement.source &&
      !isRe2(valibotAction.requirement)
        ? rest
        : undefined,
  });
  return v.parse(NODE, JSON.parse(JSON.stringify(converted)));
}

const REGEX = v.object({ type: v.literal("regex"), requirement: v.instance(RegExp) });

/** Go's regular expressions have neither look-around nor, in a schema, flags. */
const isRe2 = ({ source, flags }: RegExp): boolean => !/\(\?(?!:)/.test(source) && !/[ims]/.test(flags);

/**
 * As Kubernetes wants schemas: every node has one type, nothing is said of members that are not named (they are
 * dropped), and what may be of several types says so in Kubernetes' own words.
 */
function structural(node: Node): Node {
  const { type, title, properties, items, additionalProperties, anyOf, const: only, required = [] } = node;
  const { pattern, minimum, maximum, minItems, minLength, maxLength, default: fallback } = node;
  return {
    ...(anyOf === undefined ? { type: only === undefined ? type : typeof only } : choice(anyOf)),
    description: described(node.description ?? title),
    ...(type === "integer" ? { format: "int64" } : {}),
    ...(only === undefined ? {} : { enum: [only] }),
    ...known({ enum: node.enum, pattern, minimum, minItems, minLength, maxLength }),
    ...(maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
    ...(required.length > 0 ? { required } : {}),
    ...(properties === undefined ? {} : { properties: mapped(properties, structural) }),
    ...(items === undefined ? {} : { items: structural(items) }),
    ...(typeof additionalProperties === "object"
      ? { additionalProperties: structural(additionalProperties) }
      : {}),
    ...known({ default: fallback }),
  };
}

const known = (words: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));

/** A Plumbline has neither flags nor variables. */
const described = (text: string | undefined) =>
  text?.replace(
    /; several (addresses )?as a list, by repeating the flag, or in the variable separated by commas$/,
    "",
  );

/** The type is left to the operator where it may be other than a whole number or a text. */
function choice(anyOf: readonly Node[]): Node {
  const options = flattened(anyOf);
  const isIntOrString = options.every(({ type, const: only }) =>
    ["string", "number", "integer"].includes(type ?? typeof only),
  );
  const patterns = options.flatMap(({ type, pattern }) => (type === "string" ? [pattern] : []));
  const texts = options.filter(({ type, const: only }) => (type ?? typeof only) === "string");
  if (isIntOrString)
    return {
      "x-kubernetes-int-or-string": true,
      ...(texts.length === 1 && patterns.length === 1 ? { pattern: patterns[0] } : {}),
    };
  const isPlain = options.every(({ type, const: only }) => type === "boolean" || only !== undefined);
  return {
    "x-kubernetes-preserve-unknown-fields": true,
    ...(isPlain
      ? { enum: options.flatMap(({ const: only }) => (only === undefined ? [true, false] : [only])) }
      : {}),
  };
}

const flattened = (options: readonly Node[]): readonly Node[] =>
  options.flatMap((option) => (option.anyOf === undefined ? [option] : flattened(option.anyOf)));

/** Only sections that somebody wrote are to be filled with their defaults: else each object would hold the whole file. */
function withoutSectionDefaults(node: Node): Node {
  const { default: fallback, ...rest } = node;
  const isSection = rest.properties !== undefined || (Array.isArray(fallback) && fallback.length === 0);
  return {
    ...rest,
    ...(isSection || fallback === undefined ? {} : { default: fallback }),
    ...(rest.properties === undefined ? {} : { properties: mapped(rest.properties, withoutSectionDefaults) }),
    ...(rest.items === undefined ? {} : { items: withoutSectionDefaults(rest.items) }),
  };
}

/** Without what stands at the path. Throws where nothing does: then the path is of a setting that is no more. */
function without(node: Node, [key = "", ...rest]: readonly string[]): Node {
  if (key === "[]" && node.items !== undefined) return { ...node, items: without(node.items, rest) };
  if (node.properties?.[key] === undefined) throw new Error(`the configuration has no ${key} any more`);
  const properties = Object.entries(node.properties).flatMap(([name, inner]) => {
    if (name !== key) return [[name, inner] as const];
    return rest.length === 0 ? [] : [[name, without(inner, rest)] as const];
  });
  return { ...node, properties: Object.fromEntries(properties) };
}

function mapped(properties: Readonly<Record<string, Node>>, of: (node: Node) => Node): Record<string, Node> {
  return Object.fromEntries(Object.entries(properties).map(([key, inner]) => [key, of(inner)]));
}

if (import.meta.main) writeFileSync(CRD_FILE, crdYaml());
