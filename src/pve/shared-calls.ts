/** Reads what the calls that all collectors share say: `/cluster/status`, `/cluster/resources` and `/version`. */
import { PveFailure } from "./failure.ts";
import type { ClusterRow, ClusterStatus, NodeRow, ResourceRow, Resources } from "./model.ts";
import { booleanOf, isRow, nodeNameOf, numberOf, type Row, textOf, vmidOf } from "./values.ts";

export const STATUS_PATH = "/cluster/status";
export const RESOURCES_PATH = "/cluster/resources";
export const VERSION_PATH = "/version";

/** The first of two rows of one name is taken. Throws PveFailure invalid where this is no list. */
export function clusterStatusOf(data: unknown): ClusterStatus {
  let cluster: ClusterRow | undefined;
  const nodes = new Map<string, NodeRow>();
  let invalid = 0;
  let duplicate = 0;
  for (const row of listOf(data, STATUS_PATH)) {
    const name = isRow(row) && row["type"] === "node" ? nodeNameOf(row["name"]) : undefined;
    if (isRow(row) && row["type"] === "cluster") {
      if (cluster !== undefined) duplicate++;
      cluster ??= clusterOf(row);
    } else if (!isRow(row) || name === undefined) invalid++;
    else if (nodes.has(name)) duplicate++;
    else nodes.set(name, nodeOf(name, row));
  }
  const inOrder = [...nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { cluster, nodes: inOrder, invalid, duplicate };
}

const clusterOf = (row: Row): ClusterRow => ({
  name: textOf(row["name"]).text,
  nodes: finite(row["nodes"]),
  version: finite(row["version"]),
  quorate: booleanOf(row["quorate"]),
});

const nodeOf = (name: string, row: Row): NodeRow => ({
  name,
  nodeid: finite(row["nodeid"]),
  level: textOf(row["level"]).text,
  isOnline: booleanOf(row["online"]) === true,
  isLocal: booleanOf(row["local"]) === true,
});

function finite(value: unknown): number | undefined {
  const number = numberOf(value);
  return number === "invalid" ? undefined : number;
}

/** Rows without a right identity are invalid. Throws PveFailure invalid where this is no list. */
export function resourcesOf(data: unknown): Resources {
  const rows: ResourceRow[] = [];
  let invalid = 0;
  let unknown = 0;
  for (const entry of listOf(data, RESOURCES_PATH)) {
    const row = isRow(entry) ? resourceOf(entry) : undefined;
    if (row !== undefined) rows.push(row);
    else if (isRow(entry) && isUnknownType(entry["type"])) unknown++;
    else invalid++;
  }
  // Stable: of two with one id the first stays the first.
  rows.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const unique = rows.filter(({ id }, index) => id !== rows[index - 1]?.id);
  return { rows: unique, invalid, unknown, duplicate: rows.length - unique.length };
}

function resourceOf(fields: Row): ResourceRow | undefined {
  const { type, id } = fields;
  if (typeof id !== "string" || id.length > LONGEST_ID) return undefined;
  if (type === "pool")
    return POOL_ID.test(id) ? { type, id, node: undefined, vmid: undefined, fields } : undefined;
  const node = nodeNameOf(fields["node"]);
  if (node === undefined) return undefined;
  switch (type) {
    case "node":
      return id === `node/${node}` ? { type, id, node, vmid: undefined, fields } : undefined;
    case "qemu":
    case "lxc": {
      const vmid = vmidOf(fields["vmid"]);
      return id === `${type}/${vmid}` ? { type, id, node, vmid, fields } : undefined;
    }
    case "storage":
    case "sdn":
    case "network":
      return id.startsWith(`${type}/${node}/`) && REST_OF_ID.test(id)
        ? { type, id, node, vmid: undefined, fields }
        : undefined;
    default:
      return undefined;
  }
}

const isUnknownType = (type: unknown): boolean => typeof type === "string" && !TYPES.has(type);

const TYPES: ReadonlySet<string> = new Set<ResourceRow["type"]>([
  "node",
  "qemu",
  "lxc",
  "storage",
  "pool",
  "sdn",
  "network",
]);

const LONGEST_ID = 1024;
/** Pools may stand in pools. */
const POOL_ID = /^\/pool(?:\/\w[\w.-]*)+$/;
const REST_OF_ID = /^[a-z]+\/[^/]+(?:\/\w[\w.-]*)+$/;

/** "9.2" and 9; what cannot be read counts as 9. */
export function releaseOf(data: unknown): { readonly text: string; readonly major: number } {
  const text = isRow(data) ? textOf(data["release"]).text : "";
  const major = /^\d{1,3}(?=\.|$)/.exec(text)?.[0];
  return { text, major: major === undefined ? NEWEST_MAJOR : Number(major) };
}

const NEWEST_MAJOR = 9;

function listOf(data: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(data)) throw new PveFailure("invalid", path, `the answer of ${path} is no list`);
  return data;
}
