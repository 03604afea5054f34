/** What creating, replacing, patching, applying and deleting an object mean: a server's rules between request and store. */
import * as v from "valibot";
import { type KubernetesObject, ObjectSchema } from "../../../src/kubernetes/object.ts";
import { problemsOfBuiltIn, withDefaults } from "./defaults.ts";
import {
  alreadyExists,
  badRequest,
  type Cause,
  invalid,
  modifiedMeanwhile,
  notFound,
  qualified,
} from "./failure.ts";
import { type Members, membersOf, same, textsOf } from "./json.ts";
import { apply, update } from "./managed-fields.ts";
import { mergePatch } from "./merge.ts";
import { problemsOf, shapedObject } from "./schema.ts";
import { NAMESPACES, type ServedKind } from "./served-kinds.ts";
import type { Store } from "./store.ts";

/** Who writes, and what of the object. */
export interface By {
  readonly manager: string;
  /** "all": as no client may, status and the rest at once, and whatever the schema says. */
  readonly part: "main" | "status" | "all";
  readonly isDryRun?: boolean;
}

export interface Where {
  readonly kind: ServedKind;
  readonly name: string;
  readonly namespace: string | undefined;
}

export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export class Registry {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  get({ kind, name, namespace }: Where): KubernetesObject {
    const object = this.#store.get(kind, name, namespace);
    if (object === undefined) throw notFound(kind, name);
    return object;
  }

  create(where: Where, body: unknown, by: By): KubernetesObject {
    if (this.#store.get(where.kind, where.name, where.namespace) !== undefined)
      throw alreadyExists(where.kind, where.name);
    return this.#save(where, undefined, body, by);
  }

  replace(where: Where, body: unknown, by: By): KubernetesObject {
    const before = this.get(where);
    const sent = membersOf(membersOf(body)["metadata"]);
    if (where.kind.needsResourceVersion && by.part !== "all" && sent["resourceVersion"] === undefined) {
      const message = "Invalid value: 0x0: must be specified for an update";
      const cause = { reason: "FieldValueInvalid", field: "metadata.resourceVersion", message };
      throw invalid(where.kind, where.name, [cause]);
    }
    this.#check(where, before, sent);
    return this.#save(where, before, body, by);
  }

  mergePatch(where: Where, patch: unknown, by: By): KubernetesObject {
    const before = this.get(where);
    this.#check(where, before, membersOf(membersOf(patch)["metadata"]));
    return this.#save(where, before, mergePatch(before, patch), by);
  }

  /** `mayCreate` throws where the object does not exist and its maker has no right to create it. */
  apply(where: Where, body: unknown, by: By, isForced: boolean, mayCreate: () => void): KubernetesObject {
    const { kind, name, namespace } = where;
    const before = this.#store.get(kind, name, namespace);
    const { status, ...main } = membersOf(body);
    const metadata = membersOf(main["metadata"]);
    if (metadata["managedFields"] !== undefined) throw badRequest("metadata.managedFields must be nil");
    if (before === undefined) {
      if (by.part === "status") throw notFound(kind, name);
      mayCreate();
    } else this.#check(where, before, metadata);
    const applied = by.part === "status" ? { status } : kind.hasStatus ? main : body;
    const writer = writerOf(where.kind, by);
    const { merged, managedFields } = apply(before, applied, kind.topology, writer, isForced);
    return this.#save(where, before, membersOf(merged), by, () => managedFields);
  }

  delete(where: Where, preconditions: Preconditions = {}, isDryRun = false): KubernetesObject | undefined {
    const { kind, name } = where;
    const object = this.get(where);
    const { metadata } = object;
    if (
      (preconditions.uid !== undefined && preconditions.uid !== metadata.uid) ||
      (preconditions.resourceVersion !== undefined &&
        preconditions.resourceVersion !== metadata.resourceVersion)
    )
      throw modifiedMeanwhile(kind, name);
    if (isDryRun) return object;
    const isNamespace = kind.kind === NAMESPACES.kind;
    if ((metadata.finalizers ?? []).length === 0 && !isNamespace) {
      this.#store.remove(qualified(kind), object);
      return undefined;
    }
    if (metadata.deletionTimestamp !== undefined) return object;
    const deleting = { deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 0 };
    const generation = kind.hasGeneration ? { generation: (metadata.generation ?? 0) + 1 } : {};
    const terminating = isNamespace ? { status: { phase: "Terminating" } } : {};
    const marked = { ...metadata, ...generation, ...deleting };
    return this.#store.set(kind, { ...object, ...terminating, metadata: marked });
  }

  #check({ kind, name }: Where, before: KubernetesObject, sent: Members): void {
    const { resourceVersion, uid } = sent;
    const isOlder = resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion;
    if (isOlder || (uid !== undefined && uid !== before.metadata.uid)) throw modifiedMeanwhile(kind, name);
  }

  /** What changes nothing leaves the object, its resourceVersion too, as it is. */
  #save(
    where: Where,
    before: KubernetesObject | undefined,
    sent: unknown,
    by: By,
    managed: (after: Members) => readonly unknown[] = (after) =>
      update(before, after, where.kind.topology, writerOf(where.kind, by)),
  ): KubernetesObject {
    const { kind, name } = where;
    const after = settled(where, before, membersOf(sent), by);
    if (by.part !== "all") {
      const problems = [
        ...problemsOf(after, kind.schema),
        ...problemsOfBuiltIn(kind.kind, before, after),
        ...finalizerProblems(before, after),
      ];
      if (problems.length > 0) throw invalid(kind, name, problems);
    }
    const metadata = {
      ...membersOf(after["metadata"]),
      ...(kind.hasGeneration ? { generation: generationOf(kind, before, after) } : {}),
      ...(before === undefined ? {} : { resourceVersion: before.metadata.resourceVersion }),
      managedFields: managed(after),
    };
    const object = v.parse(ObjectSchema, plain({ ...after, metadata }));
    if ((before !== undefined && same(before, object)) || by.isDryRun === true) return object;
    const saved = this.#store.set(kind, object);
    const isLast =
      saved.metadata.deletionTimestamp !== undefined && (saved.metadata.finalizers ?? []).length === 0;
    return isLast ? this.#store.remove(qualified(kind), saved) : saved;
  }
}

