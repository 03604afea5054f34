/**
 * The operator without its HTTP listeners: takes part in the election of a leader, keeps what it must know of the
 * cluster in informers, and as leader keeps the objects of every Plumbline of its namespace as declared.
 */
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { AggregateTargets } from "./aggregate.ts";
import type { KubernetesApi } from "./api.ts";

export interface OperatorOptions {
  /** In which it looks for Plumblines and writes. */
  readonly namespace: string;
  /** Without, it leads at once: for one replica on somebody's desk. */
  readonly leaderElect: boolean;
  /** Of this replica in the Lease: the name of its pod, or any other that no replica shares. */
  readonly identity: string;
  /** What a Plumbline without `spec.image` runs; undefined: the image of the pod named `identity`. */
  readonly ownImage: string | undefined;
}

export class Operator {
  constructor(_api: KubernetesApi, _options: OperatorOptions, _own: OwnMetrics, _log: Log) {}

  /** Until the signal; resolves once its Lease is released and its watches have ended. Never rejects. */
  async run(_signal: AbortSignal): Promise<void> {}

  get isLeader(): boolean {
    return false;
  }

  /** Whether it knows who leads, and, if it leads itself, has read everything that it watches once. */
  get isReady(): boolean {
    return false;
  }

  /** The identity of the leader as far as it is known. */
  get leader(): string | undefined {
    return undefined;
  }

  /** What the aggregate asks, of all Plumblines with `aggregate.enabled`; without pods where it does not lead. */
  exporterPods(): AggregateTargets {
    return { desired: 0, ready: 0, pods: [] };
  }
}
