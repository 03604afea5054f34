/**
 * Makes of a plan, which says each thing once, what the Mayastor API says of it in several places: replicas stand in
 * the list of replicas, in the topology and the target of their volume, and in what their pool has used. Of a node that is
 * not online the control plane forgets all that the node told: the state of its pools, its replicas and its targets
 * (`clear_states` in control-plane/agents/src/bin/core/node/wrapper.rs). What it has stored stays.
 */
import { uuidOf } from "./made-up-uuid.ts";
import type {
  ChildStatus,
  CordonDrainState,
  Nexus,
  NexusState,
  Node,
  NodeStatus,
  Pool,
  PoolStatus,
  Replica,
  ReplicaKind,
  ReplicaStatus,
  ReplicaTopology,
  SpecStatus,
  Volume,
  VolumeStatus,
} from "./mayastor-api.ts";

export interface Cluster {
  readonly nodes: readonly Node[];
  readonly pools: readonly Pool[];
  readonly volumes: readonly Volume[];
  readonly replicas: readonly Replica[];
}

export interface ClusterPlan {
  readonly nodes: readonly NodePlan[];
  readonly pools: readonly PoolPlan[];
  readonly volumes: readonly VolumePlan[];
}

export interface NodePlan {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  /** Undefined for a node that has not registered. */
  readonly status: NodeStatus | undefined;
  /** The control plane has not stored it yet. */
  readonly unstored?: boolean;
  readonly cordon?: CordonDrainState | undefined;
}

export interface PoolPlan {
  readonly id: string;
  readonly node: string;
  readonly disks: readonly string[];
  readonly capacity: number;
  /** Undefined for a pool that is not loaded. */
  readonly status: PoolStatus | undefined;
  readonly specStatus?: SpecStatus;
  /** Its io-engine tells of the disk and of how far the pool can grow. */
  readonly expandable?: boolean;
}

export interface VolumePlan {
  readonly uuid: string;
  readonly size: number;
  readonly thin?: boolean;
  /** Missing for a volume that is not published. */
  readonly target?: TargetPlan;
  readonly replicas: readonly ReplicaPlan[];
  readonly snapshots?: { readonly count: number; readonly bytes: number };
  readonly affinityGroup?: string;
}

export interface TargetPlan {
  readonly node: string;
  readonly state?: NexusState;
  /** The node is online, but has not made it yet. */
  readonly missing?: boolean;
}

export interface ReplicaPlan {
  readonly pool: string;
  readonly child: ChildStatus;
  /** In percent, while it is rebuilt. */
  readonly rebuilt?: number | undefined;
  /** Of a thin one; a thick one has allocated all of its size. */
  readonly allocated?: number;
  readonly kind?: ReplicaKind;
}

export function assemble({ nodes, pools, volumes }: ClusterPlan): Cluster {
  const addresses = new Map(nodes.map(({ id, address }) => [id, address]));
  const online = new Set(nodes.flatMap(({ id, status }) => (status === "Online" ? [id] : [])));
  const seen = pools.map((pool) => (online.has(pool.node) ? pool : { ...pool, status: undefined }));
  const byId = new Map(seen.map((pool) => [pool.id, pool]));
  const placed = volumes.map((volume) => placedOn(byId, addresses, volume));
  const told = placed.flatMap(({ replicas }) => replicas.filter(isTold));
  const onPool = Map.groupBy(told, ({ pool }) => pool.id);
  return {
    nodes: nodes.map(nodeOf),
    pools: seen.map((pool) => poolOf(pool, onPool.get(pool.id) ?? [])),
    volumes: placed.map((volume) => volumeOf(volume, online)),
    replicas: told.map(replicaOf),
  };
}

/** The node of its pool is online, and has it loaded. */
const isTold = ({ pool }: PlacedReplica) => pool.status !== undefined;

const GRPC_PORT = 10_124;
const NVMF_PORT = 8420;
const CLUSTER_SIZE = 4 * 1024 ** 2;

function nodeOf({ id, address, version, status, unstored, cordon }: NodePlan): Node {
  const known = {
    grpcEndpoint: `${address}:${GRPC_PORT}`,
    id,
    node_nqn: `nqn.2019-05.io.openebs:node-name:${id}`,
    version,
  };
  const spec = { ...known, labels: {}, ...(cordon && { cordondrainstate: cordon }) };
  return { id, ...(unstored !== true && { spec }), ...(status && { state: { ...known, status } }) };
}

