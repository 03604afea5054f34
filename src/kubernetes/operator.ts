/**
 * The operator without its HTTP listeners: takes part in the election of a leader, and as leader keeps the objects of
 * every Plumbline of its namespace as declared.
 */
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { AggregateTargets } from "./aggregate.ts";
import type { KubernetesApi } from "./client/api.ts";
import { API_REASONS } from "./client/failure.ts";
import { Controller, type ControllerTiming } from "./controller/controller.ts";
import { OWNED_KINDS } from "./controller/kept.ts";
import { Election, type LeaseTiming, type Term } from "./leader.ts";
import {
  CONFIG_VALID,
  DAEMONSET_PODS_DESIRED,
  DAEMONSET_PODS_READY,
  DRIFT_REPAIRS_TOTAL,
  LEADER,
  NODE_FAILING,
  RECONCILE_ERRORS_TOTAL,
  RECONCILE_TOTAL,
} from "./operator-metrics.ts";

export interface OperatorOptions {
  /** In which it looks for Plumblines and writes. */
  readonly namespace: string;
  /** Without, it leads at once: for one replica on somebody's desk. */
  readonly leaderElect: boolean;
  /** Of this replica in the Lease: the name of its pod, or any other that no replica shares. */
  readonly identity: string;
  /** What a Plumbline without `spec.image` runs; undefined: the image of the pod named `identity`. */
  readonly ownImage: string | undefined;
  /** Other times than the usual, for tests. */
  readonly timing?: { readonly lease?: LeaseTiming; readonly controller?: Partial<ControllerTiming> };
}

export class Operator {
  readonly #api: KubernetesApi;
  readonly #options: OperatorOptions;
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #election: Election;
  /** As long as it leads. */
  #controller: Controller | undefined;

  constructor(api: KubernetesApi, options: OperatorOptions, own: OwnMetrics, log: Log) {
    this.#api = api;
    this.#options = options;
    this.#own = own;
    this.#log = log;
    this.#election = new Election(api, options, log, options.timing?.lease);
    this.#observe();
  }

  /** Until the signal; resolves once its Lease is released and its watches have ended. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#options.leaderElect) await this.#election.run(signal, (term) => this.#lead(term));
    else await this.#lead({ signal, isOver: () => signal.aborted });
  }

  get isLeader(): boolean {
    return this.#controller !== undefined && (!this.#options.leaderElect || this.#election.isLeader);
  }

  /** Whether it knows who leads, and, if it leads itself, has read all that it watches once. */
  get isReady(): boolean {
    return this.#controller?.isReady ?? this.leader !== undefined;
  }

  /** The identity of the leader as far as it is known. */
  get leader(): string | undefined {
    return this.#options.leaderElect ? this.#election.leader : this.#options.identity;
  }

  /** What the aggregate asks, of all Plumblines with `aggregate.enabled`; without pods where it does not lead. */
  exporterPods(): AggregateTargets {
    return this.#controller?.exporterPods() ?? { desired: 0, ready: 0, pods: [] };
  }

  async #lead(term: Term): Promise<void> {
    const { namespace, identity, ownImage, timing } = this.#options;
    const options = { namespace, identity, ownImage, timing: timing?.controller ?? {} };
    this.#controller = new Controller(this.#api, options, term, this.#own, this.#log);
    try {
      await this.#controller.run();
    } finally {
      this.#controller = undefined;
    }
  }

  #observe(): void {
    startCounters(this.#own);
    const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
    this.#own.gauge(LEADER, (gauge) => gauge.set(this.isLeader ? 1 : 0));
    this.#ofLeader(CONFIG_VALID, (controller) => (controller.areAllValid ? 1 : 0));
    this.#ofLeader(DAEMONSET_PODS_DESIRED, ({ rollouts }) => sum(rollouts.map(({ desired }) => desired)));
    this.#ofLeader(DAEMONSET_PODS_READY, ({ rollouts }) => sum(rollouts.map(({ ready }) => ready)));
    this.#own.gauge(NODE_FAILING, (gauge) => {
      gauge.reset();
      for (const { node, why } of this.#controller?.failing ?? []) gauge.set({ node, reason: why }, 1);
    });
  }

  /** A replica that does not lead has no value. */
  #ofLeader(descriptor: typeof CONFIG_VALID, value: (controller: Controller) => number): void {
    this.#own.gauge(descriptor, (gauge) => {
      if (this.#controller === undefined) gauge.remove();
      else gauge.set(value(this.#controller));
    });
  }
}

/** From 0, so that the first one is an increase. */
function startCounters(own: OwnMetrics): void {
  for (const result of ["success", "degraded", "invalid", "failed"])
    own.counter(RECONCILE_TOTAL).inc({ result }, 0);
  for (const reason of API_REASONS) own.counter(RECONCILE_ERRORS_TOTAL).inc({ reason }, 0);
  for (const { kind } of OWNED_KINDS) own.counter(DRIFT_REPAIRS_TOTAL).inc({ kind }, 0);
}
