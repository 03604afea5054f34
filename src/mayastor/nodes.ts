/** Nodes: `GET /v0/nodes`, whether each is online, cordoned, draining or drained. */
import * as v from "valibot";
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { RestFailure } from "../rest/failure.ts";
import type { Tally } from "./model.ts";

const LABELS = ["node_id"] as const;

const ONLINE = gauge("mayastor_node_online", "Indicates if Mayastor node is online", LABELS);
const CORDONED = gauge("mayastor_node_cordoned", "Indicates if Mayastor node is cordoned", LABELS);
const DRAINING = gauge("mayastor_node_draining", "Indicates if Mayastor node is draining", LABELS);
const STATUS = gauge(
  "mayastor_node_status",
  "Status of the node, 1 for one of online, offline, unknown and absent (not registered), 0 for the others",
  [...LABELS, "status"],
);
const CORDON_STATE = gauge(
  "mayastor_node_cordon_state",
  "Whether the node is cordoned, 1 for one of none, cordoned, draining, drained and unknown, 0 for the others",
  [...LABELS, "state"],
);
const CORDON_LABELS = gauge(
  "mayastor_node_cordon_labels",
  "Labels that the node was cordoned under, of which each has to be taken back",
  LABELS,
);
const DRAIN_LABELS = gauge("mayastor_node_drain_labels", "Labels that the node was drained under", LABELS);
const INFO = gauge("mayastor_node_info", "What the node runs and where it listens for gRPC; always 1", [
  ...LABELS,
  "version",
  "grpc_endpoint",
]);

export const NODE_DESCRIPTORS: readonly Descriptor[] = [
  ONLINE,
  CORDONED,
  DRAINING,
  STATUS,
  CORDON_STATE,
  CORDON_LABELS,
  DRAIN_LABELS,
  INFO,
];

/** `absent`: the control plane knows the node and has not seen it register. */
const NODE_STATUSES = ["absent", "offline", "online", "unknown"] as const;
type NodeStatus = (typeof NODE_STATUSES)[number];

const CORDON_STATES = ["cordoned", "drained", "draining", "none", "unknown"] as const;
type CordonState = (typeof CORDON_STATES)[number];

export interface Node {
  readonly id: string;
  readonly status: NodeStatus;
  readonly cordon: CordonState;
  /** How many; their text is the administrators'. */
  readonly cordonLabels: number;
  readonly drainLabels: number;
  /** `""` where the service does not say. */
  readonly version: string;
  readonly grpcEndpoint: string;
}

/** By id. Throws RestFailure `bad_body` where this is no list. */
export function decodeNodes(json: unknown, tally: Tally, isIgnored: (id: string) => boolean): Node[] {
  if (!Array.isArray(json)) throw new RestFailure("bad_body", "the nodes are no list");
  const entries = new Map<string, { readonly text: string; readonly entry: NodeEntry }>();
  for (const candidate of json) {
    const parsed = v.safeParse(NodeSchema, candidate, { abortEarly: true });
    if (!parsed.success) {
      tally.skip("malformed");
      continue;
    }
    const { id } = parsed.output;
    if (isIgnored(id)) {
      tally.skip("ignored");
      continue;
    }
    const twin = entries.get(id);
    if (twin !== undefined) tally.skip("duplicate");
    const text = JSON.stringify(candidate);
    if (twin === undefined || text < twin.text) entries.set(id, { text, entry: parsed.output });
  }
  return [...entries.values()]
    .map(({ entry }) => nodeOf(entry, tally))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The node as the answer to `GET /v0/nodes/{id}`. */
export function decodeNode(json: unknown, tally: Tally, isIgnored: (id: string) => boolean): Node[] {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new RestFailure("bad_body", "the node is no object");
  return decodeNodes([json], tally, isIgnored);
}

export function addNodes(samples: Samples, nodes: readonly Node[]): void {
  for (const { id, status, cordon, cordonLabels, drainLabels, version, grpcEndpoint } of nodes) {
    const labels = { node_id: id };
    samples.add(ONLINE, labels, status === "online" ? 1 : 0);
    if (cordon !== "unknown") {
      samples.add(CORDONED, labels, cordon === "none" ? 0 : 1);
      samples.add(DRAINING, labels, cordon === "draining" || cordon === "drained" ? 1 : 0);
    }
    for (const name of NODE_STATUSES)
      samples.add(STATUS, { node_id: id, status: name }, name === status ? 1 : 0);
    for (const name of CORDON_STATES)
      samples.add(CORDON_STATE, { node_id: id, state: name }, name === cordon ? 1 : 0);
    samples.add(CORDON_LABELS, labels, cordonLabels);
    samples.add(DRAIN_LABELS, labels, drainLabels);
    samples.add(INFO, { node_id: id, version, grpc_endpoint: grpcEndpoint }, 1);
  }
}

const MAX_ID_BYTES = 1024;

/** An object, and no list, which `v.looseObject` would take as well. */
const object = <const Entries extends v.ObjectEntries>(entries: Entries) =>
  v.pipe(
    v.custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value)),
    v.object(entries),
  );