/** A replica, with what it stands on and what it belongs to. */
interface PlacedReplica {
  readonly uuid: string;
  readonly plan: ReplicaPlan;
  readonly pool: PoolPlan;
  readonly volume: VolumePlan;
  readonly state: ReplicaStatus;
  readonly address: string;
  /** In bytes, without its snapshots. */
  readonly allocated: number;
  readonly snapshotBytes: number;
}

interface PlacedVolume {
  readonly plan: VolumePlan;
  readonly replicas: readonly PlacedReplica[];
}

function placedOn(
  pools: ReadonlyMap<string, PoolPlan>,
  addresses: ReadonlyMap<string, string>,
  plan: VolumePlan,
): PlacedVolume {
  const replicas = plan.replicas.map((replica): PlacedReplica => {
    const pool = pools.get(replica.pool);
    if (pool === undefined) throw new Error(`no pool ${replica.pool} for a replica of ${plan.uuid}`);
    return {
      uuid: uuidOf(`${plan.uuid} on ${replica.pool}`),
      plan: replica,
      pool,
      volume: plan,
      state: pool.status === undefined ? "Unknown" : STATE_ON_POOL[pool.status],
      address: addresses.get(pool.node) ?? "",
      allocated: plan.thin === true ? (replica.allocated ?? 0) : plan.size,
      snapshotBytes: plan.snapshots?.bytes ?? 0,
    };
  });
  return { plan, replicas };
}

const STATE_ON_POOL: Readonly<Record<PoolStatus, ReplicaStatus>> = {
  Unknown: "Unknown",
  Online: "Online",
  Degraded: "Degraded",
  Faulted: "Faulted",
  Suspected: "Online",
};

function poolOf(plan: PoolPlan, replicas: readonly PlacedReplica[]): Pool {
  const { id, node, disks, capacity, status, specStatus = "Created", expandable } = plan;
  const disk = { disk_capacity: capacity + CLUSTER_SIZE, max_expandable_size: 16 * capacity };
  const state = status && {
    capacity,
    disks: disks.map((disk) => `aio://${disk}?uuid=${uuidOf(`${node} ${disk}`)}`),
    id,
    node,
    status,
    used: sum(replicas, ({ allocated, snapshotBytes }) => allocated + snapshotBytes),
    committed: sum(replicas, ({ volume }) => volume.size),
    ...(expandable === true && disk),
  };
  return { id, spec: { disks, id, labels: {}, node, status: specStatus }, ...(state && { state }) };
}

function replicaOf({
  uuid,
  plan,
  pool,
  volume,
  state,
  address,
  allocated,
  snapshotBytes,
}: PlacedReplica): Replica {
  return {
    node: pool.node,
    pool: pool.id,
    poolUuid: uuidOf(pool.id),
    share: sharedFor(volume.target?.node, pool.node),
    size: volume.size,
    space: {
      capacity_bytes: volume.size,
      allocated_bytes: allocated,
      allocated_bytes_snapshots: snapshotBytes,
      allocated_bytes_all_snapshots: snapshotBytes,
      cluster_size: CLUSTER_SIZE,
      clusters: Math.ceil(volume.size / CLUSTER_SIZE),
      allocated_clusters: Math.ceil(allocated / CLUSTER_SIZE),
    },
    state,
    thin: volume.thin === true,
    uri: replicaUri(uuid, volume.target?.node, pool.node, address),
    uuid,
    "allowed-hosts": [],
    kind: plan.kind ?? "Regular",
  };
}

/** The target reaches a replica on its own node without a network. */
const sharedFor = (target: string | undefined, node: string) =>
  target === undefined || target === node ? "none" : "nvmf";

const replicaUri = (uuid: string, target: string | undefined, node: string, address: string) =>
  sharedFor(target, node) === "none"
    ? `bdev:///${uuid}?uuid=${uuid}`
    : `nvmf://${address}:${NVMF_PORT}/nqn.2019-05.io.openebs:${uuid}?uuid=${uuid}`;

