/** What the operator does on OpenShift alone: the SCC of its pods, which is the cluster's, and the cluster's own id. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import {
  CLUSTER_VERSION,
  CONFIG_MAP,
  type Kind,
  PLUMBLINE,
  SECURITY_CONTEXT_CONSTRAINTS,
} from "../../../src/kubernetes/object.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import {
  accountOf,
  byTokenFile,
  installOperator,
  leading,
  NAMESPACE,
  type RunningOperator,
  startOperator,
} from "./operator-process.ts";
import { createPlumbline, untilAvailable } from "./plumblines.ts";
import { until } from "./until.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;
const SOON_MS = 15_000;
const CLUSTER_ID = "6f1c0a52-9d53-4c0e-8e21-57b1f6a0c3d4";
const CLUSTER_ROLE: Kind = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  plural: "clusterroles",
  isNamespaced: false,
};

describeWithKubernetes("the operator on OpenShift", () => {
  let cluster: Cluster;
  let operator: RunningOperator;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 1 });
    await cluster.addKind(CLUSTER_VERSION);
    await cluster.addKind(SECURITY_CONTEXT_CONSTRAINTS);
    const { apiVersion, kind } = CLUSTER_VERSION;
    const spec = { clusterID: CLUSTER_ID };
    await cluster.admin.create(CLUSTER_VERSION, { apiVersion, kind, metadata: { name: "version" }, spec });
    const [pod] = await installOperator(cluster, { overlay: "operator-openshift" });
    if (pod === undefined) throw new Error("the Deployment has no pod");
    operator = await startOperator(pod, byTokenFile(cluster, await accountOf(cluster, pod)));
    await leading(operator);
  }, START_MS);
  afterAll(async () => {
    await operator?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const constraints = async (name: string) => {
    const all = await cluster.admin.list(SECURITY_CONTEXT_CONSTRAINTS);
    return all.find(({ metadata }) => metadata.labels?.["app.kubernetes.io/instance"] === name);
  };
  const isGone = async (name: string) => (await cluster.admin.get(PLUMBLINE, name, NAMESPACE)) === undefined;

  test(
    "makes the SCC of a Plumbline and puts it back; it goes with the Plumbline",
    async () => {
      await createPlumbline(cluster, "ours");
      await untilAvailable(cluster, "ours");
      const made = await constraints("ours");
      expect(made).toMatchObject({ users: [`system:serviceaccount:${NAMESPACE}:plumbline-ours`] });
      const name = made?.metadata.name ?? "";
      await cluster.admin.edit(SECURITY_CONTEXT_CONSTRAINTS, name, undefined, {
        users: ["system:anonymous"],
      });
      await until("the SCC is put back", 5000, async () =>
        Bun.deepEquals((await constraints("ours"))?.["users"], made?.["users"]),
      );

      await cluster.admin.remove(PLUMBLINE, "ours", NAMESPACE);
      await until("the Plumbline is gone", SOON_MS, () => isGone("ours"));
      expect(await constraints("ours")).toBeUndefined();
    },
    TEST_MS,
  );

  test(
    "takes the id of the ClusterVersion for the cluster's",
    async () => {
      await createPlumbline(cluster, "named");
      await untilAvailable(cluster, "named");
      const config = (await cluster.admin.get(CONFIG_MAP, "plumbline-named", NAMESPACE))?.["data"];
      expect(JSON.stringify(config)).toContain(CLUSTER_ID);
      await cluster.admin.remove(PLUMBLINE, "named", NAMESPACE);
      await until("the Plumbline is gone", SOON_MS, () => isGone("named"));
    },
    TEST_MS,
  );

  test(
    "lets a Plumbline go whose SCC it may not remove",
    async () => {
      await createPlumbline(cluster, "stuck");
      await untilAvailable(cluster, "stuck");
      const name = "plumbline-operator-openshift";
      const { rules } = v.parse(RULES, await cluster.admin.get(CLUSTER_ROLE, name));
      const readOnly = rules.map((rule) => ({ ...rule, verbs: ["get", "list", "watch"] }));
      await cluster.admin.edit(CLUSTER_ROLE, name, undefined, { rules: readOnly });
      await cluster.admin.remove(PLUMBLINE, "stuck", NAMESPACE);
      await until("the Plumbline is gone", SOON_MS, () => isGone("stuck"));
      expect(await constraints("stuck")).toBeDefined();
      expect(operator.process.log()).toMatch(/securitycontextconstraints/);
    },
    TEST_MS,
  );
});

const RULES = v.object({ rules: v.array(v.looseObject({ verbs: v.array(v.string()) })) });
