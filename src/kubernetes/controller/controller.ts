/**
 * What a leader does in its term: informers keep what it must know of the cluster, and what changes in them brings the
 * Plumbline that it belongs to into the queue.
 */
import * as v from "valibot";
import { reasonOf } from "../../host/system-error.ts";
import { FaultLog } from "../../log/faults.ts";
import type { Log } from "../../log/log.ts";
import type { OwnMetrics } from "../../metrics/own.ts";
import type { AggregateTargets, ExporterPod } from "../aggregate.ts";
import type { KubernetesApi, Scope } from "../client/api.ts";
import { pause } from "../client/backoff.ts";
import { ApiFailure } from "../client/failure.ts";
import { Informer } from "../client/informer.ts";
import type { Term } from "../leader.ts";
import {
  CUSTOM_RESOURCE_DEFINITION,
  type Kind,
  type KubernetesObject,
  PLUMBLINE,
  POD,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SECURITY_CONTEXT_CONSTRAINTS,
} from "../object.ts";
import {
  DRIFT_REPAIRS_TOTAL,
  LAST_SUCCESSFUL_RECONCILE_TIMESTAMP_SECONDS,
  RECONCILE_DURATION_BUCKETS,
  RECONCILE_DURATION_SECONDS,
  RECONCILE_ERRORS_TOTAL,
  RECONCILE_TOTAL,
  WATCH_RESTARTS_TOTAL,
} from "../operator-metrics.ts";
import { clusterIdOf, metricsEndpoint } from "../resource/desired.ts";
import { type Cluster, readCluster } from "./cluster.ts";
import { Events } from "./events.ts";
import { type FailingNode, PATIENCE, type Patience } from "./health.ts";
import { keepOwned, OWNED_KINDS, type Rollout } from "./kept.ts";
import { nodesFor } from "./nodes.ts";
import { ownImage } from "./own-image.ts";
import { INSTANCE, keepPod, type Pod, podOf } from "./pods.ts";
import { QUEUE_TIMING, type QueueTiming, type Turn, WorkQueue } from "./queue.ts";
import { Reconciler, type Surroundings } from "./reconcile.ts";
import type { Refusal } from "./refused.ts";
import { TermOver, Writer } from "./writer.ts";

export interface ControllerOptions {
  readonly namespace: string;
  readonly identity: string;
  readonly ownImage: string | undefined;
  readonly timing?: Partial<ControllerTiming>;
}

export interface ControllerTiming {
  readonly queue: QueueTiming;
  readonly patience: Patience;
  /** Every Plumbline is looked at again after so long, whatever informers tell. */
  readonly resyncMs: number;
}

const TIMING: ControllerTiming = { queue: QUEUE_TIMING, patience: PATIENCE, resyncMs: 30_000 };

/** The Prometheus operator's kinds, each kept as long as its CRD exists. */
const MONITORING_KINDS: readonly Kind[] = [POD_MONITOR, PROMETHEUS_RULE];
const CORE_KINDS: readonly Kind[] = OWNED_KINDS.filter((kind) => !MONITORING_KINDS.includes(kind));

const MANAGED = "app.kubernetes.io/managed-by=plumbline-operator";
const EXPORTERS = "app.kubernetes.io/name=plumbline,app.kubernetes.io/component=exporter";

export class Controller {
  readonly #api: KubernetesApi;
  readonly #options: ControllerOptions;
  readonly #timing: ControllerTiming;
  readonly #term: Term;
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #faults: FaultLog;
  readonly #queue: WorkQueue;
  readonly #around: Surroundings;
  readonly #plumblines: Informer;
  readonly #pods: Informer;
  /** By the kind's name: what is owned, as far as it is watched. */
  readonly #owned = new Map<string, Running>();
  /** By the kind whose CRD it is. */
  readonly #crds = new Map<Kind, Informer>();
  readonly #reconcilers = new Map<
    string,
    { readonly uid: string | undefined; readonly reconciler: Reconciler }
  >();
  readonly #runs = new Set<Promise<void>>();
  #cluster: Cluster | undefined;
  #clusterReadAt = 0;
  #ownImage: { readonly name: string | undefined } | undefined;
  #isStarted = false;

