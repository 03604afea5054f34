/**
 * Which nodes have no pod although the DaemonSet's controller wants one there: Pod Security admission, a quota or a
 * webhook lets none be made. As no pod tells of them the nodes are listed, but only while there are such.
 */
import { ApiFailure } from "../client/failure.ts";
import type { Pod } from "./pods.ts";

export interface WithoutPod {
  readonly count: number;
  /** By name; none where it cannot be said which they are. */
  readonly nodes: readonly string[];
  /** Why they may not be named. */
  readonly refusal: string | undefined;
}

const MINUTE_MS = 60_000;

export class NodesWithoutPod {
  /** Names of the nodes on which there should be a pod. */
  readonly #list: () => Promise<readonly string[]>;
  readonly #everyMs: number;
  #listedAt = Number.NEGATIVE_INFINITY;
  #nodes: readonly string[] = [];
  #refusal: string | undefined;

  constructor(list: () => Promise<readonly string[]>, everyMs = MINUTE_MS) {
    this.#list = list;
    this.#everyMs = everyMs;
  }

  /** `count`: what the DaemonSet's controller has of it. Rejects with what is not ApiFailure. */
  async look(count: number | undefined, pods: readonly Pod[]): Promise<WithoutPod> {
    if (count === 0) return { count, nodes: [], refusal: undefined };
    if (performance.now() - this.#listedAt >= this.#everyMs) await this.#ask();
    const withPod = new Set(pods.map(({ node }) => node));
    const nodes = this.#nodes.filter((node) => !withPod.has(node));
    if (count === undefined) return { count: nodes.length, nodes, refusal: this.#refusal };
    // More than there can be: the pods are kept from some by an affinity that is not ours, or nodes have just come.
    return { count, nodes: nodes.length > count ? [] : nodes, refusal: this.#refusal };
  }

  async #ask(): Promise<void> {
    this.#listedAt = performance.now();
    try {
      this.#nodes = (await this.#list()).toSorted();
      this.#refusal = undefined;
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      this.#nodes = [];
      this.#refusal = error.message;
    }
  }
}
