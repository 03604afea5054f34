/**
 * How server-side apply sees a kind: where its fields begin and end. Lists are atomic unless their items have keys, maps
 * are granular unless they are atomic (x-kubernetes-list-type, -list-map-keys and -map-type of the OpenAPI document).
 */
import { isMembers, type Members, membersOf } from "./json.ts";

export type Topology =
  /** One field as a whole: a scalar, an atomic list or map. */
  | { readonly shape: "leaf" }
  /** Members have names of their own; those that are not told of look like `others`. */
  | {
      readonly shape: "struct";
      readonly members: Readonly<Record<string, Topology>>;
      readonly others: () => Topology;
    }
  /** The names of the members are data: each of them is a field by itself. */
  | { readonly shape: "map"; readonly each: () => Topology }
  | {
      readonly shape: "keyed";
      readonly keys: readonly string[];
      readonly defaults: Members;
      readonly each: Topology;
    }
  | { readonly shape: "set" };

export interface Child {
  /** As fieldsV1 writes it: `f:name`, `k:{"name":"x"}`, `v:"x"`. */
  readonly element: string;
  readonly value: unknown;
  readonly below: Topology;
  /** It is a field by itself, whatever it holds. */
  readonly isItself: boolean;
}

export const LEAF: Topology = { shape: "leaf" };
/** A struct of which nothing more is known. */
export const STRUCT: Topology = { shape: "struct", members: {}, others: () => STRUCT };
/** Where there is no schema at all. */
export const FREE: Topology = { shape: "map", each: () => FREE };

/** Undefined for what is one field. A value that does not have the shape of its topology is one. */
export function childrenOf(value: unknown, topology: Topology): readonly Child[] | undefined {
  switch (topology.shape) {
    case "leaf":
      return undefined;
    case "struct":
      if (!isMembers(value)) return undefined;
      return Object.entries(value).map(([name, member]) => ({
        element: `f:${name}`,
        value: member,
        below: topology.members[name] ?? topology.others(),
        isItself: member === null || (isMembers(member) && Object.keys(member).length === 0),
      }));
    case "map":
      if (!isMembers(value)) return undefined;
      return Object.entries(value).map(([name, member]) => ({
        element: `f:${name}`,
        value: member,
        below: topology.each(),
        isItself: true,
      }));
    case "keyed":
      if (!Array.isArray(value)) return undefined;
      return value.map((item: unknown) => ({
        element: keyOf(item, topology.keys, topology.defaults),
        value: item,
        below: topology.each,
        isItself: true,
      }));
    case "set":
      if (!Array.isArray(value)) return undefined;
      return value.map((item: unknown) => ({
        element: `v:${JSON.stringify(item)}`,
        value: item,
        below: LEAF,
        isItself: true,
      }));
  }
}

function keyOf(item: unknown, keys: readonly string[], defaults: Members): string {
  const members = membersOf(item);
  return `k:${JSON.stringify(Object.fromEntries(keys.map((key) => [key, members[key] ?? defaults[key]])))}`;
}

const struct = (members: Readonly<Record<string, Topology>>): Topology => ({
  shape: "struct",
  members,
  others: () => STRUCT,
});
const MAP: Topology = { shape: "map", each: () => STRUCT };
const SET: Topology = { shape: "set" };
const keyed = (keys: readonly string[], each: Topology = STRUCT, defaults: Members = {}): Topology => ({
  shape: "keyed",
  keys: keys.toSorted(),
  defaults,
  each,
});

