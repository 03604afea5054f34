/** Three ways in which a sent object changes a stored one: server-side apply's merge and removal, and JSON merge patch. */
import { type FieldSet, join } from "./field-set.ts";
import { isMembers, type Members } from "./json.ts";
import { childrenOf, type Topology } from "./topology.ts";

/** What `applied` names becomes as it says; all else stays. Items of a list with keys stay in their order. */
export function merge(live: unknown, applied: unknown, topology: Topology): unknown {
  const children = childrenOf(applied, topology);
  const existing = childrenOf(live, topology);
  if (children === undefined || existing === undefined) return structuredClone(applied);
  const wanted = new Map(children.map((child) => [child.element, child]));
  if (Array.isArray(applied)) {
    const kept = existing.map(({ element, value, below }) => {
      const child = wanted.get(element);
      return child === undefined ? value : merge(value, child.value, below);
    });
    const known = new Set(existing.map(({ element }) => element));
    return [...kept, ...children.filter(({ element }) => !known.has(element)).map(({ value }) => value)];
  }
  const merged: Members = isMembers(live) ? { ...live } : {};
  for (const { element, value, below } of children) {
    const name = element.slice("f:".length);
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value, below);
  }
  return merged;
}

/** Without the fields of `gone`, and all that is in them. Members that tell a list's items apart go only with their item. */
export function without(value: unknown, topology: Topology, gone: FieldSet, path = ""): unknown {
  const children = childrenOf(value, topology);
  if (children === undefined || gone.size === 0) return value;
  const kept = children.flatMap(({ element, value: inner, below }): [string, unknown][] => {
    const field = join(path, element);
    return gone.has(field) ? [] : [[element, withKeys(inner, without(inner, below, gone, field), topology)]];
  });
  if (Array.isArray(value)) return kept.map(([, item]) => item);
  return Object.fromEntries(kept.map(([element, member]) => [element.slice("f:".length), member]));
}

function withKeys(item: unknown, left: unknown, topology: Topology): unknown {
  if (topology.shape !== "keyed" || !isMembers(item) || !isMembers(left)) return left;
  const keys = topology.keys.filter((key) => key in item).map((key) => [key, item[key]]);
  return { ...Object.fromEntries(keys), ...left };
}

/** RFC 7386 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) return patch;
  const result: Members = isMembers(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else if (value !== undefined) result[name] = mergePatch(result[name], value);
  }
  return result;
}