function volumeOf({ plan, replicas }: PlacedVolume, online: ReadonlySet<string>): Volume {
  const { uuid, size, thin = false, snapshots, affinityGroup } = plan;
  const isThere = plan.target !== undefined && online.has(plan.target.node) && plan.target.missing !== true;
  const target = isThere ? targetOf(plan, replicas, plan.target) : undefined;
  return {
    spec: {
      labels: { local: "true" },
      num_replicas: replicas.length,
      size,
      status: "Created",
      ...(plan.target && { target: { node: plan.target.node, protocol: "nvmf" } }),
      uuid,
      policy: { self_heal: true },
      thin,
      ...(affinityGroup !== undefined && { affinity_group: { id: affinityGroup } }),
      num_snapshots: snapshots?.count ?? 0,
    },
    state: {
      ...(target && { target }),
      size,
      status: statusOf(plan, target),
      uuid,
      replica_topology: Object.fromEntries(
        replicas.map((replica) => [replica.uuid, topologyOf(replica, target !== undefined)]),
      ),
      usage: usageOf(size, replicas.filter(isTold)),
    },
  };
}

function targetOf(
  { uuid, size }: VolumePlan,
  replicas: readonly PlacedReplica[],
  { node, state = stateOfChildren(replicas) }: TargetPlan,
): Nexus {
  return {
    children: replicas.map(({ uuid, plan, pool, address }) => ({
      ...(plan.rebuilt !== undefined && { rebuildProgress: plan.rebuilt }),
      state: plan.child,
      uri: replicaUri(uuid, node, pool.node, address),
    })),
    deviceUri: `nvmf://${node}:${NVMF_PORT}/nqn.2019-05.io.openebs:${uuid}`,
    node,
    rebuilds: replicas.filter(({ plan }) => plan.rebuilt !== undefined).length,
    protocol: "nvmf",
    size,
    state,
    uuid: uuidOf(`nexus of ${uuid}`),
  };
}

function stateOfChildren(replicas: readonly PlacedReplica[]): NexusState {
  const online = replicas.filter(({ plan }) => plan.child === "Online").length;
  if (online === replicas.length) return "Online";
  return online > 0 ? "Degraded" : "Faulted";
}

/** One that is not published is judged by how many replicas are stored, not by what becomes of them. */
function statusOf({ target: wanted }: VolumePlan, target: Nexus | undefined): VolumeStatus {
  if (target !== undefined) return STATUS_OF_TARGET[target.state];
  return wanted === undefined ? "Online" : "Unknown";
}

const STATUS_OF_TARGET: Readonly<Record<NexusState, VolumeStatus>> = {
  Unknown: "Unknown",
  Online: "Online",
  Degraded: "Degraded",
  Faulted: "Faulted",
  ShuttingDown: "Unknown",
  Shutdown: "Shutdown",
};

/** Of a replica that nobody tells of there is what the target, if there is one, says of its child. */
function topologyOf(replica: PlacedReplica, hasTarget: boolean): ReplicaTopology {
  const { plan, pool, volume, state, allocated, snapshotBytes } = replica;
  const there = {
    node: pool.node,
    pool: pool.id,
    usage: {
      capacity: volume.size,
      allocated: allocated + snapshotBytes,
      allocated_snapshots: snapshotBytes,
      allocated_all_snapshots: snapshotBytes,
    },
  };
  const child = {
    pool: pool.id,
    "child-status": plan.child,
    ...(plan.rebuilt !== undefined && { "rebuild-progress": plan.rebuilt }),
  };
  return { state, ...(isTold(replica) && there), ...(hasTarget && child) };
}

function usageOf(capacity: number, replicas: readonly PlacedReplica[]) {
  const largest = (of: (replica: PlacedReplica) => number) => Math.max(0, ...replicas.map(of));
  const withSnapshots = ({ allocated, snapshotBytes }: PlacedReplica) => allocated + snapshotBytes;
  return {
    capacity,
    allocated: largest(withSnapshots),
    allocated_replica: largest(({ allocated }) => allocated),
    allocated_snapshots: largest(({ snapshotBytes }) => snapshotBytes),
    allocated_all_snapshots: largest(({ snapshotBytes }) => snapshotBytes),
    total_allocated: sum(replicas, withSnapshots),
    total_allocated_replicas: sum(replicas, ({ allocated }) => allocated),
    total_allocated_snapshots: sum(replicas, ({ snapshotBytes }) => snapshotBytes),
  };
}

const sum = <Item>(items: readonly Item[], of: (item: Item) => number): number =>
  items.reduce((total, item) => total + of(item), 0);
