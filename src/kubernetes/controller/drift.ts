/**
 * Whether somebody has changed what the operator applied. The API server keeps a record of who owns which field; as
 * long as ours is the one that our last apply left, every field has the value that we gave it.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
import { createHash } from "node:crypto";
import { FIELD_MANAGER } from "../client/api.ts";
import type { KubernetesObject, Manifest } from "../object.ts";

/** How long an informer may take to show a new object before the object counts as gone. */
export const SHOWN_WITHIN_MS = 10_000;

export type Standing = "as applied" | "changed" | "deleted" | "not known yet";

/** One object that was applied, as it then was. */
export class Applied {
  readonly hash: string;
  /** The resourceVersion that it then had. */
  readonly version: string | undefined;
  readonly #uid: string | undefined;
  readonly #versionBefore: string | undefined;
  readonly #owned: string | undefined;
  readonly #at = performance.now();
  #wasSeen: boolean;

  /** `before`: as the informer had it when it was applied. */
  constructor(hash: string, answer: KubernetesObject, before: KubernetesObject | undefined) {
    this.hash = hash;
    this.#uid = answer.metadata.uid;
    this.version = answer.metadata.resourceVersion;
    this.#versionBefore = before?.metadata.resourceVersion;
    this.#owned = ownedFields(answer);
    this.#wasSeen = before !== undefined && before.metadata.uid === answer.metadata.uid;
  }

  /** `live`: as the informer has it now. */
  standing(live: KubernetesObject | undefined): Standing {
    if (live === undefined) {
      const isAwaited = !this.#wasSeen && performance.now() - this.#at < SHOWN_WITHIN_MS;
      return isAwaited ? "not known yet" : "deleted";
    }
    if (this.#isOlder(live)) return "not known yet";
    this.#wasSeen = true;
    if (live.metadata.uid !== this.#uid) return "changed";
    return ownedFields(live) === this.#owned ? "as applied" : "changed";
  }

  #isOlder(live: KubernetesObject): boolean {
    const version = live.metadata.resourceVersion;
    if (version === this.version) return false;
    return version === this.#versionBefore || isBefore(version, this.version);
  }
}

/** Etcd's revisions, which only grow; a server that writes anything else is not judged by them. */
export function isBefore(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined || !DECIMAL.test(one) || !DECIMAL.test(other)) return false;
  return one.length === other.length ? one < other : one.length < other.length;
}

const DECIMAL = /^[1-9]\d*$/;

/** The fields that our last apply left with us, in one notation; undefined where the server has no record. */
function ownedFields({ metadata }: KubernetesObject): string | undefined {
  const entry = metadata.managedFields?.find(isOurs);
  return entry === undefined ? undefined : canonical(entry.fieldsV1);
}

type ManagedFields = NonNullable<KubernetesObject["metadata"]["managedFields"]>[number];

export const isOurs = ({ manager, operation, subresource }: ManagedFields): boolean =>
  manager === FIELD_MANAGER && operation === "Apply" && (subresource === undefined || subresource === "");

export const manifestHash = (manifest: Manifest): string =>
  createHash("sha256").update(canonical(manifest)).digest("base64");

/** JSON with the members in one order. */
const canonical = (value: unknown): string => JSON.stringify(value, inOrder) ?? "";

const inOrder = (_key: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
