/**
 * Plays the DaemonSet controller, and the kubelets that run its pods: a pod on each node that the template selects, its
 * status, rolling updates. Level-triggered: whatever happens, all DaemonSets are looked at anew, once.
 */
import { createHash } from "node:crypto";
import { DAEMON_SET, type KubernetesObject, NODE, POD } from "../../../src/kubernetes/object.ts";
import type { PodState } from "./contract.ts";
import { qualified } from "./failure.ts";
import { at, listOf, membersOf, numberOf, same, textOf } from "./json.ts";
import type { By, Registry } from "./registry.ts";
import { BUILT_IN_KINDS, type ServedKind } from "./served-kinds.ts";
import type { Store } from "./store.ts";

export const POD_STATE_ANNOTATION = "plumbline.test/state";

export interface KubeletOptions {
  readonly podIp: (pod: { readonly node: string; readonly uid: string }) => string;
  readonly podStartMs: number;
}

const CONTROLLER: By = { manager: "kube-controller-manager", part: "all" };
const KUBELET: By = { manager: "kubelet", part: "status" };

export class DaemonSets {
  readonly #store: Store;
  readonly #registry: Registry;
  readonly #options: KubeletOptions;
  readonly #withoutPods = new Set<string>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isPlanned = false;
  #isStopped = false;

  constructor(store: Store, registry: Registry, options: KubeletOptions) {
    this.#store = store;
    this.#registry = registry;
    this.#options = options;
    const looksAt = new Set([DAEMON_SETS, NODES, PODS].map(qualified));
    store.listen(({ resource }) => {
      if (looksAt.has(resource)) this.#plan();
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** As an admission webhook does that lets no pod be made there. */
  refuse(node: string): void {
    this.#withoutPods.add(node);
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#later(0, () => {
      this.#isPlanned = false;
      this.#look();
    });
  }

  #later(ms: number, act: () => void): void {
    if (this.#isStopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #look(): void {
    const nodes = this.#store.list(NODES);
    const names = new Set(nodes.map(({ metadata }) => metadata.name));
    const pods = this.#store.list(PODS);
    for (const pod of pods) {
      if (!names.has(nodeOf(pod))) this.#delete(pod);
      else this.#run(pod);
    }
    const byOwner = Map.groupBy(pods, ({ metadata }) => metadata.ownerReferences?.[0]?.uid);
    for (const set of this.#store.list(DAEMON_SETS))
      if (set.metadata.deletionTimestamp === undefined)
        this.#keep(set, nodes, byOwner.get(set.metadata.uid) ?? []);
  }

  /** One step towards what the DaemonSet says; the changes that it makes lead to the next. */
  #keep(set: KubernetesObject, nodes: readonly KubernetesObject[], pods: readonly KubernetesObject[]): void {
    const eligible = new Set(nodes.filter((node) => runsOn(set, node)).map(({ metadata }) => metadata.name));
    const hash = templateHash(set);
    const byNode = new Map(pods.map((pod) => [nodeOf(pod), pod]));
    for (const pod of pods) if (!eligible.has(nodeOf(pod))) this.#delete(pod);
    for (const node of eligible)
      if (!byNode.has(node) && !this.#withoutPods.has(node)) this.#create(set, node, hash);
    const mine = pods.filter((pod) => eligible.has(nodeOf(pod)));
    if (at(set, "spec", "updateStrategy", "type") !== "OnDelete") this.#roll(set, mine, eligible.size, hash);
    this.#tell(set, mine, eligible.size, pods.length - mine.length, hash);
  }

  /** Deletes as many old pods as may be unavailable; those that are unavailable anyway go at once. */
  #roll(set: KubernetesObject, pods: readonly KubernetesObject[], desired: number, hash: string): void {
    const old = pods.filter((pod) => hashOf(pod) !== hash);
    const maxUnavailable = countOf(
      at(set, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"),
      desired,
    );
    const unavailable = desired - pods.filter(isReady).length;
    for (const pod of old.filter((one) => !isReady(one))) this.#delete(pod);
    for (const pod of old.filter(isReady).slice(0, Math.max(0, maxUnavailable - unavailable)))
      this.#delete(pod);
  }

  #tell(
    set: KubernetesObject,
    pods: readonly KubernetesObject[],
    desired: number,
    misscheduled: number,
    hash: string,
  ): void {
    const ready = pods.filter(isReady).length;
    const updated = pods.filter((pod) => hashOf(pod) === hash).length;
    const status = {
      currentNumberScheduled: pods.length,
      desiredNumberScheduled: desired,
      numberMisscheduled: misscheduled,
      numberReady: ready,
      observedGeneration: set.metadata.generation,
      ...(ready > 0 ? { numberAvailable: ready } : {}),
      ...(desired > ready ? { numberUnavailable: desired - ready } : {}),
      ...(updated > 0 ? { updatedNumberScheduled: updated } : {}),
    };
    if (same(status, set["status"])) return;
    const { name, namespace } = set.metadata;
    const by: By = { manager: CONTROLLER.manager, part: "status" };
    this.#registry.replace({ kind: DAEMON_SETS, name, namespace }, { ...set, status }, by);
  }

  #create(set: KubernetesObject, node: string, hash: string): void {
    const { name, namespace, uid } = set.metadata;
    const template = membersOf(at(set, "spec", "template"));
    const metadata = membersOf(template["metadata"]);
    const podName = `${name}-${crypto.randomUUID().slice(0, 13)}`;
    const owner = {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      name,
      uid,
      controller: true,
      blockOwnerDeletion: true,
    };
    const labels = { ...membersOf(metadata["labels"]), "controller-revision-hash": hash };
    const pod = {
      metadata: { ...metadata, name: podName, namespace, labels, ownerReferences: [owner] },
      spec: { ...membersOf(template["spec"]), nodeName: node },
    };
    this.#registry.create({ kind: PODS, name: podName, namespace }, pod, CONTROLLER);
  }

