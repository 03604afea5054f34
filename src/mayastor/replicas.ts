/** Replicas: `GET /v0/replicas`; their status and space. */
import * as v from "valibot";
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import {
  compare,
  decodeList,
  HEALTH_WORDS,
  HEALTHS,
  type Health,
  Id,
  LabelText,
  Quantity,
  quantity,
  stateOf,
} from "./entries.ts";
import type { Tally } from "./model.ts";

const LABELS = ["node_id", "pool", "replica"] as const;

const STATUS = gauge("mayastor_replica_status", "1 for the status of the replica and 0 for the others", [
  ...LABELS,
  "status",
]);
const INFO = gauge(
  "mayastor_replica_info",
  "The volume that the replica is of, and how the replica is made and shared; always 1",
  [...LABELS, "volume", "kind", "thin", "share"],
);
const SIZE = gauge("mayastor_replica_size_bytes", "Size of the replica in bytes", LABELS);
const ALLOCATED = gauge(
  "mayastor_replica_allocated_bytes",
  "Bytes that the replica takes in its pool, without its snapshots",
  LABELS,
);
const ALLOCATED_SNAPSHOTS = gauge(
  "mayastor_replica_allocated_snapshots_bytes",
  "Bytes that the replica's snapshots take in its pool",
  LABELS,
);

export const REPLICA_DESCRIPTORS: readonly Descriptor[] = [
  STATUS,
  INFO,
  SIZE,
  ALLOCATED,
  ALLOCATED_SNAPSHOTS,
];

export interface Replica {
  readonly uuid: string;
  readonly nodeId: string;
  readonly pool: string;
  readonly status: Health;
  /** In lower case. */
  readonly kind: string;
  readonly thin: "true" | "false";
  readonly share: string;
  readonly sizeBytes: number | undefined;
  readonly allocatedBytes: number | undefined;
  readonly allocatedSnapshotsBytes: number | undefined;
}

/** By node, pool and uuid. Throws RestFailure `bad_body` where this is no list. */
export function decodeReplicas(json: unknown, tally: Tally): Replica[] {
  // One string for each name: comparing a string with itself is what costs least, and here it is done often.
  const names = new Map<string, string>();
  return decodeList(json, ReplicaSchema, ({ uuid }) => uuid, tally)
    .map((entry) => replicaOf(entry, names, tally))
    .sort((a, b) => compare(a.nodeId, b.nodeId) || compare(a.pool, b.pool) || compare(a.uuid, b.uuid));
}

/** `volumeOf`: uuids of volumes by those of their replicas. */
export function addReplicas(
  samples: Samples,
  replicas: readonly Replica[],
  volumeOf: ReadonlyMap<string, string>,
): void {
  for (const replica of replicas) {
    const { uuid, nodeId, pool, kind, thin, share } = replica;
    const labels = { node_id: nodeId, pool, replica: uuid };
    samples.addStates(STATUS, labels, HEALTHS.only(replica.status));
    samples.add(
      INFO,
      { node_id: nodeId, pool, replica: uuid, volume: volumeOf.get(uuid) ?? "", kind, thin, share },
      1,
    );
    samples.addKnown(SIZE, labels, replica.sizeBytes);
    samples.addKnown(ALLOCATED, labels, replica.allocatedBytes);
    samples.addKnown(ALLOCATED_SNAPSHOTS, labels, replica.allocatedSnapshotsBytes);
  }
}

const ReplicaSchema = v.object({
  node: LabelText,
  pool: LabelText,
  share: LabelText,
  size: Quantity,
  space: v.nullish(v.object({ allocated_bytes: Quantity, allocated_bytes_snapshots: Quantity })),
  state: v.string(),
  thin: v.boolean(),
  uuid: Id,
  /** Before there were snapshots, the API did not know it. */
  kind: v.nullish(LabelText, "Regular"),
});

function replicaOf(
  entry: v.InferOutput<typeof ReplicaSchema>,
  names: Map<string, string>,
  tally: Tally,
): Replica {
  const { uuid, node, pool, state, kind, thin, share, size, space } = entry;
  return {
    uuid,
    nodeId: names.getOrInsert(node, node),
    pool: names.getOrInsert(pool, pool),
    status: stateOf(HEALTH_WORDS, state, "replica_status", tally) ?? "unknown",
    kind: kind.toLowerCase(),
    thin: thin ? "true" : "false",
    share,
    sizeBytes: quantity(size, tally),
    allocatedBytes: quantity(space?.allocated_bytes, tally),
    allocatedSnapshotsBytes: quantity(space?.allocated_bytes_snapshots, tally),
  };
}
