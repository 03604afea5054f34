/** Who may do what. */
import { expect } from "bun:test";
import type { Rule } from "../contract.ts";
import { Ask, type Bed, type Behaviour, configMap, failure } from "./server.ts";

const rule = (verbs: readonly string[], more: Partial<Rule> = {}): Rule => ({
  apiGroups: [""],
  resources: ["configmaps"],
  verbs,
  ...more,
});

async function allowed(bed: Bed, ...rules: readonly Rule[]): Promise<Ask> {
  const token = await bed.target.tokenFor(rules, bed.namespace);
  return new Ask(bed.target, token);
}

export const REFUSING: readonly Behaviour[] = [
  {
    name: "a token that nobody knows is answered with 401",
    async run({ target, core }) {
      const answer = await new Ask(target, "nobody-knows-me").get(`${core}/configmaps`);
      expect(failure(answer)).toEqual({ status: 401, reason: "Unauthorized" });
    },
  },
  {
    name: "what no rule allows is answered with 403, which says what was wanted",
    async run(bed) {
      const ask = await allowed(bed, rule(["get", "list"], { namespace: bed.namespace }));
      expect((await ask.get(`${bed.core}/configmaps`)).status).toBe(200);
      const answer = await ask.post(`${bed.core}/configmaps`, configMap("a"));
      expect(failure(answer)).toEqual({ status: 403, reason: "Forbidden" });
      expect(answer.body["details"]).toEqual({ kind: "configmaps" });
      expect(answer.body["message"]).toMatch(
        new RegExp(
          `^configmaps is forbidden: User "system:serviceaccount:[^"]+" cannot create resource "configmaps" in API group "" in the namespace "${bed.namespace}"$`,
        ),
      );
      expect((await ask.get("/api/v1/namespaces/default/configmaps")).status).toBe(403);
      const nodes = await ask.get("/api/v1/nodes");
      expect(nodes.body["message"]).toMatch(/at the cluster scope$/);
    },
  },
  {
    name: "the right to a name allows to get it, and to list and watch it by that name",
    async run(bed) {
      const verbs = ["get", "list", "watch"];
      const ask = await allowed(bed, rule(verbs, { namespace: bed.namespace, resourceNames: ["mine"] }));
      await bed.ask.post(`${bed.core}/configmaps`, configMap("mine"));
      const path = `${bed.core}/configmaps`;
      expect((await ask.get(`${path}/mine`)).status).toBe(200);
      expect((await ask.get(`${path}/other`)).status).toBe(403);
      expect((await ask.get(path)).status).toBe(403);
      const selector = "fieldSelector=metadata.name%3Dmine";
      expect((await ask.get(`${path}?${selector}`)).status).toBe(200);
      expect(await ask.watch(`${path}?watch=1&${selector}&timeoutSeconds=5`, 1)).toMatchObject([
        { type: "ADDED" },
      ]);
    },
  },
  {
    name: "apply needs the right to patch, and to create what is not there",
    async run(bed) {
      const path = `${bed.core}/configmaps/a`;
      const ask = await allowed(bed, rule(["patch"], { namespace: bed.namespace }));
      expect(failure(await ask.apply(path, "one", configMap("a")))).toEqual({
        status: 403,
        reason: "Forbidden",
      });
      await bed.ask.post(`${bed.core}/configmaps`, configMap("a"));
      expect((await ask.apply(path, "one", configMap("a", { x: "1" }))).status).toBe(200);
    },
  },
  {
    name: "a subresource is a right of its own",
    async run(bed) {
      const ask = await allowed(bed, {
        apiGroups: ["apps"],
        resources: ["daemonsets"],
        verbs: ["get", "patch"],
        namespace: bed.namespace,
      });
      const answer = await ask.patch(`${bed.apps}/daemonsets/d/status`, { status: {} });
      expect(failure(answer)).toEqual({ status: 403, reason: "Forbidden" });
      expect(answer.body["message"]).toStartWith(
        `daemonsets.apps "d" is forbidden: User "system:serviceaccount:`,
      );
      expect(answer.body["message"]).toContain(
        'cannot patch resource "daemonsets/status" in API group "apps"',
      );
    },
  },
];
