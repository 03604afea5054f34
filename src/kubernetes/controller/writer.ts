/**
 * What a leader writes with: every write asks first whether the term goes on, and is broken off when it ends, so that
 * two operators never write at the same time.
 */
import type { KubernetesApi } from "../client/api.ts";
import type { Term } from "../leader.ts";
import type { Kind, KubernetesObject, Manifest } from "../object.ts";

export class TermOver extends Error {
  override readonly name = "TermOver";

  constructor() {
    super("this replica does not lead any more");
  }
}

export class Writer {
  readonly #api: KubernetesApi;
  readonly #term: Term;

  constructor(api: KubernetesApi, term: Term) {
    this.#api = api;
    this.#term = term;
  }

  apply(manifest: Manifest): Promise<KubernetesObject> {
    return this.#within((signal) => this.#api.apply(manifest, signal));
  }

  create(manifest: Manifest): Promise<KubernetesObject> {
    return this.#within((signal) => this.#api.create(manifest, signal));
  }

  patch(
    kind: Kind,
    name: string,
    namespace: string | undefined,
    mergePatch: unknown,
    options: { readonly subresource?: "status" } = {},
  ): Promise<KubernetesObject> {
    return this.#within((signal) => this.#api.patch(kind, name, namespace, mergePatch, signal, options));
  }

  delete(kind: Kind, name: string, namespace: string | undefined): Promise<void> {
    return this.#within((signal) => this.#api.delete(kind, name, namespace, signal));
  }

  /** Rejects with TermOver also where the term ends while the answer is awaited. */
  async #within<T>(write: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#term.isOver()) throw new TermOver();
    try {
      return await write(this.#term.signal);
    } catch (error) {
      throw this.#term.signal.aborted ? new TermOver() : error;
    }
  }
}
