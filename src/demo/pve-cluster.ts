/**
 * A Proxmox VE cluster that does not exist: a function of its size, its seed, what befell it, and the time. Whoever
 * asks for the same moment again is told the same.
 */
import type { PveEvent, PveHappening } from "./pve-events.ts";
import { type Inventory, inventoryOf } from "./pve-inventory.ts";
import { World, type WorldState } from "./pve-world.ts";

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

export interface PveState extends WorldState {
  readonly size: PveClusterSize;
  readonly inventory: Inventory;
  /** In whole seconds. */
  readonly unix: number;
  /** The moment 0. */
  readonly sinceUnix: number;
}

const SINCE = 1_774_000_000_000;

export class PveCluster {
  readonly size: PveClusterSize;
  readonly inventory: Inventory;
  readonly #happenings: PveHappening[];
  readonly #elapsed: () => number;
  #world: World;
  #state: PveState | undefined;

  constructor(size: PveClusterSize, { elapsed = () => 0, happenings = [] }: PveClusterLife = {}) {
    this.size = size;
    this.inventory = inventoryOf(size);
    this.#elapsed = elapsed;
    this.#happenings = [...happenings];
    this.#world = new World(this.inventory, this.#happenings);
  }

  get elapsedMs(): number {
    return this.#elapsed();
  }

  /** Now, or at a moment that may lie before it. */
  befall(event: PveEvent, atMs = wholeSecond(this.elapsedMs)): void {
    this.#happenings.push({ ...event, atMs });
    this.#begin();
  }

  /** The same object for the same second, as long as nothing befalls it. */
  at(ms = this.elapsedMs): PveState {
    const second = wholeSecond(ms);
    if (this.#state?.nowMs === second) return this.#state;
    if (second < this.#world.nowMs) this.#begin();
    this.#world.advance(second);
    const sinceUnix = Math.floor((this.size.since ?? SINCE) / 1000);
    this.#state = {
      ...this.#world.snapshot(),
      size: this.size,
      inventory: this.inventory,
      unix: sinceUnix + second / 1000,
      sinceUnix,
    };
    return this.#state;
  }

  #begin(): void {
    this.#world = new World(this.inventory, this.#happenings);
    this.#state = undefined;
  }
}

const wholeSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;
