/** Who asks, by its token or its client certificate, and what it may do. */
import type { Rule } from "./contract.ts";
import { ApiError } from "./failure.ts";

export interface User {
  readonly name: string;
  /** Undefined: everything. */
  readonly rules: (() => readonly Rule[]) | undefined;
}

/** What a request wants to do, in RBAC's words. */
export interface Wish {
  readonly verb: string;
  readonly group: string;
  /** With its subresource: "daemonsets/status". */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export const ANONYMOUS: User = { name: "system:anonymous", rules: () => [] };

export const unauthorized = (): ApiError => new ApiError(401, "Unauthorized", "Unauthorized");

/** Throws 403. */
export function authorize(user: User, wish: Wish): void {
  if (user.rules === undefined || user.rules().some((rule) => allows(rule, wish))) return;
  const { verb, group, resource, namespace, name } = wish;
  const [plural = ""] = resource.split("/");
  const object = `${plural}${group === "" ? "" : `.${group}`}${name === undefined ? "" : ` "${name}"`}`;
  const place = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  throw new ApiError(
    403,
    "Forbidden",
    `${object} is forbidden: User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${place}`,
    { ...(name === undefined ? {} : { name }), ...(group === "" ? {} : { group }), kind: plural },
  );
}

function allows(rule: Rule, { verb, group, resource, namespace, name }: Wish): boolean {
  const has = (list: readonly string[], one: string) => list.includes(one) || list.includes("*");
  return (
    (rule.namespace === undefined || rule.namespace === namespace) &&
    has(rule.apiGroups, group) &&
    has(rule.resources, resource) &&
    has(rule.verbs, verb) &&
    (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name)))
  );
}
