/** Which kinds are served now: CustomResourceDefinitions come and go. */
import type { Kind, KubernetesObject } from "../../../src/kubernetes/object.ts";
import { qualified } from "./failure.ts";
import { BUILT_IN_KINDS, CRDS, kindsOf, type ServedKind } from "./served-kinds.ts";
import type { Store } from "./store.ts";

export class Kinds {
  readonly #store: Store;
  /** By the stored object, which is replaced when it changes. */
  readonly #ofCrd = new WeakMap<KubernetesObject, readonly ServedKind[]>();

  constructor(store: Store) {
    this.#store = store;
  }

  all(): readonly ServedKind[] {
    return [...BUILT_IN_KINDS, ...this.#store.list(CRDS).flatMap((crd) => this.#of(crd))];
  }

  /** By its path. */
  at(group: string, version: string, plural: string): ServedKind | undefined {
    return this.all().find(
      (kind) => kind.group === group && kind.version === version && kind.plural === plural,
    );
  }

  of({ apiVersion, kind }: Pick<Kind, "apiVersion" | "kind">): ServedKind | undefined {
    return this.all().find((served) => served.apiVersion === apiVersion && served.kind === kind);
  }

  /** "daemonsets.apps" */
  named(resource: string): ServedKind | undefined {
    return this.all().find((kind) => qualified(kind) === resource);
  }

  hasGroup(group: string, version: string): boolean {
    return this.all().some((kind) => kind.group === group && kind.version === version);
  }

  #of(crd: KubernetesObject): readonly ServedKind[] {
    const known = this.#ofCrd.get(crd) ?? kindsOf(crd);
    this.#ofCrd.set(crd, known);
    return known;
  }
}
