/**
 * A Proxmox VE API that is simulated: what one node of a cluster answers at port 8006. It speaks HTTP by itself,
 * because no framework lets a server say 596 or put a sentence into the status line.
 */
import type { PveCluster } from "./pve-cluster.ts";
import type { PveUser } from "./pve-users.ts";

export interface PveApiOptions {
  readonly users: readonly PveUser[];
  /** The node that is asked; the others are asked by it. Default: pve1. */
  readonly node?: string;
  /** Texts in PEM. Default: a certificate for localhost (PVE_TEST_CERTIFICATE); false: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string } | false;
  readonly port?: number;
  /** Numbers as texts and falsehood as "", as chance has it (`loose`, the default), or as most often (`usual`). */
  readonly types?: "loose" | "usual";
  /** Whether the text of an error stands in its body too. Default: as the release of the asked node has it. */
  readonly errorBodies?: "old" | "new";
  /** What can be changed while it runs. */
  readonly knobs?: Partial<PveApiKnobs>;
}

export interface PveApiKnobs {
  /** Of every answer. */
  latencyMs: number;
  /** On top of it, where another node is asked. */
  proxiedLatencyMs: number;
  /** A 401 is late (3000). */
  unauthorizedDelayMs: number;
  /** How long a node waits for another one, or for its own daemon, before it says 596 (30,000). */
  hangMs: number;
  /** How late a slow node is (3000). */
  slowMs: number;
  /** smartctl on one drive (0), and on one that sleeps (0). */
  smartMs: number;
  spinUpMs: number;
  /** A loser of the replication lock tries again so often (1000), so long (10,000). */
  lockRetryMs: number;
  lockTimeoutMs: number;
  /** The connection is reset instead of every n-th answer; 0: never. */
  resetEvery: number;
  ticketLifetimeMs: number;
  idleMs: number;
  requestsPerConnection: number;
  /** Calls that one node works on at the same time (3); the others wait. */
  workersPerNode: number;
}

export interface SeenRequest {
  readonly method: string;
  /** After /api2/json, with its query. */
  readonly path: string;
  /** The node that it is for; undefined for the whole cluster. */
  readonly node: string | undefined;
  /** 0 until it is answered, and for one that never was. */
  status: number;
}

/** What has been asked so far. */
export class PveRequests {
  readonly seen: SeenRequest[] = [];
  /** By path without the query. */
  readonly counts = new Map<string, number>();
  /** Bodies that came with a request. */
  readonly bodies: string[] = [];
  /** Connections that were made. */
  connections = 0;
  /** How many requests were open at once. */
  highest = 0;
  readonly highestPerNode = new Map<string, number>();
}

export class PveApi implements AsyncDisposable {
  readonly cluster: PveCluster;
  readonly options: PveApiOptions;
  readonly knobs: PveApiKnobs;
  readonly requests = new PveRequests();
  /** How often a sleeping drive was woken, by `NODE/DEVPATH`: `pve1//dev/sda`. */
  readonly wakeups = new Map<string, number>();

  constructor(cluster: PveCluster, options: PveApiOptions) {
    this.cluster = cluster;
    this.options = options;
    this.knobs = { ...KNOBS, ...options.knobs };
  }

  /** Answers `https://127.0.0.1:PORT`. Rejects with the system's error where it cannot listen. */
  start(): Promise<string> {
    return Promise.reject(new Error("not yet"));
  }

  /** Ends every connection, answered or not. */
  async stop(): Promise<void> {}

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

const KNOBS: PveApiKnobs = {
  latencyMs: 0,
  proxiedLatencyMs: 0,
  unauthorizedDelayMs: 3000,
  hangMs: 30_000,
  slowMs: 3000,
  smartMs: 0,
  spinUpMs: 0,
  lockRetryMs: 1000,
  lockTimeoutMs: 10_000,
  resetEvery: 0,
  ticketLifetimeMs: 2 * 3600 * 1000,
  idleMs: 5000,
  requestsPerConnection: 100,
  workersPerNode: 3,
};