const writerOf = (kind: ServedKind, by: By) => ({
  manager: by.manager,
  apiVersion: kind.apiVersion,
  subresource: by.part === "status" ? "status" : undefined,
  now: timestamp(),
});

/** As JSON carries it: a copy, without members that are undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

export const timestamp = (): string => new Date().toISOString().replace(/\.\d+Z$/, "Z");

/** With what only the server sets, with the part that may not be written as it was, and with defaults. */
function settled(
  { kind, name, namespace }: Where,
  before: KubernetesObject | undefined,
  sent: Members,
  { part }: By,
): Members {
  const { managedFields, resourceVersion, selfLink, ...metadata } = membersOf(
    before !== undefined && part === "status" ? before.metadata : sent["metadata"],
  );
  const own = {
    name,
    namespace,
    uid: before?.metadata.uid ?? crypto.randomUUID(),
    creationTimestamp: before?.metadata.creationTimestamp ?? timestamp(),
    deletionTimestamp: before?.metadata.deletionTimestamp,
    deletionGracePeriodSeconds: before?.metadata["deletionGracePeriodSeconds"],
    generation: before?.metadata.generation,
  };
  const { status, ...main } = sent;
  const whole =
    part === "status" && before !== undefined
      ? { ...before, status }
      : part === "all" || !kind.hasStatus
        ? { ...main, status: status ?? before?.["status"] }
        : { ...main, status: before?.["status"] };
  const object = {
    ...whole,
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: { ...metadata, ...own },
  };
  return membersOf(
    plain(
      kind.schema === undefined
        ? withDefaults(kind.kind, object)
        : shapedObject(membersOf(plain(object)), kind.schema),
    ),
  );
}

function generationOf(kind: ServedKind, before: KubernetesObject | undefined, after: Members): number {
  if (before === undefined) return 1;
  const counted = (object: Members): Members => {
    const { metadata, status, ...rest } = object;
    return kind.hasStatus ? rest : { ...rest, status };
  };
  return (before.metadata.generation ?? 0) + (same(plain(counted(before)), plain(counted(after))) ? 0 : 1);
}

function finalizerProblems(before: KubernetesObject | undefined, after: Members): readonly Cause[] {
  if (before?.metadata.deletionTimestamp === undefined) return [];
  const old = new Set(before.metadata.finalizers);
  const added = textsOf(membersOf(after["metadata"])["finalizers"]).filter((one) => !old.has(one));
  if (added.length === 0) return [];
  const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
  return [{ reason: "FieldValueForbidden", message, field: "metadata.finalizers" }];
}
