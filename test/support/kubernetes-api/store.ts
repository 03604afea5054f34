/** The objects, and what happened to them under which resourceVersion: what etcd is to a real server. */
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { qualified } from "./failure.ts";
import type { ServedKind } from "./served-kinds.ts";

export interface Change {
  readonly resourceVersion: number;
  /** "daemonsets.apps" */
  readonly resource: string;
  readonly before: KubernetesObject | undefined;
  /** Undefined: it is gone. */
  readonly after: KubernetesObject | undefined;
}

export class Store {
  resourceVersion = 1000;
  /** What happened up to here is forgotten. */
  forgottenUntil = this.resourceVersion;
  /** All changes since then. */
  changes: Change[] = [];
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #listeners = new Set<(change: Change) => void>();

  get(kind: ServedKind, name: string, namespace: string | undefined): KubernetesObject | undefined {
    return this.#of(qualified(kind)).get(keyOf(name, namespace));
  }

  /** In the order of namespace and name. */
  list(kind: ServedKind, namespace?: string): KubernetesObject[] {
    const objects = this.#of(qualified(kind)).entries();
    return [...objects]
      .filter(([, { metadata }]) => namespace === undefined || metadata.namespace === namespace)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** All objects of all kinds, in no order. */
  *all(): Generator<{ readonly resource: string; readonly object: KubernetesObject }> {
    for (const [resource, objects] of this.#objects)
      for (const object of objects.values()) yield { resource, object };
  }

  /** Returns it with its new resourceVersion. What is stored is never changed, only replaced. */
  set(kind: ServedKind, object: KubernetesObject): KubernetesObject {
    const { name, namespace } = object.metadata;
    const objects = this.#of(qualified(kind));
    const before = objects.get(keyOf(name, namespace));
    const after = this.#next(object);
    objects.set(keyOf(name, namespace), after);
    this.#tell({ resourceVersion: this.resourceVersion, resource: qualified(kind), before, after });
    return after;
  }

  remove(resource: string, object: KubernetesObject): KubernetesObject {
    const { name, namespace } = object.metadata;
    this.#of(resource).delete(keyOf(name, namespace));
    const last = this.#next(object);
    this.#tell({ resourceVersion: this.resourceVersion, resource, before: last, after: undefined });
    return last;
  }

  forget(): void {
    this.forgottenUntil = this.resourceVersion;
    this.changes = [];
  }

  /** A resourceVersion that no object has: of a server that comes back after a while. */
  skip(): void {
    this.resourceVersion += 1000;
  }

  /** Returns what ends it. */
  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #of(resource: string): Map<string, KubernetesObject> {
    const objects = this.#objects.get(resource) ?? new Map<string, KubernetesObject>();
    this.#objects.set(resource, objects);
    return objects;
  }

  #next(object: KubernetesObject): KubernetesObject {
    this.resourceVersion++;
    return {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.resourceVersion) },
    };
  }

  #tell(change: Change): void {
    this.changes.push(change);
    for (const listener of this.#listeners) listener(change);
  }
}

const keyOf = (name: string, namespace: string | undefined): string => `${namespace ?? ""}\0${name}`;
