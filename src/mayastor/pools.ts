/** Pools: `GET /v0/pools`; their status and space, also under the names of the official exporter. */
import * as v from "valibot";
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { StateLabel } from "../metrics/states.ts";
import { compare, decodeList, Id, LabelText, Quantity, quantity, stateOf } from "./entries.ts";
import type { Tally } from "./model.ts";

const LABELS = ["node_id", "pool"] as const;
const OFFICIAL_LABELS = ["node", "name"] as const;

const STATUS = gauge(
  "mayastor_pool_status",
  "1 for the status of the pool and 0 for the others; absent: no node has loaded it",
  [...LABELS, "status"],
);
const SPEC_STATUS = gauge(
  "mayastor_pool_spec_status",
  "1 for what the control plane does with the pool and 0 for the others",
  [...LABELS, "status"],
);
const CAPACITY = gauge("mayastor_pool_capacity_bytes", "Size of the pool in bytes", LABELS);
const USED = gauge("mayastor_pool_used_bytes", "Bytes of the pool that are in use", LABELS);
const COMMITTED = gauge(
  "mayastor_pool_committed_bytes",
  "Bytes that the pool's replicas may grow to, together; above the capacity where it is overcommitted",
  LABELS,
);
const DISK_CAPACITY = gauge("mayastor_pool_disk_capacity_bytes", "Size of the pool's disk in bytes", LABELS);
const MAX_EXPANDABLE = gauge(
  "mayastor_pool_max_expandable_bytes",
  "Bytes that the pool can be expanded to",
  LABELS,
);
const DISK_INFO = gauge("mayastor_pool_disk_info", "Disks of the pool; always 1", [...LABELS, "disk"]);

const OFFICIAL_STATUS = gauge(
  "diskpool_status",
  "Status of the pool: 0 unknown, 1 online, 2 degraded, 3 faulted, 4 suspected",
  OFFICIAL_LABELS,
);
const OFFICIAL_CAPACITY = gauge("diskpool_total_size_bytes", "Size of the pool in bytes", OFFICIAL_LABELS);
const OFFICIAL_USED = gauge("diskpool_used_size_bytes", "Bytes of the pool that are in use", OFFICIAL_LABELS);
const OFFICIAL_COMMITTED = gauge(
  "diskpool_committed_size_bytes",
  "Bytes that the pool's replicas may grow to, together",
  OFFICIAL_LABELS,
);
const OFFICIAL_DISK_CAPACITY = gauge(
  "diskpool_disk_capacity_bytes",
  "Size of the pool's disk in bytes",
  OFFICIAL_LABELS,
);
const OFFICIAL_MAX_EXPANDABLE = gauge(
  "diskpool_max_expandable_size",
  "Bytes that the pool can be expanded to",
  OFFICIAL_LABELS,
);

export const POOL_DESCRIPTORS: readonly Descriptor[] = [
  STATUS,
  SPEC_STATUS,
  CAPACITY,
  USED,
  COMMITTED,
  DISK_CAPACITY,
  MAX_EXPANDABLE,
  DISK_INFO,
  OFFICIAL_STATUS,
  OFFICIAL_CAPACITY,
  OFFICIAL_USED,
  OFFICIAL_COMMITTED,
  OFFICIAL_DISK_CAPACITY,
  OFFICIAL_MAX_EXPANDABLE,
];

export interface Pool {
  readonly id: string;
  /** `""` where the service does not say. */
  readonly nodeId: string;
  readonly status: Status;
  readonly specStatus: SpecStatus | undefined;
  /** As the pool names them, without `?query`; ascending. */
  readonly disks: readonly string[];
  readonly capacityBytes: number | undefined;
  readonly usedBytes: number | undefined;
  readonly committedBytes: number | undefined;
  readonly diskCapacityBytes: number | undefined;
  readonly maxExpandableBytes: number | undefined;
}

/** By node and id. Throws RestFailure `bad_body` where this is no list. */
export function decodePools(json: unknown, tally: Tally): Pool[] {
  return decodeList(json, PoolSchema, ({ id }) => id, tally)
    .map((entry) => poolOf(entry, tally))
    .sort((a, b) => compare(a.nodeId, b.nodeId) || compare(a.id, b.id));
}

export function addPools(
  samples: Samples,
  pools: readonly Pool[],
  { officialNames }: { readonly officialNames: boolean },
): void {
  for (const pool of pools) {
    addPool(samples, pool);
    if (officialNames) addOfficial(samples, pool);
  }
}

