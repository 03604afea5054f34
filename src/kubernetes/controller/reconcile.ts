/**
 * Brings one Plumbline from how it stands to how it is declared: checks its spec, keeps its objects, and writes what
 * it sees into its status. It looks into informers; requests are made only for what has to change.
 */
import { isDeepStrictEqual } from "node:util";
import { FaultLog } from "../../log/faults.ts";
import type { Log } from "../../log/log.ts";
import { ApiFailure } from "../client/failure.ts";
import {
  DAEMON_SET,
  type KubernetesObject,
  type Manifest,
  PLUMBLINE,
  SECURITY_CONTEXT_CONSTRAINTS,
} from "../object.ts";
import { constraintsName, type DesiredContext, desiredObjects, ownedName } from "../resource/desired.ts";
import { parsePlumbline } from "../resource/plumbline.ts";
import type { PlumblineSpec } from "../resource/spec-schema.ts";
import type { Cluster } from "./cluster.ts";
import { isBefore } from "./drift.ts";
import type { Events } from "./events.ts";
import { addFinalizer, hasFinalizer, retire } from "./finalizer.ts";
import { type FailingNode, type Health, HealthWatch, type Patience } from "./health.ts";
import { type Change, Keeper, type Store } from "./keeper.ts";
import { keepOwned, type Rollout, rolloutOf } from "./kept.ts";
import { NodesWithoutPod } from "./nodes-without-pod.ts";
import type { Pod } from "./pods.ts";
import { concernsAll, type Refusal, Refused } from "./refused.ts";
import { MAX_NODES_FAILING, type PlumblineStatus, several, statusOf, writtenStatus } from "./status.ts";
import { transitions } from "./transitions.ts";
import type { Writer } from "./writer.ts";

/** What is around all Plumblines alike. */
export interface Surroundings {
  /** Undefined for a kind that is not watched. */
  storeOf(kind: string): Store | undefined;
  /** Undefined where they may not be seen. */
  pods(plumbline: string): readonly Pod[] | undefined;
  /** Names of the nodes on which there should be a pod; asks the API server. */
  nodes(spec: PlumblineSpec): Promise<readonly string[]>;
  cluster(): Promise<Cluster>;
  ownImage(): Promise<string | undefined>;
  /** Names of CRDs of the Prometheus operator. */
  missingCrds(): readonly string[];
  readonly monitoring: DesiredContext["monitoring"];
  /** What may not be watched. */
  readonly blindness: readonly Refusal[];
  readonly writer: Writer;
  readonly events: Events;
  readonly patience: Patience;
  readonly log: Log;
  repaired(kind: string): void;
  failed(failure: ApiFailure): void;
}

export type Result = "success" | "degraded" | "invalid";

export class Reconciler {
  readonly #around: Surroundings;
  readonly #keeper: Keeper;
  readonly #health: HealthWatch;
  readonly #withoutPod: NodesWithoutPod;
  readonly #faults: FaultLog;
  readonly #statusRefused = new Refused();
  readonly #finalizerRefused = new Refused();
  #spec: PlumblineSpec | undefined;
  #isValid = true;
  #rollout: Rollout | undefined;
  #status: PlumblineStatus | undefined;
  #failing: ReadonlySet<string>;
  #failingNow: readonly FailingNode[] = [];
  /** The status that was sent last, and what the server made of it. */
  #sent: PlumblineStatus | undefined;
  #answered: KubernetesObject | undefined;
  #daemonSet: KubernetesObject | undefined;
  #deletionSeenAt: number | undefined;