const CONDITIONS = struct({ conditions: keyed(["type"]) });
const METADATA = struct({
  labels: MAP,
  annotations: MAP,
  finalizers: SET,
  ownerReferences: keyed(["uid"], LEAF),
});
const SOURCE_OF_VALUE = struct({
  valueFrom: struct({ fieldRef: LEAF, configMapKeyRef: LEAF, secretKeyRef: LEAF, resourceFieldRef: LEAF }),
});
const CONTAINER = struct({
  env: keyed(["name"], SOURCE_OF_VALUE),
  ports: keyed(["containerPort", "protocol"], STRUCT, { protocol: "TCP" }),
  volumeMounts: keyed(["mountPath"]),
  volumeDevices: keyed(["devicePath"]),
  resources: struct({ limits: MAP, requests: MAP }),
});
const POD_SPEC = struct({
  containers: keyed(["name"], CONTAINER),
  initContainers: keyed(["name"], CONTAINER),
  volumes: keyed(["name"]),
  imagePullSecrets: keyed(["name"], LEAF),
  hostAliases: keyed(["ip"]),
  topologySpreadConstraints: keyed(["topologyKey", "whenUnsatisfiable"]),
  nodeSelector: LEAF,
});
const WORKLOAD = struct({
  metadata: METADATA,
  spec: struct({ selector: LEAF, template: struct({ metadata: METADATA, spec: POD_SPEC }) }),
  status: CONDITIONS,
});
const DATA = struct({ metadata: METADATA, data: MAP, binaryData: MAP, stringData: MAP });

/** By kind; k8s.io/api declares them with `listType`, `patchMergeKey` and `mapType`. */
const BUILT_IN: Readonly<Record<string, Topology>> = {
  ConfigMap: DATA,
  Secret: DATA,
  DaemonSet: WORKLOAD,
  Deployment: WORKLOAD,
  Pod: struct({
    metadata: METADATA,
    spec: POD_SPEC,
    status: struct({ conditions: keyed(["type"]), podIPs: keyed(["ip"]) }),
  }),
  Node: struct({
    metadata: METADATA,
    status: struct({
      conditions: keyed(["type"]),
      addresses: keyed(["type"]),
      capacity: MAP,
      allocatable: MAP,
    }),
  }),
  Service: struct({
    metadata: METADATA,
    spec: struct({ ports: keyed(["port", "protocol"], STRUCT, { protocol: "TCP" }), selector: LEAF }),
    status: CONDITIONS,
  }),
  ServiceAccount: struct({ metadata: METADATA, secrets: keyed(["name"]) }),
  NetworkPolicy: struct({ metadata: METADATA, spec: struct({ podSelector: LEAF }) }),
  CustomResourceDefinition: struct({ metadata: METADATA, status: CONDITIONS }),
};

export const builtInTopology = (kind: string): Topology => BUILT_IN[kind] ?? struct({ metadata: METADATA });

/** Of a CRD's version; without a schema nothing is known but the metadata. */
export function topologyOfSchema(schema: unknown): Topology {
  const root = fromSchema(schema);
  const members = root.shape === "struct" ? root.members : {};
  return { shape: "struct", members: { ...members, metadata: METADATA }, others: () => FREE };
}

function fromSchema(schema: unknown): Topology {
  const { type, properties, additionalProperties, items, ...extensions } = membersOf(schema);
  if (type === "array") {
    if (extensions["x-kubernetes-list-type"] === "set") return SET;
    if (extensions["x-kubernetes-list-type"] !== "map") return LEAF;
    const keys = extensions["x-kubernetes-list-map-keys"];
    const names = Array.isArray(keys) ? keys.map(String) : [];
    return keyed(names, fromSchema(items), defaultsOf(items));
  }
  if (extensions["x-kubernetes-map-type"] === "atomic") return LEAF;
  if (isMembers(properties)) {
    const members = Object.entries(properties).map(([name, member]): [string, Topology] => [
      name,
      fromSchema(member),
    ]);
    return { shape: "struct", members: Object.fromEntries(members), others: () => FREE };
  }
  if (isMembers(additionalProperties)) return { shape: "map", each: () => fromSchema(additionalProperties) };
  return type === "object" || extensions["x-kubernetes-preserve-unknown-fields"] === true ? FREE : LEAF;
}

function defaultsOf(items: unknown): Members {
  const properties = Object.entries(membersOf(membersOf(items)["properties"]));
  return Object.fromEntries(properties.map(([name, schema]) => [name, membersOf(schema)["default"]]));
}
