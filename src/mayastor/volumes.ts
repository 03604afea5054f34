/** Volumes: `GET /v0/volumes`, page by page; their status, target, replicas and rebuilds. */
import * as v from "valibot";
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { StateLabel } from "../metrics/states.ts";
import {
  badBody,
  compare,
  HEALTH_WORDS,
  HEALTHS,
  type Health,
  Id,
  LabelText,
  Percentage,
  Quantity,
  quantity,
  recordOf,
  stateOf,
  unique,
  validEntries,
} from "./entries.ts";
import type { Tally } from "./model.ts";

const LABELS = ["volume"] as const;
const REPLICA_LABELS = ["volume", "replica"] as const;

const STATUS = gauge("mayastor_volume_status", "1 for the status of the volume and 0 for the others", [
  ...LABELS,
  "status",
]);
const INFO = gauge(
  "mayastor_volume_info",
  "The volume's PersistentVolume, as the CSI driver names it, the node of its target and how it is provisioned; always 1",
  [...LABELS, "pv_name", "target_node_id", "thin", "affinity_group"],
);
const SIZE = gauge("mayastor_volume_size_bytes", "Size of the volume in bytes", LABELS);
const ALLOCATED = gauge(
  "mayastor_volume_allocated_bytes",
  "Bytes that the largest healthy replica takes, its snapshots included",
  LABELS,
);
const TOTAL_ALLOCATED = gauge(
  "mayastor_volume_total_allocated_bytes",
  "Bytes that all replicas take together, their snapshots included",
  LABELS,
);
const ALLOCATED_SNAPSHOTS = gauge(
  "mayastor_volume_allocated_snapshots_bytes",
  "Bytes that the snapshots take in the healthy replica where they take most",
  LABELS,
);
const REPLICAS_DESIRED = gauge(
  "mayastor_volume_replicas_desired",
  "Replicas that the volume should have",
  LABELS,
);
const SNAPSHOTS = gauge("mayastor_volume_snapshots", "Snapshots of the volume", LABELS);
const REPLICAS = gauge("mayastor_volume_replicas", "Replicas that the volume has, by their status", [
  ...LABELS,
  "status",
]);
const CHILDREN = gauge(
  "mayastor_volume_children",
  "Replicas that the volume's target writes to, by the status that they have there",
  [...LABELS, "status"],
);
const PUBLISHED = gauge("mayastor_volume_published", "1 where the volume has a target", LABELS);
const TARGET_STATE = gauge(
  "mayastor_volume_target_state",
  "1 for the state of the volume's target and 0 for the others",
  [...LABELS, "state"],
);
const REBUILDS = gauge("mayastor_volume_rebuilds", "Rebuild jobs that the volume's target has", LABELS);
const CHILD_STATUS = gauge(
  "mayastor_replica_child_status",
  "1 for the status that the replica has in the volume's target and 0 for the others",
  [...REPLICA_LABELS, "status"],
);
const REBUILD_PROGRESS = gauge(
  "mayastor_replica_rebuild_progress_ratio",
  "How much of the replica is rebuilt, 0 to 1, while it is",
  REPLICA_LABELS,
);

export const VOLUME_DESCRIPTORS: readonly Descriptor[] = [
  STATUS,
  INFO,
  SIZE,
  ALLOCATED,
  TOTAL_ALLOCATED,
  ALLOCATED_SNAPSHOTS,
  REPLICAS_DESIRED,
  SNAPSHOTS,
  REPLICAS,
  CHILDREN,
  PUBLISHED,
  TARGET_STATE,
  REBUILDS,
  CHILD_STATUS,
  REBUILD_PROGRESS,
];

export interface Volume {
  readonly uuid: string;
  readonly status: Status;
  /** The node of its target, or where that should be, if no node tells of it; `""` where it has none. */
  readonly targetNodeId: string;
  /** `""` where the service does not say. */
  readonly thin: "true" | "false" | "";
  /** `""` where it is in none. */
  readonly affinityGroup: string;
  readonly sizeBytes: number | undefined;
  readonly allocatedBytes: number | undefined;
  readonly totalAllocatedBytes: number | undefined;
  readonly allocatedSnapshotsBytes: number | undefined;
  readonly replicasDesired: number | undefined;
  readonly snapshots: number | undefined;
  /** By uuid. */
  readonly replicas: readonly ReplicaOfVolume[];
  /** Undefined while the volume is not published. */
  readonly target: Target | undefined;
}

