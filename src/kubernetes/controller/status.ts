/** The status of a Plumbline: how many nodes run the exporter as declared, and in conditions what is wrong. */
import * as v from "valibot";
import type { KubernetesObject } from "../object.ts";
import { type Condition, ConditionSchema, conditionsFrom, type Judgement } from "./conditions.ts";
import type { FailingNode } from "./health.ts";
import type { Rollout } from "./kept.ts";
import type { WithoutPod } from "./nodes-without-pod.ts";
import type { Refusal } from "./refused.ts";

export interface PlumblineStatus {
  readonly observedGeneration: number;
  readonly desired: number;
  readonly ready: number;
  readonly updated: number;
  readonly unavailable: number;
  /** At most 20, in the order of their names. */
  readonly nodesFailing: readonly string[];
  readonly conditions: readonly Condition[];
}

/** All that is known of a Plumbline when its status is written. */
export interface Observation {
  readonly generation: number;
  /** Whole sentences, each of which names a field; none for a valid spec. */
  readonly problems: readonly string[];
  readonly refusals: readonly Refusal[];
  /** Undefined where there is no DaemonSet, or none is seen. */
  readonly rollout: Rollout | undefined;
  readonly failing: readonly FailingNode[];
  /** Of those that have had none for longer than it takes to make one. */
  readonly withoutPod: WithoutPod;
  readonly daemonSet: { readonly name: string; readonly namespace: string | undefined };
  readonly monitoring: Monitoring;
}

export interface Monitoring {
  readonly enabled: boolean | "auto";
  /** Names of the CRDs that are not there. */
  readonly missing: readonly string[];
}

export const MAX_NODES_FAILING = 20;
const MAX_PROBLEMS_TOLD = 5;

export function statusOf(seen: Observation, before: PlumblineStatus | undefined): PlumblineStatus {
  const { generation, rollout, failing } = seen;
  const judgements = [
    available(rollout),
    progressing(rollout),
    degraded(seen),
    ...monitored(seen.monitoring),
  ];
  return {
    observedGeneration: generation,
    desired: rollout?.desired ?? 0,
    ready: rollout?.ready ?? 0,
    updated: rollout?.updated ?? 0,
    unavailable: rollout?.unavailable ?? 0,
    nodesFailing: failing.map(({ node }) => node).slice(0, MAX_NODES_FAILING),
    conditions: conditionsFrom(judgements, before?.conditions ?? [], generation),
  };
}

const count = v.fallback(v.optional(v.number(), 0), 0);

const StatusSchema = v.object({
  observedGeneration: v.number(),
  desired: count,
  ready: count,
  updated: count,
  unavailable: count,
  nodesFailing: v.fallback(v.optional(v.array(v.string()), []), []),
  conditions: v.fallback(v.optional(v.array(ConditionSchema), []), []),
});

/** Undefined where it was never written. */
export function writtenStatus(plumbline: KubernetesObject): PlumblineStatus | undefined {
  const parsed = v.safeParse(StatusSchema, plumbline["status"]);
  return parsed.success ? parsed.output : undefined;
}

/** The rolling update takes a tenth of the nodes at a time. */
const mayBeMissing = (desired: number) => Math.ceil(desired / 10);

function available(rollout: Rollout | undefined): Judgement {
  const type = "Available";
  if (rollout === undefined)
    return { type, status: "False", reason: "NoDaemonSet", message: "There is no DaemonSet yet." };
  const { desired, ready, isObserved } = rollout;
  if (desired === 0 && !isObserved) {
    const message = "The DaemonSet has just been made; nothing is known of its pods yet.";
    return { type, status: "False", reason: "Starting", message };
  }
  if (desired === 0) {
    const message = "No node matches spec.nodeSelector and spec.tolerations.";
    return { type, status: "True", reason: "NoNodes", message };
  }
  const isEnough = ready >= Math.max(1, desired - mayBeMissing(desired));
  return {
    type,
    status: isEnough ? "True" : "False",
    reason: ready >= desired ? "AllNodesReady" : isEnough ? "EnoughNodesReady" : "TooFewNodesReady",
    message: `The exporter is ready on ${ready} of ${desired} nodes.`,
  };
}

