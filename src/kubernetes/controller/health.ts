/** Which nodes' exporters fail, as opposed to being a little slow to start. */
import type { Rollout } from "./kept.ts";
import type { Pod } from "./pods.ts";

export interface FailingNode {
  readonly node: string;
  /** In Kubernetes's word (CrashLoopBackOff), or "not ready", or "no pod". */
  readonly why: string;
}

export interface Health {
  /** By name. */
  readonly failing: readonly FailingNode[];
  /** How many nodes have had no pod for longer than it takes to make one; undefined: as long, and nobody counts them. */
  readonly withoutPod: number | undefined;
  /** When a patience will end; undefined where none runs. */
  readonly againMs: number | undefined;
}

export interface Patience {
  /** For a pod whose container runs. */
  readonly runningMs: number;
  /** For a pod that is not scheduled, or whose image is not there yet; and for a pod to be made. */
  readonly pendingMs: number;
}

export const PATIENCE: Patience = { runningMs: 20_000, pendingMs: 120_000 };

export class HealthWatch {
  readonly #patience: Patience;
  /** By the pod's uid: since when it is seen not ready. */
  readonly #notReadySince = new Map<string, number>();
  #missingSince: number | undefined;
  #hasLooked = false;
  #failing: ReadonlySet<string>;

  /** `failing`: nodes that failed when somebody last looked; they do until they are ready. */
  constructor(failing: readonly string[], patience: Patience = PATIENCE) {
    this.#failing = new Set(failing);
    this.#patience = patience;
  }

  look(pods: readonly Pod[], rollout: Rollout | undefined): Health {
    const now = performance.now();
    const waits: number[] = [];
    const failing = new Map<string, FailingNode>();
    const present = pods.filter(({ isLeaving }) => !isLeaving);
    const ready = new Set(present.filter(({ isReady }) => isReady).map(({ node }) => node));
    this.#forget(present);
    for (const { uid, node, isPending, trouble } of present) {
      if (node === undefined || ready.has(node)) continue;
      const since = this.#notReadySince.get(uid) ?? now;
      this.#notReadySince.set(uid, since);
      const patienceMs = isPending ? this.#patience.pendingMs : this.#patience.runningMs;
      const leftMs = since + patienceMs - now;
      if (trouble?.isCertain === true || leftMs <= 0 || this.#failing.has(node))
        failing.set(node, { node, why: trouble?.reason ?? "not ready" });
      else waits.push(leftMs);
    }
    const missingFrom = this.#missingFrom(pods, now);
    this.#failing = new Set(failing.keys());
    const withoutPod = this.#withoutPod(missing(pods, rollout), missingFrom, waits);
    return {
      failing: [...failing.values()].toSorted((a, b) => (a.node < b.node ? -1 : 1)),
      withoutPod,
      againMs: waits.length === 0 ? undefined : Math.min(...waits),
    };
  }

  #forget(present: readonly Pod[]): void {
    const notReady = new Set(present.filter(({ isReady }) => !isReady).map(({ uid }) => uid));
    for (const uid of this.#notReadySince.keys()) if (!notReady.has(uid)) this.#notReadySince.delete(uid);
  }

  /** Where somebody saw nodes fail that have no pod, the time for one to be made was over then. */
  #missingFrom(pods: readonly Pod[], now: number): number {
    const withPod = new Set(pods.map(({ node }) => node));
    const isOld = !this.#hasLooked && [...this.#failing].some((node) => !withPod.has(node));
    this.#hasLooked = true;
    return isOld ? Number.NEGATIVE_INFINITY : now;
  }

  #withoutPod(missing: number | undefined, missingFrom: number, waits: number[]): number | undefined {
    if (missing === 0) {
      this.#missingSince = undefined;
      return 0;
    }
    this.#missingSince ??= missingFrom;
    const leftMs = this.#missingSince + this.#patience.pendingMs - performance.now();
    if (leftMs <= 0) return missing;
    waits.push(leftMs);
    return 0;
  }
}

/**
 * How many nodes have no pod at this moment. Undefined where the DaemonSet's controller does not say how many should
 * have one: up to Kubernetes 1.26.0 it writes no status, or leaves an old one, as long as it cannot make one of the pods.
 * https://github.com/kubernetes/kubernetes/pull/112127
 */
function missing(pods: readonly Pod[], rollout: Rollout | undefined): number | undefined {
  if (rollout === undefined) return 0;
  if (!rollout.isObserved) return undefined;
  return Math.max(0, rollout.desired - new Set(pods.map(({ node }) => node)).size);
}
