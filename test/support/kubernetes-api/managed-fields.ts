/** Who owns which field of an object: `metadata.managedFields`, and how applying and updating change it. */
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { ApiError } from "./failure.ts";
import {
  compare,
  type FieldSet,
  fieldsOf,
  fromFieldsV1,
  join,
  readable,
  toFieldsV1,
  withParents,
} from "./field-set.ts";
import { same } from "./json.ts";
import { merge, without } from "./merge.ts";
import type { Topology } from "./topology.ts";

export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string | undefined;
  /** ISO 8601, whole seconds. */
  readonly now: string;
}

interface Ownership extends Writer {
  readonly operation: "Apply" | "Update";
  readonly fields: FieldSet;
}

/** The stored object with what was applied, and its new managedFields. Throws 409 where another manager owns a field. */
export function apply(
  live: KubernetesObject | undefined,
  applied: unknown,
  topology: Topology,
  writer: Writer,
  isForced: boolean,
): { readonly merged: unknown; readonly managedFields: readonly unknown[] } {
  const ownerships = ownershipsOf(live);
  const mine = ownerships.find((ownership) => isOf(ownership, writer, "Apply"));
  const others = ownerships.filter((ownership) => ownership !== mine);
  const fields = fieldsOf(applied, topology).difference(NOBODYS);
  const merged = merge(live, applied, topology);
  const { changed } = compare(live, merged, topology);
  const conflicts = others.flatMap(({ fields: theirs, ...other }) => {
    const common = theirs.intersection(changed).intersection(fields);
    return common.size === 0 ? [] : [{ other, common }];
  });
  if (conflicts.length > 0 && !isForced) throw conflict(conflicts);
  const stillTheirs = others.map((other) => ({ ...other, fields: other.fields.difference(changed) }));
  const kept = withParents(stillTheirs.reduce<FieldSet>((all, other) => all.union(other.fields), fields));
  const gone = withParents(mine?.fields ?? new Set<string>()).difference(kept);
  return {
    merged: without(merged, topology, gone),
    managedFields: written([...stillTheirs, { ...writer, operation: "Apply", fields }], ownerships),
  };
}

/** After any other change: what changed is the writer's, and nobody owns what is gone. */
export function update(
  before: KubernetesObject | undefined,
  after: unknown,
  topology: Topology,
  writer: Writer,
): readonly unknown[] {
  const { changed, removed } = compare(before, after, topology);
  const fields = changed.difference(NOBODYS);
  const ownerships = ownershipsOf(before);
  const mine = ownerships.find((ownership) => isOf(ownership, writer, "Update"));
  const others = ownerships.filter((ownership) => ownership !== mine);
  const own = (mine?.fields ?? new Set<string>()).union(fields).difference(removed);
  return written(
    [
      ...others.map((other) => ({ ...other, fields: other.fields.difference(changed).difference(removed) })),
      { ...writer, operation: "Update", fields: own },
    ],
    ownerships,
  );
}

const isOf = (ownership: Ownership, writer: Writer, operation: "Apply" | "Update"): boolean =>
  ownership.operation === operation &&
  ownership.manager === writer.manager &&
  ownership.apiVersion === writer.apiVersion &&
  ownership.subresource === writer.subresource;

const ownershipsOf = (object: KubernetesObject | undefined): Ownership[] =>
  (object?.metadata.managedFields ?? []).map((entry) => ({
    manager: entry.manager ?? "",
    operation: entry.operation === "Apply" ? "Apply" : "Update",
    apiVersion: String(entry["apiVersion"]),
    subresource: entry.subresource,
    now: String(entry["time"]),
    fields: fromFieldsV1(entry.fieldsV1),
  }));

/** An entry keeps its time as long as its fields are the same. */
function written(ownerships: readonly Ownership[], before: readonly Ownership[]): readonly unknown[] {
  return ownerships
    .filter(({ fields }) => fields.size > 0)
    .map((ownership) => {
      const { manager, operation, apiVersion, subresource, fields } = ownership;
      const was = before.find((old) => isOf(old, ownership, operation));
      return {
        manager,
        operation,
        apiVersion,
        time: was !== undefined && same(was.fields, fields) ? was.now : ownership.now,
        fieldsType: "FieldsV1",
        fieldsV1: toFieldsV1(fields),
        ...(subresource === undefined ? {} : { subresource }),
      };
    })
    .toSorted((a, b) => Number(a.operation === "Update") - Number(b.operation === "Update"));
}

function conflict(
  conflicts: readonly { readonly other: Pick<Ownership, "manager">; readonly common: FieldSet }[],
): ApiError {
  const causes = conflicts.flatMap(({ other, common }) =>
    [...common].map((field) => ({
      reason: "FieldManagerConflict",
      message: `conflict with "${other.manager}"`,
      field: readable(field),
    })),
  );
  const fields = causes.map(({ message, field }) => `${message}: ${field}`).join("\n");
  return new ApiError(
    409,
    "Conflict",
    `Apply failed with ${causes.length} conflict${causes.length === 1 ? "" : "s"}: ${fields}`,
    { causes },
  );
}

const metadata = (name: string): string => join("f:metadata", `f:${name}`);
/** Fields that the server sets. */
const NOBODYS: FieldSet = new Set([
  "f:apiVersion",
  "f:kind",
  "f:metadata",
  ...["name", "namespace", "uid", "resourceVersion", "generation", "selfLink", "managedFields"].map(metadata),
  ...["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"].map(metadata),
]);
