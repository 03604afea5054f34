/** The least rights are true: what a service account of ours may do is what its overlay says, and nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { installOperator, NAMESPACE } from "./operator-process.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;

const VERBS = [
  "get",
  "list",
  "watch",
  "create",
  "update",
  "patch",
  "delete",
  "deletecollection",
  "bind",
  "escalate",
];
const AT_ONCE = 16;

/** In its own namespace. */
const OPERATOR = [
  "plumbline.dev/plumblines: get list watch",
  "plumbline.dev/plumblines/status: get patch",
  "/serviceaccounts: get list watch create patch delete",
  "/configmaps: get list watch create patch delete",
  "/services: get list watch create patch delete",
  "apps/daemonsets: get list watch create patch delete",
  "monitoring.coreos.com/podmonitors: get list watch create patch delete",
  "monitoring.coreos.com/prometheusrules: get list watch create patch delete",
  "/pods: get list watch",
  "/events: create patch",
  "coordination.k8s.io/leases: get create update",
];
/** Everywhere. */
const OPERATOR_IN_CLUSTER = ["/nodes: get list"];
/** One object of each. */
const OPERATOR_BY_NAME = [
  "config.openshift.io/clusterversions/version: get",
  "/namespaces/kube-system: get",
  "apiextensions.k8s.io/customresourcedefinitions/podmonitors.monitoring.coreos.com: get list watch",
  "apiextensions.k8s.io/customresourcedefinitions/prometheusrules.monitoring.coreos.com: get list watch",
];
const OPENSHIFT = ["security.openshift.io/securitycontextconstraints: get list watch create patch delete"];

/** Not in discovery here: of kinds that this cluster does not have, and a subresource that has no path. */
const NOT_SERVED = [
  "security.openshift.io/securitycontextconstraints",
  "config.openshift.io/clusterversions",
  "monitoring.coreos.com/podmonitors",
  "monitoring.coreos.com/prometheusrules",
  "plumbline.dev/plumblines/finalizers",
];

describeWithKubernetes("the rights", () => {
  let cluster: Cluster;
  let resources: readonly string[];

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 1 });
    await installOperator(cluster);
    resources = [...(await served(cluster)), ...NOT_SERVED];
  }, START_MS);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  /** Whether the user may: of a resource as in the lists above, in a namespace or, without, in all. */
  async function may(
    user: string,
    verb: string,
    resource: string,
    namespace?: string,
    name?: string,
  ): Promise<boolean> {
    const [group = "", plural = "", subresource] = resource.split("/");
    const resourceAttributes = { verb, group, resource: plural, subresource, namespace, name };
    const body = await cluster.admin.must("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { user, groups: ["system:serviceaccounts", "system:authenticated"], resourceAttributes },
    });
    return v.parse(v.object({ status: v.object({ allowed: v.boolean() }) }), body).status.allowed;
  }

  /** What the user may of all that the API serves, but for what every authenticated user may. */
  async function rights(account: string, namespace?: string): Promise<readonly string[]> {
    const user = `system:serviceaccount:${NAMESPACE}:${account}`;
    const found: string[] = [];
    const left = [...resources];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let resource = left.pop(); resource !== undefined; resource = left.pop()) {
          const verbs: string[] = [];
          for (const verb of VERBS) if (await may(user, verb, resource, namespace)) verbs.push(verb);
          if (verbs.length > 0 && !FOR_ALL.has(resource)) found.push(`${resource}: ${verbs.join(" ")}`);
        }
      }),
    );
    return found.toSorted();
  }

  const named = async (lines: readonly string[]): Promise<readonly string[]> => {
    const user = `system:serviceaccount:${NAMESPACE}:plumbline-operator`;
    return Promise.all(
      lines.map(async (line) => {
        const [, resource = "", name = ""] = /^([^/]*\/[^/]*)\/(.*): /.exec(line) ?? [];
        const verbs: string[] = [];
        for (const verb of VERBS) if (await may(user, verb, resource, undefined, name)) verbs.push(verb);
        return `${resource}/${name}: ${verbs.join(" ")}`;
      }),
    );
  };

  test(
    "of the operator in its namespace are those of its Role, and nodes",
    async () => {
      expect(await rights("plumbline-operator", NAMESPACE)).toEqual(
        [...OPERATOR, ...OPERATOR_IN_CLUSTER].toSorted(),
      );
    },
    TEST_MS,
  );

  test(
    "of the operator elsewhere are to read nodes, and objects by their names",
    async () => {
      expect(await rights("plumbline-operator", "default")).toEqual(OPERATOR_IN_CLUSTER);
      expect(await rights("plumbline-operator")).toEqual(OPERATOR_IN_CLUSTER);
      expect(await named(OPERATOR_BY_NAME)).toEqual(OPERATOR_BY_NAME);
    },
    TEST_MS,
  );

  test(
    "of an exporter are none at all",
    async () => {
      expect(await rights("plumbline-cluster", NAMESPACE)).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "on OpenShift the operator may also keep SecurityContextConstraints and its own finalizer",
    async () => {
      await installOperator(cluster, { overlay: "operator-openshift" });
      const more = [...OPERATOR, ...OPERATOR_IN_CLUSTER, ...OPENSHIFT].filter(
        (line) => !line.startsWith("plumbline.dev/plumblines:"),
      );
      expect(await rights("plumbline-operator", NAMESPACE)).toEqual(
        [...more, "plumbline.dev/plumblines: get list watch patch"].toSorted(),
      );
    },
    TEST_MS,
  );

  test(
    "a request beyond them is refused, and one within them is not",
    async () => {
      const operator = cluster.admin.as(await cluster.admin.token("plumbline-operator", NAMESPACE));
      const answers = [
        ["GET", `/api/v1/namespaces/${NAMESPACE}/configmaps`, 200],
        ["GET", "/api/v1/nodes", 200],
        ["GET", `/api/v1/namespaces/${NAMESPACE}/secrets`, 403],
        ["GET", "/api/v1/configmaps", 403],
        ["GET", "/api/v1/namespaces/default/pods", 403],
        ["GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", 403],
        ["DELETE", "/api/v1/nodes/node-1", 403],
      ] as const;
      for (const [method, path, status] of answers)
        expect([path, (await operator.request(method, path)).status]).toEqual([path, status]);
    },
    TEST_MS,
  );
});

/** What system:basic-user and system:discovery give to all. */
const FOR_ALL: ReadonlySet<string> = new Set([
  "authorization.k8s.io/selfsubjectaccessreviews",
  "authorization.k8s.io/selfsubjectrulesreviews",
]);

const GROUPS = v.object({
  groups: v.array(v.object({ preferredVersion: v.object({ groupVersion: v.string() }) })),
});
const RESOURCES = v.object({ resources: v.array(v.object({ name: v.string() })) });

/** `apps/daemonsets`, `/pods`, `/pods/log`: all that discovery tells of. */
async function served({ admin }: Cluster): Promise<readonly string[]> {
  const { groups } = v.parse(GROUPS, await admin.must("GET", "/apis"));
  const versions = groups.map(({ preferredVersion }) => preferredVersion.groupVersion);
  const lists = await Promise.all(
    ["", ...versions].map(async (version) => {
      const path = version === "" ? "/api/v1" : `/apis/${version}`;
      const { resources } = v.parse(RESOURCES, await admin.must("GET", path));
      return resources.map(({ name }) => `${version.split("/")[0] ?? ""}/${name}`);
    }),
  );
  return [...new Set(lists.flat())];
}