function progressing(rollout: Rollout | undefined): Judgement {
  const type = "Progressing";
  if (rollout === undefined)
    return { type, status: "False", reason: "NoDaemonSet", message: "There is no DaemonSet yet." };
  const { desired, updated, scheduled, isObserved } = rollout;
  if (!isObserved) {
    const message = "The DaemonSet has changed; its controller has not seen it yet.";
    return { type, status: "True", reason: "RollingOut", message };
  }
  if (updated < desired || scheduled < desired) {
    const message = `${updated} of ${desired} nodes have a pod of the present configuration and image.`;
    return { type, status: "True", reason: "RollingOut", message };
  }
  const message = "All pods are of the present configuration and image.";
  return { type, status: "False", reason: "RolledOut", message };
}

/** The first thing that is wrong gives the reason; the message holds all. */
function degraded(seen: Observation): Judgement {
  const type = "Degraded";
  const faults = [invalid(seen), refused(seen), unmonitored(seen), failingNodes(seen)].filter(
    (fault) => fault !== undefined,
  );
  const [first] = faults;
  if (first === undefined) {
    const message = "Everything is as declared.";
    return { type, status: "False", reason: "AsDeclared", message };
  }
  return {
    type,
    status: "True",
    reason: first.reason,
    message: faults.map(({ message }) => message).join(" "),
  };
}

interface Fault {
  readonly reason: string;
  readonly message: string;
}

function invalid({ problems }: Observation): Fault | undefined {
  if (problems.length === 0) return undefined;
  const message = `The spec is invalid, and what runs is left as it is: ${several(problems)}.`;
  return { reason: "InvalidSpec", message };
}

function refused({ refusals }: Observation): Fault | undefined {
  if (refusals.length === 0) return undefined;
  const isForbidden = refusals.some(({ reason }) => reason === "forbidden");
  const messages = [...new Set(refusals.map(({ message }) => message))];
  return { reason: isForbidden ? "Forbidden" : "ObjectsRefused", message: `${several(messages)}.` };
}

function unmonitored({ monitoring }: Observation): Fault | undefined {
  if (monitoring.enabled !== true || monitoring.missing.length === 0) return undefined;
  const message = `spec.monitoring.enabled is true, but the CRD ${monitoring.missing.join(" and ")} does not exist.`;
  return { reason: "CRDsMissing", message };
}

function failingNodes(seen: Observation): Fault | undefined {
  const { failing, withoutPod } = seen;
  const parts = [
    failing.length > 0 && `the exporter fails on ${several(failing.map(nameAndWhy))}`,
    withoutPod.count > 0 && withoutPods(seen),
  ].filter((part) => part !== false);
  if (parts.length === 0) return undefined;
  return { reason: "NodesFailing", message: `On some nodes nothing is collected: ${parts.join("; ")}.` };
}

function withoutPods({ withoutPod, daemonSet }: Observation): string {
  const { count, refusal } = withoutPod;
  const describe = `kubectl describe daemonset -n ${daemonSet.namespace} ${daemonSet.name}`;
  const unnamed = refusal === undefined ? "" : `; which nodes these are is not known: ${refusal}`;
  return `no pod is made for ${count === 1 ? "1 node" : `${count} nodes`}, \`${describe}\` says why${unnamed}`;
}

export const nameAndWhy = ({ node, why }: FailingNode): string => `${node} (${why})`;

/** The first few, and how many more there are. */
export function several(all: readonly string[]): string {
  const more = all.length - MAX_PROBLEMS_TOLD;
  return all.slice(0, MAX_PROBLEMS_TOLD).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function monitored({ enabled, missing }: Monitoring): Judgement[] {
  if (enabled === false) return [];
  const type = "MonitoringAvailable";
  if (missing.length === 0) {
    const message = "The CRDs of the Prometheus operator are there; PodMonitor and PrometheusRule are kept.";
    return [{ type, status: "True", reason: "CRDsPresent", message }];
  }
  const message = `Objects of the Prometheus operator are left out as long as a CRD does not exist: ${missing.join(", ")}.`;
  return [{ type, status: "False", reason: "CRDsMissing", message }];
}