  constructor(plumbline: KubernetesObject, around: Surroundings) {
    this.#around = around;
    this.#keeper = new Keeper(around.writer, (kind) => around.storeOf(kind));
    this.#status = writtenStatus(plumbline);
    this.#failing = new Set(this.#status?.nodesFailing);
    this.#health = new HealthWatch([...this.#failing], around.patience);
    this.#withoutPod = new NodesWithoutPod(async () =>
      this.#spec === undefined ? [] : around.nodes(this.#spec),
    );
    this.#faults = new FaultLog(around.log);
  }

  /** The last valid one. */
  get spec(): PlumblineSpec | undefined {
    return this.#spec;
  }

  get isValid(): boolean {
    return this.#isValid;
  }

  get rollout(): Rollout | undefined {
    return this.#rollout;
  }

  /** At most as many as the status names. */
  get failing(): readonly FailingNode[] {
    return this.#failingNow.slice(0, MAX_NODES_FAILING);
  }

  /** Whether the Plumbline changed by nothing but the status that was written here. */
  wrote(plumbline: KubernetesObject): boolean {
    const version = plumbline.metadata.resourceVersion;
    return version !== undefined && version === this.#answered?.metadata.resourceVersion;
  }

  /** Rejects with ApiFailure where no request has a prospect now, and with TermOver. */
  async reconcile(plumbline: KubernetesObject): Promise<Reconciled> {
    if (plumbline.metadata.deletionTimestamp !== undefined) return this.#retire(plumbline);
    const context = await this.#context();
    const problems = this.#read(plumbline, context);
    const work = this.#spec === undefined ? NOTHING : await this.#keep(plumbline, this.#spec, context);
    this.#note(work.changes);
    const pods = this.#around.pods(plumbline.metadata.name);
    this.#rollout = asPodsShow(this.#seenRollout(plumbline, work.changes), pods);
    const health = pods === undefined ? UNSEEN : this.#health.look(pods, this.#rollout);
    const withoutPod = await this.#withoutPod.look(health.withoutPod, pods ?? []);
    const failing = byName([...health.failing, ...withoutPod.nodes.map((node) => ({ node, why: "no pod" }))]);
    const refusals = [...context.refusals, ...this.#around.blindness, ...work.refusals];
    const status = statusOf(
      {
        generation: plumbline.metadata.generation ?? 0,
        problems,
        refusals,
        rollout: this.#rollout,
        failing,
        withoutPod,
        daemonSet: { name: ownedName(plumbline), namespace: plumbline.metadata.namespace },
        monitoring: {
          enabled: this.#spec?.monitoring.enabled ?? "auto",
          missing: this.#around.missingCrds(),
        },
      },
      this.#status,
    );
    const news = transitions({
      before: this.#status,
      after: status,
      changes: work.changes,
      failing,
      failedBefore: this.#failing,
    });
    this.#status = status;
    this.#failing = new Set(failing.map(({ node }) => node));
    this.#failingNow = failing;
    await this.#write(plumbline, status);
    for (const transition of news) await this.#around.events.tell(plumbline, transition);
    this.#log(plumbline, problems, refusals);
    return {
      result: problems.length > 0 ? "invalid" : refusals.length > 0 ? "degraded" : "success",
      againMs: soonest(work.againMs, health.againMs, this.#statusRefused.pauseMs || undefined),
    };
  }

  async #context(): Promise<DesiredContext & { readonly refusals: readonly Refusal[] }> {
    const { monitoring } = this.#around;
    return { ...(await this.#around.cluster()), ownImage: await this.#around.ownImage(), monitoring };
  }

  /** What is wrong with the spec; while anything is, the last valid one stays in force. */
  #read(plumbline: KubernetesObject, { ownImage }: DesiredContext): readonly string[] {
    const parsed = parsePlumbline(plumbline);
    let problems = "problems" in parsed ? parsed.problems.map(({ message }) => message) : [];
    if ("spec" in parsed) {
      if (parsed.spec.image === undefined && ownImage === undefined) problems = [NO_IMAGE];
      else this.#spec = parsed.spec;
    }
    this.#isValid = problems.length === 0;
    return problems;
  }

  async #keep(plumbline: KubernetesObject, spec: PlumblineSpec, context: DesiredContext): Promise<Work> {
    const wanted = desiredObjects(plumbline, spec, context);
    const isRemovable = await this.#ensureRemovable(plumbline, wanted);
    const manifests = isRemovable ? wanted : wanted.filter((manifest) => !isClusterScoped(manifest));
    const kept = await this.#keeper.keep(manifests);
    const pruned = await this.#keeper.prune(plumbline, manifests);
    for (const failure of [...kept.failures, ...pruned.failures]) this.#around.failed(failure);
    const refused = this.#finalizerRefused.refusal;
    return {
      changes: kept.changes,
      refusals: [...(refused === undefined ? [] : [refused]), ...kept.refusals, ...pruned.refusals],
      againMs: soonest(kept.againMs, pruned.againMs, this.#finalizerRefused.pauseMs || undefined),
    };
  }

  /** Whether what is wanted can be removed again with the Plumbline: what is cluster-scoped only by a finalizer. */
  async #ensureRemovable(plumbline: KubernetesObject, wanted: readonly Manifest[]): Promise<boolean> {
    if (hasFinalizer(plumbline) || !wanted.some(isClusterScoped)) return true;
    if (this.#finalizerRefused.pauseMs > 0) return false;
    try {
      await addFinalizer(plumbline, this.#around.writer);
      this.#finalizerRefused.clear();
      return true;
    } catch (error) {
      this.#around.failed(lesser(error));
      this.#finalizerRefused.again(lesser(error));
      return false;
    }
  }

  #note(changes: readonly Change[]): void {
    for (const { manifest, how } of changes) {
      const { kind, metadata } = manifest;
      const { name } = metadata;
      if (how !== "put back" && how !== "made again") {
        this.#around.log.info("object applied", { kind, name, why: how });
        continue;
      }
      this.#around.repaired(kind);
      // Of somebody who changes it again and again not a line each time.
      this.#faults.fail(`${kind} ${name}`, "object applied", { kind, name, why: how }, "info");
    }
  }

  /** Of the DaemonSet as the informer has it, or as the API server answered it if that is newer. */
  #seenRollout(plumbline: KubernetesObject, changes: readonly Change[]): Rollout | undefined {
    const applied = changes.find(({ manifest }) => manifest.kind === DAEMON_SET.kind)?.after;
    if (applied !== undefined) this.#daemonSet = keepOwned(applied);
    const seen = this.#around
      .storeOf(DAEMON_SET.kind)
      ?.get(ownedName(plumbline), plumbline.metadata.namespace);
    const isNewer = isBefore(seen?.metadata.resourceVersion, this.#daemonSet?.metadata.resourceVersion);
    const newest = isNewer ? this.#daemonSet : (seen ?? applied);
    return newest === undefined ? undefined : rolloutOf(newest);
  }

  async #write(plumbline: KubernetesObject, status: PlumblineStatus): Promise<void> {
    if (this.#isWritten(plumbline, status) || this.#statusRefused.pauseMs > 0) return;
    const { name, namespace } = plumbline.metadata;
    try {
      const { writer } = this.#around;
      this.#answered = await writer.patch(PLUMBLINE, name, namespace, { status }, { subresource: "status" });
      this.#sent = status;
      this.#statusRefused.clear();
      this.#faults.recover("status", "the status can be written again", { plumbline: name });
    } catch (error) {
      const failure = lesser(error);
      if (failure.reason === "not_found") return;
      this.#around.failed(failure);
      this.#statusRefused.again(failure);
      const { reason, message } = failure;
      this.#faults.fail("status", "cannot write the status", { plumbline: name, reason, err: message });
    }
  }

  /** Also where the server keeps something else than was sent, as one with an older CRD does. */
  #isWritten(plumbline: KubernetesObject, status: PlumblineStatus): boolean {
    const answered = this.#answered;
    const isOld = isBefore(plumbline.metadata.resourceVersion, answered?.metadata.resourceVersion);
    const standing = writtenStatus(isOld && answered !== undefined ? answered : plumbline);
    if (isDeepStrictEqual(status, standing)) return true;
    if (answered === undefined || !isDeepStrictEqual(status, this.#sent)) return false;
    return isDeepStrictEqual(standing, writtenStatus(answered));
  }

  #log({ metadata }: KubernetesObject, problems: readonly string[], refusals: readonly Refusal[]): void {
    const plumbline = metadata.name;
    if (problems.length > 0) {
      const err = several(problems);
      this.#faults.fail("spec", "the spec is invalid; what runs is left as it is", {
        plumbline,
        err,
        reason: err,
      });
    } else this.#faults.recover("spec", "the spec is valid again", { plumbline });
    if (refusals.length > 0) {
      const err = several(refusals.map(({ message }) => message));
      this.#faults.fail("objects", "not everything can be kept as declared", { plumbline, err, reason: err });
    } else this.#faults.recover("objects", "everything can be kept as declared again", { plumbline });
  }

  async #retire(plumbline: KubernetesObject): Promise<Reconciled> {
    const { name } = plumbline.metadata;
    if (!hasFinalizer(plumbline)) return { result: "success", againMs: undefined };
    this.#deletionSeenAt ??= performance.now();
    const { writer, events, log } = this.#around;
    const left = await retire(plumbline, writer, performance.now() - this.#deletionSeenAt);
    if (left === undefined) {
      log.info("removed what is cluster-scoped; the Plumbline may go", { plumbline: name });
      return { result: "success", againMs: undefined };
    }
    const scc = constraintsName(plumbline);
    const message = `${SECURITY_CONTEXT_CONSTRAINTS.kind} ${scc} is left behind, remove it by hand: ${left.message}`;
    log.warn("the Plumbline goes, and something stays", { plumbline: name, err: message });
    this.#around.failed(left);
    await events.tell(plumbline, { type: "Warning", reason: "CleanupRefused", message });
    return { result: "degraded", againMs: undefined };
  }
}

