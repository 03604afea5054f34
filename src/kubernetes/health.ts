/** Which nodes' exporters fail, as opposed to being a little slow to start. */
import type { Rollout } from "./kept.ts";
import type { Pod } from "./pods.ts";

export interface FailingNode {
  readonly node: string;
  /** In Kubernetes's word (CrashLoopBackOff), or "not ready". */
  readonly why: string;
}

export interface Health {
  /** By name. */
  readonly failing: readonly FailingNode[];
  readonly withoutPod: number;
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
    this.#failing = new Set(failing.keys());
    const withoutPod = this.#withoutPod(rollout, now, waits);
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

  #withoutPod(rollout: Rollout | undefined, now: number, waits: number[]): number {
    const missing = rollout === undefined ? 0 : rollout.desired - rollout.scheduled;
    if (missing <= 0) {
      this.#missingSince = undefined;
      return 0;
    }
    this.#missingSince ??= now;
    const leftMs = this.#missingSince + this.#patience.pendingMs - now;
    if (leftMs <= 0) return missing;
    waits.push(leftMs);
    return 0;
  }
}