export interface ReplicaOfVolume {
  readonly uuid: string;
  readonly status: Health;
  /** Undefined where no target has it. */
  readonly childStatus: Health | undefined;
  /** Undefined where it is not being rebuilt. */
  readonly rebuildPercent: number | undefined;
}

export interface Target {
  readonly state: TargetState;
  readonly children: readonly Health[];
  readonly rebuilds: number | undefined;
}

/**
 * By uuid. `getPage` is given a path below `/v0`. Throws RestFailure `bad_body` where a page is none, or the pages do
 * not end.
 */
export async function readVolumes(
  getPage: (path: string) => Promise<unknown>,
  tally: Tally,
): Promise<Volume[]> {
  const entries: VolumeEntry[] = [];
  let path = FIRST_PAGE;
  let token = 0;
  for (let pages = 1; ; pages++) {
    const page = decodePage(await getPage(path), tally);
    entries.push(...page.entries);
    if (page.nextToken === undefined) break;
    if (page.nextToken <= token) throw badBody("the pages of volumes go round in circles");
    if (pages === MOST_PAGES) throw badBody(`there are over ${MOST_PAGES} pages of volumes`);
    token = page.nextToken;
    path = `${FIRST_PAGE}&starting_token=${token}`;
  }
  return unique(entries, ({ spec }) => spec.uuid, tally)
    .map((entry) => volumeOf(entry, tally))
    .sort((a, b) => compare(a.uuid, b.uuid));
}

const FIRST_PAGE = "/volumes?max_entries=500";
const MOST_PAGES = 1000;

/** Uuids of volumes by those of their replicas. */
export function volumeOfReplica(volumes: readonly Volume[]): ReadonlyMap<string, string> {
  const volumeOf = new Map<string, string>();
  for (const { uuid, replicas } of volumes) {
    for (const replica of replicas) volumeOf.set(replica.uuid, uuid);
  }
  return volumeOf;
}

export function addVolumes(samples: Samples, volumes: readonly Volume[]): void {
  for (const volume of volumes) {
    const { uuid, targetNodeId, thin, affinityGroup, target } = volume;
    const labels = { volume: uuid };
    samples.addStates(STATUS, labels, STATUSES.only(volume.status));
    samples.add(
      INFO,
      {
        volume: uuid,
        pv_name: `pvc-${uuid}`,
        target_node_id: targetNodeId,
        thin,
        affinity_group: affinityGroup,
      },
      1,
    );
    samples.addKnown(SIZE, labels, volume.sizeBytes);
    samples.addKnown(ALLOCATED, labels, volume.allocatedBytes);
    samples.addKnown(TOTAL_ALLOCATED, labels, volume.totalAllocatedBytes);
    samples.addKnown(ALLOCATED_SNAPSHOTS, labels, volume.allocatedSnapshotsBytes);
    samples.addKnown(REPLICAS_DESIRED, labels, volume.replicasDesired);
    samples.addKnown(SNAPSHOTS, labels, volume.snapshots);
    samples.addStates(REPLICAS, labels, HEALTHS.count(volume.replicas.map(({ status }) => status)));
    samples.add(PUBLISHED, labels, target === undefined ? 0 : 1);
    if (target !== undefined) {
      samples.addStates(CHILDREN, labels, HEALTHS.count(target.children));
      samples.addStates(TARGET_STATE, labels, TARGET_STATES.only(target.state));
      samples.addKnown(REBUILDS, labels, target.rebuilds);
    }
    for (const replica of volume.replicas) addReplicaOfVolume(samples, uuid, replica);
  }
}

function addReplicaOfVolume(
  samples: Samples,
  volume: string,
  { uuid, childStatus, rebuildPercent }: ReplicaOfVolume,
): void {
  const labels = { volume, replica: uuid };
  if (childStatus !== undefined) samples.addStates(CHILD_STATUS, labels, HEALTHS.only(childStatus));
  if (rebuildPercent !== undefined) samples.add(REBUILD_PROGRESS, labels, rebuildPercent / 100);
}

type Status = "online" | "degraded" | "faulted" | "shutdown" | "unknown";
type TargetState = "online" | "degraded" | "faulted" | "shuttingdown" | "shutdown" | "unknown";

/** `VolumeStatus` of the API. */
const STATUS_WORDS: ReadonlyMap<string, Status> = new Map([
  ["Online", "online"],
  ["Degraded", "degraded"],
  ["Faulted", "faulted"],
  ["Shutdown", "shutdown"],
  ["Unknown", "unknown"],
]);
/** `NexusState` of the API. */
const TARGET_STATE_WORDS: ReadonlyMap<string, TargetState> = new Map([
  ["Online", "online"],
  ["Degraded", "degraded"],
  ["Faulted", "faulted"],
  ["ShuttingDown", "shuttingdown"],
  ["Shutdown", "shutdown"],
  ["Unknown", "unknown"],
]);

