/** What the operator keeps true, on a real API server with real controllers, with the rights that its overlay gives it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import * as v from "valibot";
import {
  CONFIG_MAP,
  DAEMON_SET,
  EVENT,
  type Kind,
  type KubernetesObject,
  PLUMBLINE,
  POD,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SERVICE,
  SERVICE_ACCOUNT,
} from "../../../src/kubernetes/object.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { STATE } from "./fake-kubelet.ts";
import {
  accountOf,
  byTokenFile,
  installOperator,
  leading,
  NAMESPACE,
  type RunningOperator,
  startOperator,
} from "./operator-process.ts";
import {
  condition,
  createPlumbline,
  editPlumbline,
  isDegraded,
  untilAvailable,
  untilStatus,
} from "./plumblines.ts";
import { until } from "./until.ts";

const START_MS = 120_000;
const TEST_MS = 60_000;
const SOON_MS = 15_000;
const COLLECTED_MS = 50_000;
/** In which a hand edit is put back. */
const DRIFT_MS = 5000;

const OWNED: readonly Kind[] = [
  SERVICE_ACCOUNT,
  CONFIG_MAP,
  SERVICE,
  DAEMON_SET,
  POD_MONITOR,
  PROMETHEUS_RULE,
];

describeWithKubernetes("the operator", () => {
  let cluster: Cluster;
  let operator: RunningOperator;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 3 });
    const [pod] = await installOperator(cluster);
    if (pod === undefined) throw new Error("the Deployment has no pod");
    operator = await startOperator(pod, byTokenFile(cluster, await accountOf(cluster, pod)));
    await leading(operator);
  }, START_MS);
  afterAll(async () => {
    await operator?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const owned = (kind: Kind, name: string) => cluster.admin.get(kind, `plumbline-${name}`, NAMESPACE);
  const there = (kind: Kind, name: string) =>
    until(`there is a ${kind.kind} of ${name}`, SOON_MS, () => owned(kind, name));
  const editOwned = (kind: Kind, name: string, patch: object) =>
    cluster.admin.edit(kind, `plumbline-${name}`, NAMESPACE, patch);
  const events = async (name: string, reason: string): Promise<readonly KubernetesObject[]> =>
    cluster.admin.list(EVENT, NAMESPACE, `?fieldSelector=involvedObject.name=${name},reason=${reason}`);
  const own = async (series: string): Promise<number> => (await operator.own()).get(series) ?? 0;

  test(
    "makes monitoring objects as soon as their CRDs appear, and says so until then",
    async () => {
      await createPlumbline(cluster, "early");
      const before = await untilAvailable(cluster, "early");
      expect(JSON.stringify(before.conditions)).toContain("podmonitors.monitoring.coreos.com");
      expect(await owned(DAEMON_SET, "early")).toBeDefined();
      await cluster.addKind(POD_MONITOR);
      await cluster.addKind(PROMETHEUS_RULE);
      await there(POD_MONITOR, "early");
      await there(PROMETHEUS_RULE, "early");
      await untilStatus(cluster, "early", "silent about CRDs", ({ conditions }) => {
        return !JSON.stringify(conditions).includes("podmonitors.monitoring.coreos.com");
      });
      await cluster.admin.remove(PLUMBLINE, "early", NAMESPACE);
    },
    TEST_MS,
  );

  test(
    "makes what a Plumbline asks for, as its owner and with its own field manager",
    async () => {
      await createPlumbline(cluster, "made", {
        config: { mayastor: { timeout: "7s" } },
        resources: { limits: { cpu: 1, memory: "256Mi" } },
      });
      const status = await untilAvailable(cluster, "made");
      expect(status).toMatchObject({ desired: 3, ready: 3, updated: 3, unavailable: 0, nodesFailing: [] });
      const { uid } = (await cluster.admin.get(PLUMBLINE, "made", NAMESPACE))?.metadata ?? {};
      for (const kind of OWNED) {
        const { metadata } = await there(kind, "made");
        expect(metadata.labels).toMatchObject({ "app.kubernetes.io/managed-by": "plumbline-operator" });
        expect(metadata.ownerReferences).toMatchObject([{ uid, controller: true }]);
        expect(metadata.managedFields).toContainEqual(
          expect.objectContaining({ manager: "plumbline-operator", operation: "Apply" }),
        );
      }
      expect(JSON.stringify((await owned(CONFIG_MAP, "made"))?.["data"])).toContain("7s");
      // The operator's own image: that of the Deployment.
      expect(containerOf(await there(DAEMON_SET, "made")).image).toStartWith("ghcr.io/plumbline/plumbline:");
      // And no token of the API server's in its pods.
      const pods = await cluster.admin.list(POD, NAMESPACE, "?labelSelector=app.kubernetes.io/instance=made");
      expect(pods).toHaveLength(3);
      for (const pod of pods) expect(JSON.stringify(specOf(pod))).not.toMatch(/serviceaccount\/|"token"/);
      const printed = await cluster.kubectl(["--namespace", NAMESPACE, "get", "plumb", "made"]);
      expect(printed).toMatch(/NAME\s+DESIRED\s+READY\s+DEGRADED\s+AGE\s+made\s+3\s+3\s+False/);
      expect(await events("made", "Created")).toHaveLength(1);
      await cluster.admin.remove(PLUMBLINE, "made", NAMESPACE);
    },
    TEST_MS,
  );

  const EDITS: readonly (readonly [Kind, object, (object: KubernetesObject) => unknown])[] = [
    [SERVICE_ACCOUNT, { automountServiceAccountToken: true }, (it) => it["automountServiceAccountToken"]],
    [CONFIG_MAP, { data: { "plumbline.yml": "log: { level: debug }" } }, (it) => it["data"]],
    [SERVICE, { spec: { selector: { "app.kubernetes.io/name": "other" } } }, specOf],
    [DAEMON_SET, { spec: { updateStrategy: { rollingUpdate: { maxUnavailable: 3 } } } }, specOf],
    [
      DAEMON_SET,
      { spec: { template: { metadata: { annotations: { "plumbline.dev/config-hash": "x" } } } } },
      specOf,
    ],
    [
      DAEMON_SET,
      { metadata: { labels: { "app.kubernetes.io/managed-by": "me" } } },
      (it) => it.metadata.labels,
    ],
    [POD_MONITOR, { spec: { podMetricsEndpoints: [] } }, specOf],
    [PROMETHEUS_RULE, { spec: { groups: [] } }, specOf],
  ];

  test(
    "puts back a hand's edit of a field that it owns, of each kind, within 5 s, and counts it",
    async () => {
      await createPlumbline(cluster, "drift", { nodeSelector: { "kubernetes.io/os": "linux" } });
      await untilAvailable(cluster, "drift");
      for (const [kind, edit, look] of EDITS) {
        const series = `plumbline_operator_drift_repairs_total{kind="${kind.kind}"}`;
        const wanted = JSON.stringify(look(await there(kind, "drift")));
        const counted = await own(series);
        await editOwned(kind, "drift", edit);
        await until(`the ${kind.kind} is put back`, DRIFT_MS, async () => {
          const now = await owned(kind, "drift");
          return now !== undefined && JSON.stringify(look(now)) === wanted;
        });
        await until("it is counted", SOON_MS, async () => (await own(series)) === counted + 1);
      }
    },
    TEST_MS,
  );

  test(
    "tells of what it put back in events",
    async () => {
      const told = JSON.stringify(await events("drift", "DriftRepaired"));
      for (const { kind } of OWNED) expect(told).toContain(`${kind} plumbline-drift`);
    },
    TEST_MS,
  );

  test(
    "makes again what a hand deletes, of each kind, within 5 s",
    async () => {
      for (const kind of OWNED) {
        const { uid } = (await there(kind, "drift")).metadata;
        await cluster.admin.remove(kind, "plumbline-drift", NAMESPACE);
        await until(`there is a new ${kind.kind}`, DRIFT_MS, async () => {
          const now = await owned(kind, "drift");
          return (
            now !== undefined && now.metadata.uid !== uid && now.metadata.deletionTimestamp === undefined
          );
        });
      }
      await untilAvailable(cluster, "drift");
    },
    TEST_MS,
  );

  test(
    "leaves alone what others add, also when it puts back its own",
    async () => {
      for (const kind of OWNED)
        await editOwned(kind, "drift", { metadata: { annotations: { "mesh.example/injected": "yes" } } });
      await editOwned(DAEMON_SET, "drift", {
        metadata: { labels: { "app.kubernetes.io/managed-by": "me" } },
      });
      await until("its own label is back", DRIFT_MS, async () => {
        const { labels } = (await there(DAEMON_SET, "drift")).metadata;
        return labels?.["app.kubernetes.io/managed-by"] === "plumbline-operator";
      });
      for (const kind of OWNED)
        expect((await there(kind, "drift")).metadata.annotations).toMatchObject({
          "mesh.example/injected": "yes",
        });
    },
    TEST_MS,
  );

  test(
    "rolls the pods by the DaemonSet when the configuration changes, and says so once",
    async () => {
      const podsBefore = await podsOf("drift");
      await editPlumbline(cluster, "drift", { config: { mayastor: { timeout: "8s" } } });
      await until("all pods are new", TEST_MS, async () => {
        const pods = await podsOf("drift");
        return pods.length === 3 && pods.every((uid) => !podsBefore.includes(uid));
      });
      await untilAvailable(cluster, "drift");
      expect(await events("drift", "ConfigRolled")).toHaveLength(1);
    },
    TEST_MS,
  );

  async function podsOf(name: string): Promise<readonly string[]> {
    const query = `?labelSelector=app.kubernetes.io/instance=${name}`;
    const pods = await cluster.admin.list(POD, NAMESPACE, query);
    return pods.flatMap(({ metadata: { uid, deletionTimestamp } }) =>
      uid === undefined || deletionTimestamp !== undefined ? [] : [uid],
    );
  }

  test(
    "changes nothing that runs for a spec that is invalid, and names the field",
    async () => {
      const daemonSet = await there(DAEMON_SET, "drift");
      const config = (await there(CONFIG_MAP, "drift"))["data"];
      // The schema in the API server cannot know this one.
      await editPlumbline(cluster, "drift", { config: { mayastor: { endpoint: "ftp://mayastor" } } });
      const status = await untilStatus(cluster, "drift", "degraded", isDegraded);
      expect(condition(status, "Degraded")).toMatchObject({ reason: "InvalidSpec" });
      expect(condition(status, "Degraded")?.message).toContain("spec.config.mayastor.endpoint");
      expect(condition(status, "Available")).toMatchObject({ status: "True" });
      expect((await there(DAEMON_SET, "drift")).metadata.generation).toBe(daemonSet.metadata.generation ?? 0);
      expect((await there(CONFIG_MAP, "drift"))["data"]).toEqual(config);
      expect(await own("plumbline_operator_config_valid{}")).toBe(0);
      // What is valid still holds: drift is put back meanwhile.
      await editOwned(CONFIG_MAP, "drift", { data: { "plumbline.yml": "" } });
      await until("the ConfigMap is put back", DRIFT_MS, async () => {
        return Bun.deepEquals((await there(CONFIG_MAP, "drift"))["data"], config);
      });
      await editPlumbline(cluster, "drift", { config: { mayastor: { endpoint: null } } });
      await untilAvailable(cluster, "drift");
      expect(await own("plumbline_operator_config_valid{}")).toBe(1);
      expect(await events("drift", "InvalidSpec")).toHaveLength(1);
    },
    TEST_MS,
  );

  test(
    "names the nodes whose pods crash, once",
    async () => {
      const query = "?labelSelector=app.kubernetes.io/instance=drift&fieldSelector=spec.nodeName=node-2";
      const [pod] = await cluster.admin.list(POD, NAMESPACE, query);
      if (pod === undefined) throw new Error("no pod on node-2");
      const annotate = (state: string) =>
        cluster.admin.edit(POD, pod.metadata.name, NAMESPACE, {
          metadata: { annotations: { [STATE]: state } },
        });
      await annotate("crash");
      const status = await untilStatus(cluster, "drift", "failing on node-2", ({ nodesFailing }) => {
        return nodesFailing.includes("node-2");
      });
      expect(status).toMatchObject({ desired: 3, ready: 2, nodesFailing: ["node-2"] });
      expect(isDegraded(status)).toBe(true);
      await annotate("ready");
      await untilAvailable(cluster, "drift");
      expect(await events("drift", "NodeFailing")).toHaveLength(1);
      expect(await own("plumbline_operator_daemonset_pods_desired{}")).toBe(3);
      expect(await own("plumbline_operator_daemonset_pods_ready{}")).toBe(3);
    },
    TEST_MS,
  );

  test(
    "degrades a Plumbline for one object that it may not write, names the rule, and keeps the rest",
    async () => {
      const role = {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        plural: "roles",
        isNamespaced: true,
      };
      const { rules } = v.parse(RULES, await cluster.admin.get(role, "plumbline-operator", NAMESPACE));
      const without = rules.map((rule) => ({
        ...rule,
        resources: rule.resources.filter((name) => name !== "services"),
      }));
      await cluster.admin.edit(role, "plumbline-operator", NAMESPACE, { rules: without });
      try {
        await createPlumbline(cluster, "forbidden");
        const status = await untilStatus(cluster, "forbidden", "degraded", isDegraded);
        expect(condition(status, "Degraded")?.message).toMatch(/services/);
        await there(DAEMON_SET, "forbidden");
        await there(CONFIG_MAP, "forbidden");
        expect(await owned(SERVICE, "forbidden")).toBeUndefined();
      } finally {
        await cluster.admin.edit(role, "plumbline-operator", NAMESPACE, { rules });
      }
      // Tried again by itself, later and later, at the latest after a minute.
      await until("the Service is made", TEST_MS, () => owned(SERVICE, "forbidden"));
      await untilAvailable(cluster, "forbidden");
      await cluster.admin.remove(PLUMBLINE, "forbidden", NAMESPACE);
    },
    2 * TEST_MS,
  );

  test(
    "lets the garbage collector take all that a deleted Plumbline owned",
    async () => {
      await cluster.admin.remove(PLUMBLINE, "drift", NAMESPACE);
      // The garbage collector looks for new kinds every 30 s.
      await until("nothing is left", COLLECTED_MS, async () => {
        const left = await Promise.all(OWNED.map((kind) => owned(kind, "drift")));
        return left.every((object) => object === undefined) && (await podsOf("drift")).length === 0;
      });
      expect(await cluster.admin.get(PLUMBLINE, "drift", NAMESPACE)).toBeUndefined();
    },
    TEST_MS,
  );

  test(
    "asks for nothing again and again when nothing happens",
    async () => {
      await createPlumbline(cluster, "calm");
      await untilAvailable(cluster, "calm");
      const version = async () =>
        (await cluster.admin.get(PLUMBLINE, "calm", NAMESPACE))?.metadata.resourceVersion;
      const [before, reconciled] = [
        await version(),
        await own('plumbline_operator_reconcile_total{result="success"}'),
      ];
      await Bun.sleep(5000);
      expect(await version()).toBe(before ?? "");
      expect((await own('plumbline_operator_reconcile_total{result="success"}')) - reconciled).toBeLessThan(
        3,
      );
      await cluster.admin.remove(PLUMBLINE, "calm", NAMESPACE);
    },
    TEST_MS,
  );

  test(
    "ends within 5 s of SIGTERM with 0, and gives its Lease back",
    async () => {
      const start = performance.now();
      operator.process.kill("SIGTERM");
      expect(await operator.process.exited).toBe(0);
      expect(performance.now() - start).toBeLessThan(5000);
      const leases = await cluster.kubectl(["--namespace", NAMESPACE, "get", "leases", "--output=json"]);
      const { items } = v.parse(LEASES, JSON.parse(leases));
      expect(items.map(({ spec }) => spec.holderIdentity ?? "")).toEqual([""]);
    },
    TEST_MS,
  );
});

const CONTAINER = v.object({ name: v.string(), image: v.string() });
const TEMPLATE = v.object({
  spec: v.object({ template: v.object({ spec: v.looseObject({ containers: v.array(CONTAINER) }) }) }),
});
const RULES = v.looseObject({ rules: v.array(v.looseObject({ resources: v.array(v.string()) })) });
const LEASES = v.object({
  items: v.array(v.object({ spec: v.object({ holderIdentity: v.optional(v.string()) }) })),
});

function specOf(object: KubernetesObject): unknown {
  return object["spec"];
}

function containerOf(object: KubernetesObject): v.InferOutput<typeof CONTAINER> {
  const [container] = v.parse(TEMPLATE, object).spec.template.spec.containers;
  if (container === undefined) throw new Error("a pod template without a container");
  return container;
}
