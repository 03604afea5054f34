/** Nodes: `GET /v0/nodes`, whether each is online, cordoned, draining or drained. */
import * as v from "valibot";
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { StateLabel } from "../metrics/states.ts";
import { badBody, compare, Id, LabelText, stateOf, unique, validEntries } from "./entries.ts";
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
type NodeStatus = "online" | "offline" | "unknown" | "absent";
type CordonState = "none" | "cordoned" | "draining" | "drained" | "unknown";

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
  const wanted = validEntries(json, NodeSchema, tally).filter(({ id }) => {
    const ignored = isIgnored(id);
    if (ignored) tally.skip("ignored");
    return !ignored;
  });
  return unique(wanted, ({ id }) => id, tally)
    .map((entry) => nodeOf(entry, tally))
    .sort((a, b) => compare(a.id, b.id));
}

/** The node as the answer to `GET /v0/nodes/{id}`. */
export function decodeNode(json: unknown, tally: Tally, isIgnored: (id: string) => boolean): Node[] {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw badBody("the node is no object");
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
    samples.addStates(STATUS, labels, STATUSES.only(status));
    samples.addStates(CORDON_STATE, labels, CORDON_STATES.only(cordon));
    samples.add(CORDON_LABELS, labels, cordonLabels);
    samples.add(DRAIN_LABELS, labels, drainLabels);
    samples.add(INFO, { node_id: id, version, grpc_endpoint: grpcEndpoint }, 1);
  }
}

/** `NodeStatus` of the API. */
const STATUS_WORDS: ReadonlyMap<string, NodeStatus> = new Map([
  ["Online", "online"],
  ["Offline", "offline"],
  ["Unknown", "unknown"],
]);
/** The members of `CordonDrainState`, of which it has exactly one. */
const CORDON_WORDS: ReadonlyMap<string, CordonState> = new Map([
  ["cordonedstate", "cordoned"],
  ["drainingstate", "draining"],
  ["drainedstate", "drained"],
]);

const STATUSES = new StateLabel("status", [...STATUS_WORDS.values(), "absent"]);
const CORDON_STATES = new StateLabel("state", [...CORDON_WORDS.values(), "none", "unknown"]);

const ADDRESS = { grpcEndpoint: v.nullish(LabelText), version: v.nullish(LabelText) };
/** Only the id is certain. */
const NodeSchema = v.object({
  id: Id,
  spec: v.nullish(
    v.pipe(
      v.custom<object>((value) => !Array.isArray(value)),
      v.object({ ...ADDRESS, cordondrainstate: v.optional(v.pipe(v.unknown(), v.transform(cordonEntry))) }),
    ),
  ),
  state: v.nullish(v.object({ ...ADDRESS, status: v.string() })),
});
type NodeEntry = v.InferOutput<typeof NodeSchema>;

function nodeOf({ id, spec, state }: NodeEntry, tally: Tally): Node {
  return {
    id,
    status: state ? (stateOf(STATUS_WORDS, state.status, "node_status", tally) ?? "unknown") : "absent",
    ...cordonOf(spec?.cordondrainstate, tally),
    version: state?.version ?? spec?.version ?? "",
    grpcEndpoint: state?.grpcEndpoint ?? spec?.grpcEndpoint ?? "",
  };
}

interface CordonEntry {
  /** The only member of `cordondrainstate`; `""` where it has none, or several. */
  readonly word: string;
  readonly cordonLabels: number;
  readonly drainLabels: number;
}

/** Undefined: none. Keeps nothing of the service's own depth, for which JSON.stringify has no stack. */
function cordonEntry(cordondrainstate: unknown): CordonEntry | undefined {
  if (cordondrainstate === undefined || cordondrainstate === null) return undefined;
  const members: [string, unknown][] =
    typeof cordondrainstate === "object" ? Object.entries(cordondrainstate) : [];
  const [word = "", labels] = members.length === 1 ? (members[0] ?? []) : [];
  const { cordonlabels, drainlabels } = v.parse(CordonSchema, CORDON_WORDS.has(word) ? labels : undefined);
  return { word, cordonLabels: cordonlabels.length, drainLabels: drainlabels.length };
}

const LabelsSchema = v.fallback(v.optional(v.array(v.unknown()), []), []);
const CordonSchema = v.fallback(v.object({ cordonlabels: LabelsSchema, drainlabels: LabelsSchema }), {
  cordonlabels: [],
  drainlabels: [],
});

function cordonOf(
  entry: CordonEntry | undefined,
  tally: Tally,
): Pick<Node, "cordon" | "cordonLabels" | "drainLabels"> {
  if (entry === undefined) return { cordon: "none", cordonLabels: 0, drainLabels: 0 };
  const { word, cordonLabels, drainLabels } = entry;
  const cordon = stateOf(CORDON_WORDS, word, "cordon_state", tally) ?? "unknown";
  return { cordon, cordonLabels, drainLabels };
}
