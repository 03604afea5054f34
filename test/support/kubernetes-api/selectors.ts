/** Label selectors and field selectors, as queries of lists and watches write them. */
import type { KubernetesObject } from "../../../src/kubernetes/object.ts";
import { badRequest } from "./failure.ts";
import { at, textOf } from "./json.ts";

export type Selects = (object: KubernetesObject) => boolean;

export function selectorOf(labels: string, fields: string): Selects {
  const all = [...requirements(labels).map(labelTest), ...requirements(fields).map(fieldTest)];
  return (object) => all.every((selects) => selects(object));
}

/** Commas in parentheses part nothing. */
const requirements = (text: string): string[] =>
  text
    .split(/,(?![^()]*\))/)
    .map((one) => one.trim())
    .filter((one) => one !== "");

type LabelTest = (value: string | undefined) => boolean;

function labelTest(requirement: string): Selects {
  const { key, test } = parsedLabel(requirement);
  return ({ metadata }) => test(metadata.labels?.[key]);
}

function parsedLabel(requirement: string): { readonly key: string; readonly test: LabelTest } {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(requirement);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    const isIn = (value: string | undefined) => value !== undefined && values.includes(value);
    return { key, test: operator === "in" ? isIn : (value) => !isIn(value) };
  }
  const equality = /^([^!=\s]+)\s*(!=|==|=)\s*(\S*)$/.exec(requirement);
  if (equality !== null) {
    const [, key = "", operator, wanted] = equality;
    return { key, test: operator === "!=" ? (value) => value !== wanted : (value) => value === wanted };
  }
  const existence = /^(!?)([^!=\s]+)$/.exec(requirement);
  if (existence === null) throw badRequest(`unable to parse requirement: ${requirement}`);
  const [, negation, key = ""] = existence;
  return { key, test: negation === "!" ? (value) => value === undefined : (value) => value !== undefined };
}

function fieldTest(requirement: string): Selects {
  const parsed = /^([^!=]+)(!=|==|=)(.*)$/.exec(requirement);
  if (parsed === null) throw badRequest(`invalid field selector: ${requirement}`);
  const [, path = "", operator, wanted] = parsed;
  const value = (object: KubernetesObject) => textOf(at(object, ...path.split("."))) ?? "";
  return operator === "!=" ? (object) => value(object) !== wanted : (object) => value(object) === wanted;
}

/** The name that a field selector asks for, if it asks for one: rights for that name are enough then. */
export const nameSelected = (fields: string): string | undefined =>
  /(?:^|,)metadata\.name==?([^,]+)/.exec(fields)?.[1];
