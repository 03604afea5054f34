/**
 * Makes of a plan, which says each thing once, what the Mayastor API says of it in several places: replicas stand in
 * the list of replicas, in the topology and the target of their volume, and in what their pool has used.
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
  readonly target?: { readonly node: string; readonly state?: NexusState };
  readonly replicas: readonly ReplicaPlan[];
  readonly snapshots?: { readonly count: number; readonly bytes: number };
  readonly affinityGroup?: string;
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
  const byId = new Map(pools.map((pool) => [pool.id, pool]));
  const placed = volumes.map((volume) => placedOn(byId, addresses, volume));
  const all = placed.flatMap(({ replicas }) => replicas);
  const onPool = Map.groupBy(all, ({ pool }) => pool.id);
  return {
    nodes: nodes.map(nodeOf),
    pools: pools.map((pool) => poolOf(pool, onPool.get(pool.id) ?? [])),
    volumes: placed.map(volumeOf),
    replicas: all.filter(({ pool }) => pool.status !== undefined).map(replicaOf),
  };
}

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

function volumeOf({ plan, replicas }: PlacedVolume): Volume {
  const { uuid, size, thin = false, snapshots, affinityGroup } = plan;
  const target = targetOf(plan, replicas);
  return {
    spec: {
      labels: { local: "true" },
      num_replicas: replicas.length,
      size,
      status: "Created",
      ...(target && { target: { node: target.node, protocol: "nvmf" } }),
      uuid,
      policy: { self_heal: true },
      thin,
      ...(affinityGroup !== undefined && { affinity_group: { id: affinityGroup } }),
      num_snapshots: snapshots?.count ?? 0,
    },
    state: {
      ...(target && { target }),
      size,
      status: target === undefined ? unpublishedStatus(replicas) : STATUS_OF_TARGET[target.state],
      uuid,
      replica_topology: Object.fromEntries(
        replicas.map((replica) => [replica.uuid, topologyOf(replica, target !== undefined)]),
      ),
      usage: usageOf(size, replicas),
    },
  };
}

function targetOf({ uuid, size, target }: VolumePlan, replicas: readonly PlacedReplica[]): Nexus | undefined {
  if (target === undefined) return undefined;
  const { node, state = stateOfChildren(replicas) } = target;
  return {
    children: replicas.map(({ uuid, plan, pool, address }) => ({
      ...(plan.rebuilt !== undefined && { rebuildProgress: plan.rebuilt }),
      state: state === "Unknown" ? "Unknown" : plan.child,
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

const STATUS_OF_TARGET: Readonly<Record<NexusState, VolumeStatus>> = {
  Unknown: "Unknown",
  Online: "Online",
  Degraded: "Degraded",
  Faulted: "Faulted",
  ShuttingDown: "Unknown",
  Shutdown: "Shutdown",
};

function unpublishedStatus(replicas: readonly PlacedReplica[]): VolumeStatus {
  const online = replicas.filter(({ state }) => state === "Online").length;
  if (online === replicas.length) return "Online";
  return online > 0 ? "Degraded" : "Faulted";
}

function topologyOf(
  { plan, pool, volume, state, allocated, snapshotBytes }: PlacedReplica,
  published: boolean,
): ReplicaTopology {
  const child = volume.target?.state === "Unknown" ? "Unknown" : plan.child;
  return {
    node: pool.node,
    pool: pool.id,
    state,
    ...(published && { "child-status": child }),
    usage: {
      capacity: volume.size,
      allocated: allocated + snapshotBytes,
      allocated_snapshots: snapshotBytes,
      allocated_all_snapshots: snapshotBytes,
    },
    ...(published && plan.rebuilt !== undefined && { "rebuild-progress": plan.rebuilt }),
  };
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
