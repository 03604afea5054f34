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
    if (after !== undefined) {
      if (after.metadata.ownerReferences !== undefined && this.#isOrphan(after))
        this.#delete(resource, after);
      return;
    }
    if (before === undefined) return;
    const { uid, name } = before.metadata;
    for (const { resource: other, object } of [...this.#store.all()]) {
      const isOwned = object.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
      const isInside = resource === qualified(NAMESPACES) && object.metadata.namespace === name;
      if (isInside || (isOwned && this.#isOrphan(object))) this.#delete(other, object);
    }
    if (resource === qualified(CRDS))
      for (const kind of kindsOf(before))
        for (const object of this.#store.list(kind)) this.#store.remove(qualified(kind), object);
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