const AddressSchema = {
  grpcEndpoint: v.nullish(v.string(), undefined),
  version: v.nullish(v.string(), undefined),
};

/** Node of the API; only `id` is certain, and null stands for what is missing. */
const NodeSchema = object({
  id: v.pipe(v.string(), v.nonEmpty(), v.maxBytes(MAX_ID_BYTES)),
  spec: v.nullish(object({ ...AddressSchema, cordondrainstate: v.unknown() })),
  state: v.nullish(object({ ...AddressSchema, status: v.string() })),
});
type NodeEntry = v.InferOutput<typeof NodeSchema>;

function nodeOf({ id, spec, state }: NodeEntry, tally: Tally): Node {
  return {
    id,
    status: statusOf(state?.status, tally),
    ...cordonOf(spec?.cordondrainstate, tally),
    version: state?.version ?? spec?.version ?? "",
    grpcEndpoint: state?.grpcEndpoint ?? spec?.grpcEndpoint ?? "",
  };
}

function statusOf(status: string | undefined, tally: Tally): NodeStatus {
  switch (status) {
    case undefined:
      return "absent";
    case "Online":
      return "online";
    case "Offline":
      return "offline";
    case "Unknown":
      return "unknown";
    default:
      tally.unknown("node_status");
      return "unknown";
  }
}

type Cordon = Pick<Node, "cordon" | "cordonLabels" | "drainLabels">;

const CORDONS: ReadonlyMap<string, CordonState> = new Map([
  ["cordonedstate", "cordoned"],
  ["drainingstate", "draining"],
  ["drainedstate", "drained"],
]);

/** Of an object with exactly one key, which says the state. */
function cordonOf(cordondrainstate: unknown, tally: Tally): Cordon {
  if (cordondrainstate === undefined || cordondrainstate === null)
    return { cordon: "none", cordonLabels: 0, drainLabels: 0 };
  const [variant, ...others] = typeof cordondrainstate === "object" ? Object.entries(cordondrainstate) : [];
  const cordon = variant === undefined ? undefined : CORDONS.get(variant[0]);
  if (variant === undefined || cordon === undefined || others.length > 0) {
    tally.unknown("cordon_state");
    return { cordon: "unknown", cordonLabels: 0, drainLabels: 0 };
  }
  return {
    cordon,
    cordonLabels: countOf(variant[1], "cordonlabels"),
    drainLabels: countOf(variant[1], "drainlabels"),
  };
}

function countOf(state: unknown, key: "cordonlabels" | "drainlabels"): number {
  const labels = typeof state === "object" && state !== null ? Reflect.get(state, key) : undefined;
  return Array.isArray(labels) ? labels.length : 0;
}
