/**
 * A Proxmox VE cluster that does not exist: a function of its size, its seed, what befell it, and the time. Whoever
 * asks for the same moment again is told the same.
 */
import type { PveEvent, PveHappening } from "./pve-events.ts";

export interface PveClusterSize {
  /** They are named pve1, pve2, … */
  readonly nodes: number;
  /** Their ids begin at 100; every third is a container. */
  readonly guests: number;
  /** Default: 4, at most 12: local, local-zfs, pbs, nfs-1, … */
  readonly storages?: number;
  /** Default: 4. */
  readonly drivesPerNode?: number;
  /** In a mixed cluster the odd nodes are upgraded. */
  readonly release: "8.4" | "9.2" | "mixed";
  readonly seed?: number;
  /** One node without a cluster around it. */
  readonly standalone?: boolean;
  /** Default: the cluster has more than one node. */
  readonly ha?: boolean;
  /** Default: the cluster has three nodes at least. */
  readonly ceph?: boolean;
  readonly name?: string;
  /** The moment 0 in Unix milliseconds. */
  readonly since?: number;
}

export interface PveClusterLife {
  /** Milliseconds since the moment 0. Default: it stays at 0. */
  readonly elapsed?: () => number;
  /** What befalls it, in any order. */
  readonly happenings?: readonly PveHappening[];
}

export class PveCluster {
  readonly size: PveClusterSize;
  readonly #happenings: PveHappening[];
  readonly #elapsed: () => number;

  constructor(size: PveClusterSize, { elapsed = () => 0, happenings = [] }: PveClusterLife = {}) {
    this.size = size;
    this.#elapsed = elapsed;
    this.#happenings = [...happenings];
  }

  get elapsedMs(): number {
    return this.#elapsed();
  }

  /** Now, or at a moment that may lie before it. */
  befall(event: PveEvent, atMs = this.elapsedMs): void {
    this.#happenings.push({ ...event, atMs });
  }
}
