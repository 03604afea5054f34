/** Lists in pages: all pages of a list show the same moment. */
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { ApiError, badRequest } from "./failure.ts";
import { at, listOf, membersOf } from "./json.ts";
import type { ServedKind } from "./served-kinds.ts";

interface Rest {
  readonly objects: readonly KubernetesObject[];
  readonly resourceVersion: number;
}

export class Lists {
  readonly #rests = new Map<string, Rest>();
  #count = 0;

  first(kind: ServedKind, objects: readonly KubernetesObject[], resourceVersion: number, limit: number) {
    return this.#page(kind, { objects, resourceVersion }, limit);
  }

  next(kind: ServedKind, token: string, limit: number) {
    if (!/^[A-Za-z0-9_-]+$/.test(token)) throw badRequest("continue key is not valid");
    const rest = this.#rests.get(token);
    if (rest !== undefined) return this.#page(kind, rest, limit);
    const message = "The provided continue parameter is too old to display a consistent list result.";
    throw new ApiError(410, "Expired", message);
  }

  /** As compaction does. */
  forget(): void {
    this.#rests.clear();
  }

  #page(kind: ServedKind, { objects, resourceVersion }: Rest, limit: number) {
    const page = limit > 0 ? objects.slice(0, limit) : objects;
    const left = objects.slice(page.length);
    return {
      kind: `${kind.kind}List`,
      apiVersion: kind.apiVersion,
      metadata: {
        resourceVersion: String(resourceVersion),
        ...(left.length === 0
          ? {}
          : { continue: this.#keep({ objects: left, resourceVersion }), remainingItemCount: left.length }),
      },
      items: page.map((object) => listed(kind, object)),
    };
  }

  #keep(rest: Rest): string {
    const token = Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", page: ++this.#count })).toString(
      "base64url",
    );
    this.#rests.set(token, rest);
    return token;
  }
}

/** Items of kinds that are built in do not say what they are. */
function listed(kind: ServedKind, object: KubernetesObject): unknown {
  if (kind.schema !== undefined) return object;
  const { apiVersion, kind: _, ...rest } = object;
  return rest;
}

/** The list as it is, or of each object no more than its metadata: the first form that is accepted. */
export function inForm(accept: string, list: unknown): unknown {
  if (!/^application\/json;as=PartialObjectMetadataList;g=meta\.k8s\.io;v=v1(,|$)/.test(accept)) return list;
  const apiVersion = "meta.k8s.io/v1";
  const items = listOf(at(list, "items")).map((item) => ({
    kind: "PartialObjectMetadata",
    apiVersion,
    metadata: at(item, "metadata"),
  }));
  return { ...membersOf(list), kind: "PartialObjectMetadataList", apiVersion, items };
}