const STATUSES = new StateLabel("status", [...STATUS_WORDS.values()]);
const TARGET_STATES = new StateLabel("state", [...TARGET_STATE_WORDS.values()]);

const TargetSchema = v.object({
  children: v.array(v.object({ state: v.string() })),
  node: LabelText,
  rebuilds: Quantity,
  state: v.string(),
});

const ReplicaOfVolumeSchema = v.object({
  state: v.string(),
  "child-status": v.nullish(v.string()),
  "rebuild-progress": Percentage,
});

const VolumeSchema = v.object({
  spec: v.object({
    num_replicas: Quantity,
    uuid: Id,
    thin: v.nullish(v.boolean()),
    affinity_group: v.nullish(v.object({ id: LabelText })),
    num_snapshots: Quantity,
    target: v.nullish(v.object({ node: v.nullish(LabelText) })),
  }),
  state: v.object({
    target: v.nullish(TargetSchema),
    size: Quantity,
    status: v.string(),
    replica_topology: v.nullish(recordOf(ReplicaOfVolumeSchema)),
    usage: v.nullish(
      v.object({ allocated: Quantity, allocated_snapshots: Quantity, total_allocated: Quantity }),
    ),
  }),
});
type VolumeEntry = v.InferOutput<typeof VolumeSchema>;

const PageSchema = v.object({
  entries: v.array(v.unknown()),
  next_token: v.nullish(v.pipe(v.number(), v.safeInteger())),
});

function decodePage(json: unknown, tally: Tally): { entries: VolumeEntry[]; nextToken: number | undefined } {
  const { success, output } = v.safeParse(PageSchema, json, { abortEarly: true });
  if (!success) throw badBody("the answer is no page of volumes");
  const entries = validEntries(output.entries, VolumeSchema, tally);
  for (const { replica_topology: replicas, target } of entries.map(({ state }) => state))
    tally.count(Object.keys(replicas ?? {}).length + (target?.children.length ?? 0));
  return {
    entries,
    nextToken: output.next_token ?? undefined,
  };
}

function volumeOf({ spec, state }: VolumeEntry, tally: Tally): Volume {
  const { target, usage } = state;
  return {
    uuid: spec.uuid,
    status: stateOf(STATUS_WORDS, state.status, "volume_status", tally) ?? "unknown",
    targetNodeId: target?.node ?? spec.target?.node ?? "",
    thin: spec.thin === true ? "true" : spec.thin === false ? "false" : "",
    affinityGroup: spec.affinity_group?.id ?? "",
    sizeBytes: quantity(state.size, tally),
    allocatedBytes: quantity(usage?.allocated, tally),
    totalAllocatedBytes: quantity(usage?.total_allocated, tally),
    allocatedSnapshotsBytes: quantity(usage?.allocated_snapshots, tally),
    replicasDesired: quantity(spec.num_replicas, tally),
    snapshots: quantity(spec.num_snapshots, tally),
    replicas: replicasOf(state.replica_topology ?? {}, tally),
    target: target ? targetOf(target, tally) : undefined,
  };
}

function replicasOf(
  topology: Readonly<Record<string, v.InferOutput<typeof ReplicaOfVolumeSchema>>>,
  tally: Tally,
): ReplicaOfVolume[] {
  return Object.entries(topology)
    .map(([uuid, replica]) => {
      const childStatus = replica["child-status"];
      return {
        uuid,
        status: stateOf(HEALTH_WORDS, replica.state, "replica_status", tally) ?? "unknown",
        childStatus: typeof childStatus === "string" ? healthOfChild(childStatus, tally) : undefined,
        rebuildPercent: quantity(replica["rebuild-progress"], tally),
      };
    })
    .sort((a, b) => compare(a.uuid, b.uuid));
}

function targetOf(target: v.InferOutput<typeof TargetSchema>, tally: Tally): Target {
  return {
    state: stateOf(TARGET_STATE_WORDS, target.state, "target_state", tally) ?? "unknown",
    children: target.children.map(({ state }) => healthOfChild(state, tally)),
    rebuilds: quantity(target.rebuilds, tally),
  };
}

const healthOfChild = (word: string, tally: Tally): Health =>
  stateOf(HEALTH_WORDS, word, "child_status", tally) ?? "unknown";