export interface Reconciled {
  readonly result: Result;
  readonly againMs: number | undefined;
}

interface Work {
  readonly changes: readonly Change[];
  readonly refusals: readonly Refusal[];
  readonly againMs: number | undefined;
}

const NOTHING: Work = { changes: [], refusals: [], againMs: undefined };

const UNSEEN: Health = { failing: [], withoutPod: 0, againMs: undefined };

/** The DaemonSet's controller may have left an old count: see health.ts. */
function asPodsShow(rollout: Rollout | undefined, pods: readonly Pod[] | undefined): Rollout | undefined {
  if (rollout === undefined || pods === undefined) return rollout;
  const ready = Math.min(rollout.ready, pods.filter(({ isReady }) => isReady).length);
  return { ...rollout, ready, unavailable: Math.max(rollout.unavailable, rollout.desired - ready) };
}

const NO_IMAGE =
  "spec.image is not set, and the operator cannot tell its own image: set one, here or with --operator.image";

const isClusterScoped = ({ kind }: Manifest): boolean => kind === SECURITY_CONTEXT_CONSTRAINTS.kind;

/** The failure of one request; what concerns all of them, or is none of the API server's, is thrown. */
function lesser(error: unknown): ApiFailure {
  if (error instanceof ApiFailure && !concernsAll(error)) return error;
  throw error;
}

const byName = (failing: readonly FailingNode[]): readonly FailingNode[] =>
  failing.toSorted((a, b) => (a.node < b.node ? -1 : 1));

function soonest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((ms) => ms !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
