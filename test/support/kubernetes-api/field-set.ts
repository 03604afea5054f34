/** Sets of fields: each is a path of elements, as `fieldsV1` of managedFields writes them. */
import { isMembers, type Members, membersOf, same } from "./json.ts";
import { childrenOf, LEAF, type Topology } from "./topology.ts";

/** Of paths. */
export type FieldSet = ReadonlySet<string>;

/** Stands in no element. */
const SEPARATOR = "\0";
export const join = (path: string, element: string): string =>
  path === "" ? element : `${path}${SEPARATOR}${element}`;
export const elementsOf = (path: string): string[] => path.split(SEPARATOR);

/** With all in which they lie. */
export function withParents(fields: FieldSet): Set<string> {
  const all = new Set<string>();
  for (const field of fields) {
    const elements = elementsOf(field);
    for (let length = 1; length <= elements.length; length++)
      all.add(elements.slice(0, length).join(SEPARATOR));
  }
  return all;
}

/** All fields that the object names. */
export function fieldsOf(value: unknown, topology: Topology, path = ""): Set<string> {
  const children = childrenOf(value, topology);
  if (children === undefined) return new Set([path]);
  const fields = new Set<string>();
  for (const child of children) {
    const below = join(path, child.element);
    if (child.isItself) fields.add(below);
    for (const field of fieldsOf(child.value, child.below, below)) fields.add(field);
  }
  return fields;
}

export interface Difference {
  /** Added or modified. */
  readonly changed: Set<string>;
  readonly removed: Set<string>;
}

export function compare(before: unknown, after: unknown, topology: Topology): Difference {
  const difference = { changed: new Set<string>(), removed: new Set<string>() };
  walk(before, after, topology, "", difference);
  return difference;
}

function walk(before: unknown, after: unknown, topology: Topology, path: string, found: Difference): void {
  const old = before === undefined ? [] : childrenOf(before, topology);
  const young = after === undefined ? [] : childrenOf(after, topology);
  if (old === undefined || young === undefined) {
    if (after === undefined) found.removed.add(path);
    else if (!same(before, after)) found.changed.add(path);
    return;
  }
  const olds = new Map(old.map((child) => [child.element, child]));
  const youngs = new Map(young.map((child) => [child.element, child]));
  for (const element of new Set([...olds.keys(), ...youngs.keys()])) {
    const below = join(path, element);
    const [was, is] = [olds.get(element), youngs.get(element)];
    if (was === undefined) found.changed.add(below);
    if (is === undefined) found.removed.add(below);
    walk(was?.value, is?.value, is?.below ?? was?.below ?? LEAF, below, found);
  }
}

/** `fieldsV1`: a tree; "." stands for the field itself where there are others below it. */
export function toFieldsV1(fields: FieldSet): Members {
  const root: Members = {};
  for (const path of [...fields].toSorted()) {
    let node = root;
    for (const element of elementsOf(path)) {
      const next = membersOf(node[element]);
      node[element] = next;
      node = next;
    }
    node["."] = {};
  }
  return simplified(root);
}

/** A node that has nothing but itself is empty. */
function simplified(node: Members): Members {
  const elements = Object.entries(node);
  if (elements.length === 1 && "." in node) return {};
  return Object.fromEntries(
    elements.map(([element, below]) => [element, isMembers(below) ? simplified(below) : below]),
  );
}

export function fromFieldsV1(tree: unknown, path = ""): Set<string> {
  const fields = new Set<string>();
  const elements = Object.entries(membersOf(tree));
  if (elements.length === 0 && path !== "") fields.add(path);
  for (const [element, below] of elements) {
    if (element === ".") fields.add(path);
    else for (const field of fromFieldsV1(below, join(path, element))) fields.add(field);
  }
  return fields;
}

/** As people write them, and as conflicts name them: `.spec.template.spec.containers[name="exporter"].image`. */
export function readable(path: string): string {
  return elementsOf(path)
    .map((element) => {
      const rest = element.slice(2);
      if (element.startsWith("f:")) return `.${rest}`;
      if (element.startsWith("v:")) return `[=${rest}]`;
      const keys: unknown = JSON.parse(rest);
      const pairs = Object.entries(membersOf(keys)).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
      return `[${pairs.join(",")}]`;
    })
    .join("");
}
