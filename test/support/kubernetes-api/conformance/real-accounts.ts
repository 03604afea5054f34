/** Accounts of a real API server: a ServiceAccount, its Roles and their bindings, and a token that is asked for. */
import { expect } from "bun:test";
import type { Rule } from "../contract.ts";
import { at, textOf } from "../json.ts";
import { Ask, soon, type Target } from "./server.ts";

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** As an admin of that server. */
export function realTarget(admin: Omit<Target, "tokenFor">): Target {
  const target: Target = { ...admin, tokenFor: (rules, namespace) => tokenFor(target, rules, namespace) };
  return target;
}

async function tokenFor(target: Target, rules: readonly Rule[], namespace: string): Promise<string> {
  const ask = new Ask(target);
  const name = `account-${crypto.randomUUID().slice(0, 8)}`;
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await ask.post(accounts, { metadata: { name } });
  for (const [index, { namespace: place, ...rule }] of rules.entries()) {
    if (place === undefined) throw new Error("rights in the whole cluster are not needed here");
    const path = `${RBAC}/namespaces/${place}`;
    const role = `${name}-${index}`;
    const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role };
    const subjects = [{ kind: "ServiceAccount", name, namespace }];
    await ask.post(`${path}/roles`, { metadata: { name: role }, rules: [rule] });
    await ask.post(`${path}/rolebindings`, { metadata: { name: role }, roleRef, subjects });
  }
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
  const { status, body } = await ask.post(`${accounts}/${name}/token`, request);
  expect(status).toBe(201);
  const token = textOf(at(body, "status", "token")) ?? "";
  await untilAllowed(target, token, rules);
  return token;
}

/** The authorizer sees new bindings a moment later. */
async function untilAllowed(target: Target, token: string, rules: readonly Rule[]): Promise<void> {
  for (const { apiGroups, resources, verbs, resourceNames, namespace } of rules) {
    const wish = {
      group: apiGroups[0],
      resource: resources[0],
      verb: verbs[0],
      name: resourceNames?.[0],
      namespace,
    };
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: wish },
    };
    const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    await soon(
      async () => at((await new Ask(target, token).post(reviews, review)).body, "status", "allowed") === true,
    );
  }
}
