/**
 * What the Mayastor REST service answers, as its API description has it (fixtures/mayastor/openapi.yaml): names and
 * enumerations are the API's own.
 */

export type NodeStatus = "Unknown" | "Online" | "Offline";

export interface Node {
  readonly id: string;
  /** What the control plane has stored; missing for a node that only registered. */
  readonly spec?: NodeSpec;
  /** What the node said of itself; missing for one that did not register since the control plane began. */
  readonly state?: NodeState;
}

export interface NodeSpec {
  readonly grpcEndpoint: string;
  readonly id: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly cordondrainstate?: CordonDrainState;
  readonly node_nqn?: string;
  readonly version?: string;
}

export interface NodeState {
  readonly grpcEndpoint: string;
  readonly id: string;
  readonly status: NodeStatus;
  readonly node_nqn?: string;
  readonly version?: string;
}

export type CordonDrainState =
  | { readonly cordonedstate: { readonly cordonlabels: readonly string[] } }
  | { readonly drainingstate: DrainState }
  | { readonly drainedstate: DrainState };

export interface DrainState {
  readonly cordonlabels: readonly string[];
  readonly drainlabels: readonly string[];
}

/** Newer servers know `Suspected`. */
export type PoolStatus = "Unknown" | "Online" | "Degraded" | "Faulted" | "Suspected";
export type SpecStatus = "Creating" | "Created" | "Deleting" | "Deleted";

export interface Pool {
  readonly id: string;
  readonly spec?: PoolSpec;
  /** Missing where no node that is online has the pool loaded. */
  readonly state?: PoolState;
}

export interface PoolSpec {
  readonly disks: readonly string[];
  readonly id: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node: string;
  readonly status: SpecStatus;
}

/** Sizes are in bytes. */
export interface PoolState {
  readonly capacity: number;
  readonly disks: readonly string[];
  readonly id: string;
  readonly node: string;
  readonly status: PoolStatus;
  readonly used: number;
  readonly committed?: number;
  /** Newer servers only, as is `max_expandable_size`. */
  readonly disk_capacity?: number;
  readonly max_expandable_size?: number;
}

export type ReplicaStatus = "Unknown" | "Online" | "Degraded" | "Faulted";
export type ChildStatus = "Unknown" | "Online" | "Degraded" | "Faulted";
export type ReplicaKind = "Regular" | "Snapshot" | "SnapshotClone";
export type Protocol = "none" | "nvmf" | "iscsi" | "nbd";

export interface Replica {
  readonly node: string;
  readonly pool: string;
  readonly poolUuid?: string;
  readonly share: Protocol;
  readonly size: number;
  readonly space?: ReplicaSpaceUsage;
  readonly state: ReplicaStatus;
  readonly thin: boolean;
  readonly uri: string;
  readonly uuid: string;
  readonly "allowed-hosts"?: readonly string[];
  readonly kind: ReplicaKind;
}

export interface ReplicaSpaceUsage {
  readonly capacity_bytes: number;
  readonly allocated_bytes: number;
  readonly allocated_bytes_snapshots: number;
  readonly allocated_bytes_all_snapshots?: number;
  readonly cluster_size: number;
  readonly clusters: number;
  readonly allocated_clusters: number;
}

export interface Volumes {
  readonly entries: readonly Volume[];
  /** Missing on the last page. */
  readonly next_token?: number;
}

export interface Volume {
  readonly spec: VolumeSpec;
  readonly state: VolumeState;
}

export interface VolumeSpec {
  readonly labels?: Readonly<Record<string, string>>;
  readonly num_replicas: number;
  readonly size: number;
  readonly status: SpecStatus;
  readonly target?: { readonly node: string; readonly protocol?: "nvmf" | "iscsi" };
  readonly uuid: string;
  readonly policy: { readonly self_heal: boolean };
  readonly thin: boolean;
  readonly affinity_group?: { readonly id: string };
  readonly num_snapshots: number;
}

export type VolumeStatus = "Unknown" | "Online" | "Degraded" | "Faulted" | "Shutdown";

export interface VolumeState {
  /** Missing where the volume is not published, or no node that is online has its target. */
  readonly target?: Nexus;
  readonly size: number;
  readonly status: VolumeStatus;
  readonly uuid: string;
  /** By the replica's uuid. */
  readonly replica_topology: Readonly<Record<string, ReplicaTopology>>;
  readonly usage?: VolumeUsage;
}

export interface ReplicaTopology {
  /** Missing where no node that is online has the replica. */
  readonly node?: string;
  readonly pool?: string;
  readonly state: ReplicaStatus;
  readonly "child-status"?: ChildStatus;
  readonly usage?: ReplicaUsage;
  /** In percent, only while it is rebuilt. */
  readonly "rebuild-progress"?: number;
}

export interface ReplicaUsage {
  readonly capacity: number;
  readonly allocated: number;
  readonly allocated_snapshots: number;
  readonly allocated_all_snapshots: number;
}

export interface VolumeUsage {
  readonly capacity: number;
  readonly allocated: number;
  readonly allocated_replica: number;
  readonly allocated_snapshots: number;
  readonly allocated_all_snapshots: number;
  readonly total_allocated: number;
  readonly total_allocated_replicas: number;
  readonly total_allocated_snapshots: number;
}

export type NexusState = "Unknown" | "Online" | "Degraded" | "Faulted" | "ShuttingDown" | "Shutdown";

export interface Nexus {
  readonly children: readonly Child[];
  readonly deviceUri: string;
  readonly node: string;
  /** Rebuilds that run. */
  readonly rebuilds: number;
  readonly protocol: Protocol;
  readonly size: number;
  readonly state: NexusState;
  readonly uuid: string;
}

export interface Child {
  readonly rebuildProgress?: number;
  readonly state: ChildStatus;
  readonly uri: string;
}

/** The body of each error. */
export interface RestJsonError {
  readonly details: string;
  readonly message: string;
  readonly kind: ErrorKind;
}

export type ErrorKind =
  | "Timeout"
  | "Deserialize"
  | "Internal"
  | "InvalidArgument"
  | "DeadlineExceeded"
  | "NotFound"
  | "AlreadyExists"
  | "PermissionDenied"
  | "ResourceExhausted"
  | "FailedPrecondition"
  | "NotShared"
  | "NotPublished"
  | "AlreadyPublished"
  | "AlreadyShared"
  | "Aborted"
  | "OutOfRange"
  | "Unimplemented"
  | "Unavailable"
  | "Unauthenticated"
  | "Unauthorized"
  | "Conflict"
  | "FailedPersist"
  | "Deleting"
  | "InUse"
  | "CapacityLimitExceeded"
  | "NotAcceptable";
