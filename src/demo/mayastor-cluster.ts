/** The Mayastor clusters that the simulated REST service shows: one that lives, and one as large as wanted. */
import type { Node, Pool, Replica, Volume } from "./mayastor-api.ts";

export interface Cluster {
  readonly nodes: readonly Node[];
  readonly pools: readonly Pool[];
  readonly volumes: readonly Volume[];
  readonly replicas: readonly Replica[];
}

export interface ClusterSize {
  readonly nodes: number;
  readonly pools: number;
  readonly volumes: number;
  readonly replicasPerVolume: number;
}

/** What it looks like so many ms after it began. */
export function livingCluster(_elapsedMs: number): Cluster {
  return { nodes: [], pools: [], volumes: [], replicas: [] };
}

/** One in which all is well, for benchmarks. */
export function largeCluster(_size: ClusterSize): Cluster {
  return { nodes: [], pools: [], volumes: [], replicas: [] };
}