  #delete({ metadata: { name, namespace } }: KubernetesObject): void {
    if (this.#store.get(PODS, name, namespace) !== undefined)
      this.#registry.delete({ kind: PODS, name, namespace });
  }

  /** What the pod's kubelet makes of it. */
  #run(pod: KubernetesObject): void {
    const state = stateOf(pod);
    const isNew = at(pod, "status", "podIP") === undefined;
    if (!isNew || state === "pending" || this.#options.podStartMs === 0) this.#report(pod, state);
    else {
      const age = Date.now() - Date.parse(pod.metadata.creationTimestamp ?? "");
      if (age >= this.#options.podStartMs) this.#report(pod, state);
      else this.#later(this.#options.podStartMs - age, () => this.#plan());
    }
  }

  #report(pod: KubernetesObject, state: PodState): void {
    if (state === "pending") return;
    const { name, namespace, uid = "" } = pod.metadata;
    const node = nodeOf(pod);
    const podIP = textOf(at(pod, "status", "podIP")) ?? this.#options.podIp({ node, uid });
    const status = statusOf(pod, state, podIP);
    if (!same(status, pod["status"]))
      this.#registry.replace({ kind: PODS, name, namespace }, { ...pod, status }, KUBELET);
  }
}

function served(wanted: { readonly kind: string }): ServedKind {
  const found = BUILT_IN_KINDS.find(({ kind }) => kind === wanted.kind);
  if (found === undefined) throw new Error(`${wanted.kind} is not built in`);
  return found;
}
const [DAEMON_SETS, NODES, PODS] = [served(DAEMON_SET), served(NODE), served(POD)];

const nodeOf = (pod: KubernetesObject): string => textOf(at(pod, "spec", "nodeName")) ?? "";
const hashOf = (pod: KubernetesObject): string | undefined =>
  pod.metadata.labels?.["controller-revision-hash"];