function addPool(samples: Samples, pool: Pool): void {
  const labels = { node_id: pool.nodeId, pool: pool.id };
  samples.addStates(STATUS, labels, STATUSES.only(pool.status));
  if (pool.specStatus !== undefined)
    samples.addStates(SPEC_STATUS, labels, SPEC_STATUSES.only(pool.specStatus));
  samples.addKnown(CAPACITY, labels, pool.capacityBytes);
  samples.addKnown(USED, labels, pool.usedBytes);
  samples.addKnown(COMMITTED, labels, pool.committedBytes);
  samples.addKnown(DISK_CAPACITY, labels, pool.diskCapacityBytes);
  samples.addKnown(MAX_EXPANDABLE, labels, pool.maxExpandableBytes);
  for (const disk of pool.disks) samples.add(DISK_INFO, { ...labels, disk }, 1);
}

function addOfficial(samples: Samples, pool: Pool): void {
  const labels = { node: pool.nodeId, name: pool.id };
  samples.addKnown(OFFICIAL_STATUS, labels, OFFICIAL_STATUS_NUMBERS[pool.status]);
  samples.addKnown(OFFICIAL_CAPACITY, labels, pool.capacityBytes);
  samples.addKnown(OFFICIAL_USED, labels, pool.usedBytes);
  samples.addKnown(OFFICIAL_COMMITTED, labels, pool.committedBytes);
  samples.addKnown(OFFICIAL_DISK_CAPACITY, labels, pool.diskCapacityBytes);
  samples.addKnown(OFFICIAL_MAX_EXPANDABLE, labels, pool.maxExpandableBytes);
}

type Status = "online" | "degraded" | "faulted" | "suspected" | "unknown" | "absent";
type SpecStatus = "creating" | "created" | "deleting" | "deleted";

/** `PoolStatus` of the API, of which only newer servers know `Suspected`. */
const STATUS_WORDS: ReadonlyMap<string, Status> = new Map([
  ["Online", "online"],
  ["Degraded", "degraded"],
  ["Faulted", "faulted"],
  ["Suspected", "suspected"],
  ["Unknown", "unknown"],
]);
const SPEC_STATUS_WORDS: ReadonlyMap<string, SpecStatus> = new Map([
  ["Creating", "creating"],
  ["Created", "created"],
  ["Deleting", "deleting"],
  ["Deleted", "deleted"],
]);
const OFFICIAL_STATUS_NUMBERS: Readonly<Record<Status, number | undefined>> = {
  unknown: 0,
  online: 1,
  degraded: 2,
  faulted: 3,
  suspected: 4,
  absent: undefined,
};

const STATUSES = new StateLabel("status", [...STATUS_WORDS.values(), "absent"]);
const SPEC_STATUSES = new StateLabel("status", [...SPEC_STATUS_WORDS.values()]);

/** Newer servers only: `disk_capacity`, `max_expandable_size`. */
const PoolSchema = v.object({
  id: Id,
  spec: v.nullish(
    v.object({ disks: v.nullish(v.array(LabelText)), node: v.nullish(LabelText), status: v.string() }),
  ),
  state: v.nullish(
    v.object({
      capacity: Quantity,
      disks: v.nullish(v.array(LabelText)),
      node: v.nullish(LabelText),
      status: v.string(),
      used: Quantity,
      committed: Quantity,
      disk_capacity: Quantity,
      max_expandable_size: Quantity,
    }),
  ),
});

function poolOf({ id, spec, state }: v.InferOutput<typeof PoolSchema>, tally: Tally): Pool {
  const disks = (state?.disks ?? spec?.disks ?? []).map((disk) => disk.replace(/\?.*/s, ""));
  tally.count(disks.length);
  return {
    id,
    nodeId: state?.node ?? spec?.node ?? "",
    status: state ? (stateOf(STATUS_WORDS, state.status, "pool_status", tally) ?? "unknown") : "absent",
    specStatus: spec ? stateOf(SPEC_STATUS_WORDS, spec.status, "pool_spec_status", tally) : undefined,
    disks: [...new Set(disks)].sort(),
    capacityBytes: quantity(state?.capacity, tally),
    usedBytes: quantity(state?.used, tally),
    committedBytes: quantity(state?.committed, tally),
    diskCapacityBytes: quantity(state?.disk_capacity, tally),
    maxExpandableBytes: quantity(state?.max_expandable_size, tally),
  };
}
