/** What goes with what: objects without an owner that lives, those of a deleted namespace, those of a deleted CRD. */
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { qualified } from "./failure.ts";
import type { Kinds } from "./kinds.ts";
import type { Registry } from "./registry.ts";
import { CRDS, kindsOf, NAMESPACES } from "./served-kinds.ts";
import type { Change, Store } from "./store.ts";

export class Collector {
  readonly #store: Store;
  readonly #kinds: Kinds;
  readonly #registry: Registry;
  readonly stop: () => void;

  constructor(store: Store, kinds: Kinds, registry: Registry) {
    this.#store = store;
    this.#kinds = kinds;
    this.#registry = registry;
    this.stop = store.listen((change) => {
      // Not in the midst of the change itself, as a controller would not.
      setTimeout(() => this.#follow(change), 0);
    });
  }

  #follow({ resource, before, after }: Change): void {
    const changed = after ?? before;
    if (changed !== undefined) this.#clear(resource, changed);
    if (after === undefined && before !== undefined) this.#followEnd(resource, before);
    else if (after?.metadata.ownerReferences !== undefined && this.#isOrphan(after))
      this.#delete(resource, after);
  }

  #followEnd(resource: string, gone: KubernetesObject): void {
    const { uid } = gone.metadata;
    for (const { resource: other, object } of [...this.#store.all()]) {
      const isOwned = object.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
      if (isOwned && this.#isOrphan(object)) this.#delete(other, object);
    }
    if (resource !== qualified(CRDS)) return;
    for (const kind of kindsOf(gone))
      for (const object of this.#store.list(kind)) this.#store.remove(qualified(kind), object);
  }

  /** Of a namespace that is being deleted, what is in it; and the namespace itself, once it is empty. */
  #clear(resource: string, { metadata }: KubernetesObject): void {
    const name = resource === qualified(NAMESPACES) ? metadata.name : metadata.namespace;
    const namespace = name === undefined ? undefined : this.#store.get(NAMESPACES, name, undefined);
    if (namespace?.metadata.deletionTimestamp === undefined) return;
    const inside = [...this.#store.all()].filter(({ object }) => object.metadata.namespace === name);
    if (inside.length === 0) this.#store.remove(qualified(NAMESPACES), namespace);
    for (const { resource: other, object } of inside) this.#delete(other, object);
  }

  #isOrphan({ metadata }: KubernetesObject): boolean {
    const owners = metadata.ownerReferences ?? [];
    return owners.length > 0 && owners.every((owner) => !this.#lives(owner, metadata.namespace));
  }

  #lives(
    owner: NonNullable<KubernetesObject["metadata"]["ownerReferences"]>[number],
    namespace?: string,
  ): boolean {
    const { apiVersion, kind, name, uid } = owner;
    const served = this.#kinds.of({ apiVersion: String(apiVersion), kind: kind ?? "" });
    if (served === undefined) return false;
    const object = this.#store.get(served, name ?? "", served.isNamespaced ? namespace : undefined);
    return object?.metadata.uid === uid;
  }

  #delete(resource: string, { metadata: { name, namespace } }: KubernetesObject): void {
    const kind = this.#kinds.named(resource);
    if (kind !== undefined && this.#store.get(kind, name, namespace) !== undefined)
      this.#registry.delete({ kind, name, namespace });
  }
}