const conditionsOf = (object: KubernetesObject) => listOf(at(object, "status", "conditions"));

const isReady = (object: KubernetesObject): boolean =>
  conditionsOf(object).some((one) => at(one, "type") === "Ready" && at(one, "status") === "True");

const templateHash = (set: KubernetesObject): string =>
  createHash("sha256")
    .update(JSON.stringify(at(set, "spec", "template")))
    .digest("hex")
    .slice(0, 10);

function stateOf(pod: KubernetesObject): PodState {
  const state = pod.metadata.annotations?.[POD_STATE_ANNOTATION];
  return state === "notready" || state === "crash" || state === "pending" ? state : "ready";
}

/** By the template's node selector and tolerations; a node that is cordoned, or not ready, keeps its daemons. */
function runsOn(set: KubernetesObject, node: KubernetesObject): boolean {
  const spec = at(set, "spec", "template", "spec");
  const labels = node.metadata.labels ?? {};
  const isSelected = Object.entries(membersOf(at(spec, "nodeSelector"))).every(
    ([label, value]) => labels[label] === value,
  );
  const tolerations = listOf(at(spec, "tolerations"));
  const taints = listOf(at(node, "spec", "taints")).filter(
    (taint) => at(taint, "effect") !== "PreferNoSchedule",
  );
  return (
    isSelected &&
    taints.every((taint) => isDaemonsOwn(taint) || tolerations.some((one) => tolerates(one, taint)))
  );
}

const isDaemonsOwn = (taint: unknown): boolean =>
  /^node\.kubernetes\.io\/(not-ready|unreachable|unschedulable|disk-pressure|memory-pressure|pid-pressure)$/.test(
    textOf(at(taint, "key")) ?? "",
  );

function tolerates(toleration: unknown, taint: unknown): boolean {
  const { key, operator = "Equal", value = "", effect } = membersOf(toleration);
  const isKey = key === undefined ? operator === "Exists" : key === at(taint, "key");
  const isValue = operator === "Exists" || value === (at(taint, "value") ?? "");
  return isKey && isValue && (effect === undefined || effect === at(taint, "effect"));
}

/** A count, or a part of all in per cent, rounded up; at least one. */
function countOf(value: unknown, all: number): number {
  const percent = /^(\d+)%$/.exec(textOf(value) ?? "")?.[1];
  if (percent !== undefined) return Math.max(1, Math.ceil((all * Number(percent)) / 100));
  return numberOf(value) ?? 1;
}

/** A condition keeps its time as long as it says the same. */
function statusOf(pod: KubernetesObject, state: PodState, podIP: string): unknown {
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const condition = (type: string, isTrue: boolean): unknown => {
    const status = isTrue ? "True" : "False";
    const old = conditionsOf(pod).find((one) => at(one, "type") === type && at(one, "status") === status);
    return (
      old ?? { type, status, lastTransitionTime: now, ...(isTrue ? {} : { reason: "ContainersNotReady" }) }
    );
  };
  const [ready, crashing] = [state === "ready", state === "crash"];
  const startedAt = textOf(at(pod, "status", "startTime")) ?? now;
  const containers = listOf(at(pod, "spec", "containers")).map((container) => ({
    name: at(container, "name"),
    image: at(container, "image"),
    imageID: `fake://${String(at(container, "image"))}`,
    ready,
    started: !crashing,
    restartCount: crashing ? 5 : 0,
    state: crashing
      ? { waiting: { reason: "CrashLoopBackOff", message: "back-off" } }
      : { running: { startedAt } },
  }));
  return {
    phase: "Running",
    startTime: startedAt,
    hostIP: "10.99.0.1",
    podIP,
    podIPs: [{ ip: podIP }],
    conditions: [
      condition("Initialized", true),
      condition("Ready", ready),
      condition("ContainersReady", ready),
      condition("PodScheduled", true),
    ],
    containerStatuses: containers,
  };
}