  constructor(api: KubernetesApi, options: ControllerOptions, term: Term, own: OwnMetrics, log: Log) {
    this.#api = api;
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#term = term;
    this.#own = own;
    this.#log = log;
    this.#faults = new FaultLog(log);
    this.#queue = new WorkQueue((name) => this.#turn(name), this.#timing.queue);
    this.#plumblines = this.#informer(PLUMBLINE, this.#here(), (plumbline) =>
      this.#plumblineChanged(plumbline),
    );
    this.#pods = this.#informer(POD, this.#here(EXPORTERS), (pod) => this.#podChanged(pod), keepPod);
    for (const kind of MONITORING_KINDS) this.#crds.set(kind, this.#crdInformer(kind));
    this.#around = this.#surroundings();
  }

  /** Until the term ends; nothing is written after that. */
  async run(): Promise<void> {
    const { signal } = this.#term;
    for (const kind of CORE_KINDS) this.#watchOwned(kind);
    for (const informer of [this.#plumblines, this.#pods, ...this.#crds.values()])
      this.#start(informer, signal);
    while (!signal.aborted && !this.#isSettled()) await pause(20, signal);
    this.#isStarted = !signal.aborted;
    while (!signal.aborted) {
      this.#addAll();
      await pause(this.#timing.resyncMs, signal);
    }
    await this.#queue.close();
    await Promise.all(this.#runs);
  }

  /** Whether it has read all that it watches once. */
  get isReady(): boolean {
    return this.#isStarted;
  }

  get areAllValid(): boolean {
    return [...this.#reconcilers.values()].every(({ reconciler }) => reconciler.isValid);
  }

  get rollouts(): readonly Rollout[] {
    return [...this.#reconcilers.values()].flatMap(({ reconciler }) => reconciler.rollout ?? []);
  }

  get failing(): readonly FailingNode[] {
    return [...this.#reconcilers.values()].flatMap(({ reconciler }) => reconciler.failing);
  }

  exporterPods(): AggregateTargets {
    const asked = [...this.#reconcilers].filter(([, { reconciler }]) => reconciler.spec?.aggregate.enabled);
    const rollouts = asked.flatMap(([, { reconciler }]) => reconciler.rollout ?? []);
    return {
      desired: sum(rollouts.map(({ desired }) => desired)),
      ready: sum(rollouts.map(({ ready }) => ready)),
      pods: asked.flatMap(([name, { reconciler }]) => this.#targets(name, reconciler)),
    };
  }

  #targets(plumbline: string, { spec }: Reconciler): ExporterPod[] {
    if (spec === undefined) return [];
    const { port, path } = metricsEndpoint(spec);
    const clusterId = clusterIdOf(spec, { clusterId: this.#cluster?.clusterId });
    return this.#podsOf(plumbline).flatMap((pod) => {
      if (!pod.isReady || pod.isLeaving || pod.node === undefined || pod.ip === undefined) return [];
      const host = pod.ip.includes(":") ? `[${pod.ip}]` : pod.ip;
      const url = `http://${host}:${pod.port ?? port}${path}`;
      return [{ node: pod.node, url, families: spec.aggregate.families, clusterId }];
    });
  }

  async #turn(name: string): Promise<Turn> {
    const plumbline = this.#plumblines.get(name, this.#options.namespace);
    if (plumbline === undefined) {
      this.#reconcilers.delete(name);
      return undefined;
    }
    const done = this.#own.histogram(RECONCILE_DURATION_SECONDS, RECONCILE_DURATION_BUCKETS).startTimer();
    try {
      const { result, againMs } = await this.#reconciler(plumbline).reconcile(plumbline);
      this.#own.counter(RECONCILE_TOTAL).inc({ result });
      if (result === "success")
        this.#own.gauge(LAST_SUCCESSFUL_RECONCILE_TIMESTAMP_SECONDS).set(Date.now() / 1000);
      this.#faults.recover(name, "reconciles again", { plumbline: name });
      return againMs === undefined ? undefined : { againMs };
    } catch (error) {
      return error instanceof TermOver || this.#term.signal.aborted ? undefined : this.#failed(name, error);
    } finally {
      done();
    }
  }

  #failed(name: string, error: unknown): Turn {
    const failure = error instanceof ApiFailure ? error : undefined;
    const reason = failure?.reason ?? "internal";
    this.#own.counter(RECONCILE_TOTAL).inc({ result: "failed" });
    this.#own.counter(RECONCILE_ERRORS_TOTAL).inc({ reason });
    this.#faults.fail(name, "cannot reconcile; tries again", {
      plumbline: name,
      reason,
      err: reasonOf(error),
    });
    return { failed: true, retryAfterMs: failure?.retryAfterMs };
  }

  /** A Plumbline that was deleted and made anew begins from nothing. */
  #reconciler(plumbline: KubernetesObject): Reconciler {
    const { name, uid } = plumbline.metadata;
    const known = this.#reconcilers.get(name);
    if (known?.uid === uid && known !== undefined) return known.reconciler;
    const reconciler = new Reconciler(plumbline, this.#around);
    this.#reconcilers.set(name, { uid, reconciler });
    return reconciler;
  }

  #surroundings(): Surroundings {
    const writer = new Writer(this.#api, this.#term);
    const controller = this;
    return {
      storeOf: (kind) => this.#owned.get(kind)?.informer,
      pods: (plumbline) => (this.#pods.hasSynced ? this.#podsOf(plumbline) : undefined),
      nodes: (spec) => nodesFor(spec, this.#api, this.#term.signal),
      cluster: () => this.#readCluster(),
      ownImage: () => this.#readOwnImage(),
      missingCrds: () => MONITORING_KINDS.filter((kind) => !this.#hasCrd(kind)).map(crdName),
      get monitoring() {
        return {
          podMonitor: controller.#hasCrd(POD_MONITOR),
          prometheusRule: controller.#hasCrd(PROMETHEUS_RULE),
        };
      },
      get blindness() {
        return controller.#blindness();
      },
      writer,
      events: new Events(writer, this.#options.identity, this.#log),
      patience: this.#timing.patience,
      log: this.#log,
      repaired: (kind) => this.#own.counter(DRIFT_REPAIRS_TOTAL).inc({ kind }),
      failed: ({ reason }) => this.#own.counter(RECONCILE_ERRORS_TOTAL).inc({ reason }),
    };
  }

  #podsOf(plumbline: string): readonly Pod[] {
    return this.#pods
      .list()
      .filter(({ metadata }) => metadata.labels?.[INSTANCE] === plumbline)
      .map(podOf);
  }

  /** Once in a term; again as long as a right is missing, which somebody may give. */
  async #readCluster(): Promise<Cluster> {
    const isStale = performance.now() - this.#clusterReadAt >= this.#timing.resyncMs;
    if (this.#cluster === undefined || (this.#cluster.refusals.length > 0 && isStale)) {
      this.#cluster = await readCluster(this.#api, this.#term.signal);
      this.#clusterReadAt = performance.now();
      if (this.#cluster.isOpenShift)
        this.#watchOwned(SECURITY_CONTEXT_CONSTRAINTS, { labelSelector: MANAGED });
    }
    const constraints = this.#owned.get(SECURITY_CONTEXT_CONSTRAINTS.kind)?.informer;
    const hasConstraints = constraints?.hasSynced !== true || constraints.exists;
    return { ...this.#cluster, isOpenShift: this.#cluster.isOpenShift && hasConstraints };
  }

  async #readOwnImage(): Promise<string | undefined> {
    const { ownImage: given, identity, namespace } = this.#options;
    if (given !== undefined) return given;
    this.#ownImage ??= { name: await ownImage(this.#api, { name: identity, namespace }, this.#term.signal) };
    return this.#ownImage.name;
  }

  /** What may not be watched is told; what merely cannot be at this moment comes again by itself. */
  #blindness(): readonly Refusal[] {
    const informers = [
      this.#pods,
      ...[...this.#owned.values()].map(({ informer }) => informer),
      ...this.#crds.values(),
    ];
    return informers.flatMap(({ failure }) =>
      failure?.reason === "forbidden" ? [{ reason: failure.reason, message: failure.message }] : [],
    );
  }

  #isSettled(): boolean {
    const core = CORE_KINDS.flatMap(({ kind }) => this.#owned.get(kind)?.informer ?? []);
    const others = [this.#pods, ...this.#crds.values(), ...core];
    return (
      this.#plumblines.hasSynced &&
      others.every(({ hasSynced, failure }) => hasSynced || failure?.reason === "forbidden")
    );
  }

  #hasCrd(kind: Kind): boolean {
    return this.#crds.get(kind)?.list().some(isEstablished) === true;
  }

  #crdInformer(kind: Kind): Informer {
    const scope = { fieldSelector: `metadata.name=${crdName(kind)}` };
    return this.#informer(CUSTOM_RESOURCE_DEFINITION, scope, () => this.#crdChanged(kind), keepCrd);
  }

  #crdChanged(kind: Kind): void {
    const running = this.#owned.get(kind.kind);
    if (this.#hasCrd(kind) && running === undefined) this.#watchOwned(kind);
    if (!this.#hasCrd(kind) && running !== undefined) {
      running.stop.abort();
      this.#owned.delete(kind.kind);
    }
    this.#addAll();
  }

  #watchOwned(kind: Kind, scope: Scope = this.#here(MANAGED)): void {
    if (this.#term.signal.aborted || this.#owned.has(kind.kind)) return;
    const stop = new AbortController();
    const informer = this.#informer(kind, scope, (object) => this.#ownedChanged(object), keepOwned);
    this.#owned.set(kind.kind, { informer, stop });
    this.#start(informer, AbortSignal.any([this.#term.signal, stop.signal]));
  }

  #informer(
    kind: Kind,
    scope: Scope,
    onChange: (object: KubernetesObject) => void,
    keep: (object: KubernetesObject) => KubernetesObject = (object) => object,
  ): Informer {
    const onRestart = (reason: string) => {
      this.#own.counter(WATCH_RESTARTS_TOTAL).inc({ kind: kind.kind, reason });
      if (reason === "forbidden") this.#addAll();
      if (reason === "not_found" && kind === PLUMBLINE) this.#faults.fail("kind", NO_KIND, { err: NO_CRD });
    };
    // What might not be watched is told in a condition.
    const onRecover = () => {
      if (kind === PLUMBLINE) this.#faults.recover("kind", "the kind Plumbline is known");
      this.#addAll();
    };
    return new Informer(this.#api, kind, scope, { log: this.#log, onChange, onRestart, onRecover, keep });
  }

  #start(informer: Informer, signal: AbortSignal): void {
    const run = this.#keepRunning(informer, signal).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }

  /** A fault of ours in one informer must not leave the operator blind for as long as it lives. */
  async #keepRunning(informer: Informer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await informer.run(signal);
      } catch (error) {
        this.#faults.fail("informer", "a watch ended by a fault; please report it", { err: reasonOf(error) });
        await pause(this.#timing.resyncMs, signal);
      }
    }
  }

  #here(labelSelector?: string): Scope {
    const { namespace } = this.#options;
    return labelSelector === undefined ? { namespace } : { namespace, labelSelector };
  }

  /** What was only our own status brings no turn. */
  #plumblineChanged(plumbline: KubernetesObject): void {
    const { name } = plumbline.metadata;
    if (this.#reconcilers.get(name)?.reconciler.wrote(plumbline) !== true) this.#add(name);
  }

  /** By its owner, not by a label, which may be what was changed. */
  #ownedChanged({ metadata }: KubernetesObject): void {
    const owners = metadata.ownerReferences?.filter(({ kind }) => kind === PLUMBLINE.kind) ?? [];
    for (const { name } of owners) if (name !== undefined) this.#add(name);
    if (owners.length === 0) this.#addAll();
  }

  #podChanged({ metadata }: KubernetesObject): void {
    const plumbline = metadata.labels?.[INSTANCE];
    if (plumbline !== undefined) this.#add(plumbline);
  }

  #addAll(): void {
    for (const { metadata } of this.#plumblines.list()) this.#add(metadata.name);
  }

  /** Before all is read that is watched, nothing can be said of anything. */
  #add(name: string): void {
    if (this.#isStarted) this.#queue.add(name);
  }
}

interface Running {
  readonly informer: Informer;
  readonly stop: AbortController;
}

const crdName = ({ apiVersion, plural }: Kind): string => `${plural}.${apiVersion.replace(/\/.*/, "")}`;

const NO_KIND =
  "the kind Plumbline is not known, so that there is nothing to do; apply the operator's overlay";
const NO_CRD = `the CRD ${crdName(PLUMBLINE)} does not exist`;

const CrdSchema = v.object({
  status: v.fallback(
    v.optional(
      v.object({ conditions: v.optional(v.array(v.object({ type: v.string(), status: v.string() })), []) }),
    ),
    undefined,
  ),
});

/** CRDs of the Prometheus operator are large. */
const keepCrd = ({ metadata, ...object }: KubernetesObject): KubernetesObject => {
  const { name, uid, resourceVersion, deletionTimestamp } = metadata;
  return { metadata: { name, uid, resourceVersion, deletionTimestamp }, ...v.parse(CrdSchema, object) };
};

/** The API server serves its kind. */
function isEstablished(crd: KubernetesObject): boolean {
  const conditions = v.parse(CrdSchema, crd).status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === "Established" && status === "True");
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
