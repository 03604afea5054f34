/** What the operator does when the API server refuses, fails or goes away, and when a Plumbline is deleted. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  CLUSTER_VERSION,
  CONFIG_MAP,
  CUSTOM_RESOURCE_DEFINITION,
  DAEMON_SET,
  PLUMBLINE,
  POD,
  SECURITY_CONTEXT_CONSTRAINTS,
  SERVICE,
} from "../../src/kubernetes/object.ts";
import { MONITORING_CRDS, OPENSHIFT_CRDS } from "../support/kubernetes-api/crds.ts";
import type { Rule } from "../support/kubernetes-api/start.ts";
import { Bed, eventually, kubeconfigOf, metric, NAMESPACE, plumbline, quiet } from "./operating.ts";

setDefaultTimeout(60_000);

const namespace = NAMESPACE;
const KEEP = ["get", "list", "watch", "create", "patch", "delete"];
/** What an operator needs outside of OpenShift, and no more. */
const RULES: readonly Rule[] = [
  { apiGroups: ["plumbline.dev"], resources: ["plumblines"], verbs: ["get", "list", "watch"], namespace },
  { apiGroups: ["plumbline.dev"], resources: ["plumblines/status"], verbs: ["get", "patch"], namespace },
  { apiGroups: [""], resources: ["serviceaccounts", "configmaps", "services"], verbs: KEEP, namespace },
  { apiGroups: ["apps"], resources: ["daemonsets"], verbs: KEEP, namespace },
  {
    apiGroups: ["monitoring.coreos.com"],
    resources: ["podmonitors", "prometheusrules"],
    verbs: KEEP,
    namespace,
  },
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"], namespace },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"], namespace },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: ["get", "create", "update"],
    namespace,
  },
  {
    apiGroups: ["config.openshift.io"],
    resources: ["clusterversions"],
    resourceNames: ["version"],
    verbs: ["get"],
  },
  { apiGroups: [""], resources: ["namespaces"], resourceNames: ["kube-system"], verbs: ["get"] },
  {
    apiGroups: ["apiextensions.k8s.io"],
    resources: ["customresourcedefinitions"],
    resourceNames: ["podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"],
    verbs: ["get", "list", "watch"],
  },
];

const without = (resource: string): readonly Rule[] =>
  RULES.map((rule) => ({ ...rule, resources: rule.resources.filter((name) => name !== resource) }));

describe("rights", () => {
  test("of the manifests are enough", async () => {
    await using bed = await Bed.start({ crds: MONITORING_CRDS });
    const account = bed.api.account("plumbline-operator", NAMESPACE, RULES);
    bed.api.put(plumbline());
    bed.operate({ kubeconfig: kubeconfigOf(bed.api, account), leaderElect: true });
    await bed.settled();
    expect(bed.api.requests.filter(({ status }) => status === 403)).toEqual([]);
  });

  test.each(["services", "configmaps", "daemonsets", "serviceaccounts"])(
    "that lack %s degrade that object, with the missing rule in the message, and leave the rest working",
    async (resource) => {
      await using bed = await Bed.start();
      const account = bed.api.account("plumbline-operator", NAMESPACE, without(resource));
      bed.api.put(plumbline());
      bed.operate({ kubeconfig: kubeconfigOf(bed.api, account) });
      await eventually(() => bed.condition("Degraded") === "True Forbidden");
      await eventually(() => bed.message("Degraded").includes(resource));
      const applied = () =>
        bed.api.requests.filter(({ verb, status }) => verb === "apply" && (status ?? 500) < 300);
      await eventually(() => applied().length === 3);
      await quiet(bed.api);
      const refused = bed.api.requests.filter(({ verb, status }) => verb === "apply" && status === 403);
      expect(refused.length).toBeLessThanOrEqual(2);
      account.rules = RULES;
      await bed.settled();
    },
  );

  test("that lack only the watch of a kind degrade nothing any more as soon as they are given", async () => {
    await using bed = await Bed.start();
    const account = bed.api.account("plumbline-operator", NAMESPACE, RULES);
    account.rules = RULES.map((rule) =>
      rule.resources.includes("pods") ? { ...rule, verbs: ["get", "list"] } : rule,
    );
    bed.api.put(plumbline());
    const first = bed.operate();
    await bed.settled();
    await first.stop();
    bed.operate({ kubeconfig: kubeconfigOf(bed.api, account) });
    await eventually(() => bed.condition("Degraded") === "True Forbidden");
    const givenAt = performance.now();
    account.rules = RULES;
    await eventually(() => bed.condition("Degraded") === "False AsDeclared");
    // Not only when all Plumblines are looked at again.
    expect(performance.now() - givenAt).toBeLessThan(15_000);
  });

  test("that lack the CRDs leave monitoring out and say so", async () => {
    await using bed = await Bed.start({ crds: MONITORING_CRDS });
    const account = bed.api.account("plumbline-operator", NAMESPACE, without("customresourcedefinitions"));
    bed.api.put(plumbline());
    bed.operate({ kubeconfig: kubeconfigOf(bed.api, account) });
    await eventually(() => bed.message("Degraded").includes("customresourcedefinitions"));
    await eventually(() => bed.condition("Available") === "True AllNodesReady");
  });

  test("that lack the status or events keep nothing else from being done", async () => {
    await using bed = await Bed.start();
    const rules = RULES.filter(({ resources }) => !/status|events/.test(resources.join()));
    const account = bed.api.account("plumbline-operator", NAMESPACE, rules);
    bed.api.put(plumbline());
    const { operator, lines } = bed.operate({ kubeconfig: kubeconfigOf(bed.api, account) });
    await eventually(() => operator.exporterPods().ready === 3);
    expect(lines.join("\n")).toContain("cannot write the status");
    await quiet(bed.api);
    expect(bed.api.requests.filter(({ subresource }) => subresource === "status").length).toBeLessThan(4);
    bed.api.remove(SERVICE, "plumbline-cluster", NAMESPACE);
    await eventually(() => bed.object(SERVICE) !== undefined);
  });

  test("that lack the cluster's id leave it out rather than guess, until they are given", async () => {
    await using bed = await Bed.start();
    const account = bed.api.account("plumbline-operator", NAMESPACE, without("clusterversions"));
    bed.api.put(plumbline());
    const { operator } = bed.operate({
      kubeconfig: kubeconfigOf(bed.api, account),
      timing: { controller: { resyncMs: 100 } },
    });
    await eventually(() => bed.message("Degraded").includes("clusterversions"));
    await eventually(() => operator.exporterPods().pods.length === 3);
    expect(operator.exporterPods().pods[0]?.clusterId).toBeUndefined();
    account.rules = RULES;
    await bed.settled();
    expect(operator.exporterPods().pods[0]?.clusterId).toBeDefined();
  });
});

describe("an API server", () => {
  test("that goes away and comes back with all old versions gone is caught up with", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { own } = bed.operate();
    await bed.settled();
    await bed.api.stop();
    bed.api.remove(SERVICE, "plumbline-cluster", NAMESPACE);
    bed.api.edit(CONFIG_MAP, "plumbline-cluster", NAMESPACE, { data: { "plumbline.yml": "# by hand\n" } });
    await Bun.sleep(300);
    await bed.api.restart();
    await eventually(() => bed.object(SERVICE) !== undefined);
    await eventually(() => !JSON.stringify(bed.object(CONFIG_MAP)).includes("# by hand"));
    await bed.settled();
    expect(
      Number(await metric(own, "plumbline_operator_watch_restarts_total", { kind: "Service" })),
    ).toBeGreaterThan(0);
  });

  test("that is not there when the operator starts is waited for", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    await bed.api.stop();
    const { operator } = bed.operate({ leaderElect: true });
    await Bun.sleep(300);
    expect(operator.isReady).toBe(false);
    await bed.api.restart();
    await bed.settled();
    expect(operator.isReady).toBe(true);
  });

  test("that does not know the kind Plumbline is told of in one line", async () => {
    await using bed = await Bed.start();
    bed.api.remove(CUSTOM_RESOURCE_DEFINITION, "plumblines.plumbline.dev");
    const { operator, lines } = bed.operate();
    await eventually(() => operator.isReady);
    await eventually(() => lines.length > 0);
    expect(lines).toEqual([
      expect.stringMatching(
        /^the kind Plumbline is not known.*the CRD plumblines\.plumbline\.dev does not exist/,
      ),
    ]);
  });

  test("whose watches break and whose versions are gone loses no change", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    bed.api.dropWatches({ isMidLine: true });
    bed.api.compact();
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { image: "registry.example/plumbline:2.0.0" } });
    await eventually(() => JSON.stringify(bed.object(DAEMON_SET)).includes("plumbline:2.0.0"));
    await bed.settled();
  });

  test.each([
    ["500", { kind: "status", status: 500 }],
    ["409", { kind: "status", status: 409 }],
    ["429 with Retry-After", { kind: "status", status: 429, retryAfterS: 1 }],
    ["half a JSON", { kind: "truncated" }],
    ["a connection that breaks", { kind: "reset" }],
  ] as const)(
    "that answers writes with %s for a while is tried again, and no object is lost",
    async (_, fault) => {
      await using bed = await Bed.start();
      for (const verb of ["apply", "patch"]) bed.api.fault(fault, { verb, times: 3 });
      bed.api.put(plumbline());
      const { own } = bed.operate();
      await bed.settled();
      const failed = (await own.samples()).families.values();
      const errors = [...failed].find(
        ({ descriptor }) => descriptor.name === "plumbline_operator_reconcile_errors_total",
      );
      expect(errors?.values.length).toBeGreaterThan(0);
    },
  );

  test("that refuses one object for good is asked for it ever more seldom", async () => {
    await using bed = await Bed.start();
    bed.api.fault({ kind: "status", status: 422 }, { verb: "apply", resource: "services" });
    bed.api.put(plumbline());
    bed.operate();
    await eventually(() => bed.condition("Degraded") === "True ObjectsRefused");
    await eventually(() => bed.condition("Available") === "True AllNodesReady");
    for (const { metadata } of bed.api.objects(POD, NAMESPACE)) {
      for (const state of ["notready", "ready"] as const) bed.api.setPod(metadata.name, NAMESPACE, state);
    }
    await quiet(bed.api);
    const asked = bed.api.requests.filter(
      ({ verb, resource }) => verb === "apply" && resource === "services",
    );
    expect(asked.length).toBeLessThanOrEqual(3);
  });
});

describe("on OpenShift", () => {
  const openShift = async (rules?: readonly Rule[]) => {
    const bed = await Bed.start({ crds: OPENSHIFT_CRDS });
    bed.api.put({
      apiVersion: CLUSTER_VERSION.apiVersion,
      kind: CLUSTER_VERSION.kind,
      metadata: { name: "version" },
      spec: { clusterID: "0b1c2d3e-0000-4000-8000-123456789abc" },
    });
    bed.api.put(plumbline());
    const account = rules && bed.api.account("plumbline-operator", NAMESPACE, rules);
    const running = bed.operate(account === undefined ? {} : { kubeconfig: kubeconfigOf(bed.api, account) });
    return { bed, running, account };
  };
  const constraints = (bed: Bed) => bed.api.objects(SECURITY_CONTEXT_CONSTRAINTS);
  const ON_OPENSHIFT: readonly Rule[] = [
    ...RULES,
    { apiGroups: ["plumbline.dev"], resources: ["plumblines"], verbs: ["patch"], namespace },
    { apiGroups: ["security.openshift.io"], resources: ["securitycontextconstraints"], verbs: KEEP },
  ];

  test("the id is ClusterVersion's, and an SCC is kept, put back, and goes with its Plumbline", async () => {
    const { bed, running } = await openShift(ON_OPENSHIFT);
    await using _ = bed;
    await bed.settled();
    expect(running.operator.exporterPods().pods[0]?.clusterId).toBe("0b1c2d3e-0000-4000-8000-123456789abc");
    expect(bed.object(PLUMBLINE, "cluster")?.metadata.finalizers).toEqual(["plumbline.dev/cluster-scoped"]);
    const name = constraints(bed)[0]?.metadata.name ?? "";
    bed.api.edit(SECURITY_CONTEXT_CONSTRAINTS, name, undefined, { allowHostNetwork: true });
    await eventually(() => JSON.stringify(constraints(bed)).includes('"allowHostNetwork":false'));
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    await eventually(() => bed.object(PLUMBLINE, "cluster") === undefined);
    expect(constraints(bed)).toEqual([]);
    await eventually(() => bed.object(DAEMON_SET) === undefined);
  });

  test("a Plumbline goes although its SCC may not be removed, and an event says what is left", async () => {
    const { bed, account } = await openShift(ON_OPENSHIFT);
    await using _ = bed;
    await bed.settled();
    if (account === undefined) throw new Error("no account");
    account.rules = ON_OPENSHIFT.filter(({ resources }) => !resources.includes("securitycontextconstraints"));
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    await eventually(() => bed.object(PLUMBLINE, "cluster") === undefined);
    expect(constraints(bed)).toHaveLength(1);
    await eventually(() => bed.events().some((event) => event.startsWith("CleanupRefused")));
  });

  test("a Plumbline waits for an SCC whose removal fails for a moment only", async () => {
    const { bed } = await openShift(ON_OPENSHIFT);
    await using _ = bed;
    await bed.settled();
    bed.api.fault(
      { kind: "status", status: 500 },
      { verb: "delete", resource: "securitycontextconstraints", times: 2 },
    );
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    await eventually(() => bed.object(PLUMBLINE, "cluster") === undefined);
    expect(constraints(bed)).toEqual([]);
  });

  test("a Plumbline with somebody else's finalizer loses only ours", async () => {
    const { bed } = await openShift(ON_OPENSHIFT);
    await using _ = bed;
    await bed.settled();
    const finalizers = ["plumbline.dev/cluster-scoped", "example.org/mine"];
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { metadata: { finalizers } });
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    await eventually(() => bed.object(PLUMBLINE, "cluster")?.metadata.finalizers?.length === 1);
    expect(bed.object(PLUMBLINE, "cluster")?.metadata.finalizers).toEqual(["example.org/mine"]);
  });

  test("no SCC is made without the finalizer that would remove it", async () => {
    const rules = ON_OPENSHIFT.filter(
      ({ verbs, resources }) => !(verbs.length === 1 && resources[0] === "plumblines"),
    );
    const { bed } = await openShift(rules);
    await using _ = bed;
    await eventually(() => bed.condition("Degraded") === "True Forbidden");
    await eventually(() => bed.condition("Available") === "True AllNodesReady");
    expect(constraints(bed)).toEqual([]);
  });
});

describe("a deleted Plumbline", () => {
  test("goes at once with all it owns, and nothing is made again", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { operator } = bed.operate();
    await bed.settled();
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    await eventually(() => bed.object(DAEMON_SET) === undefined);
    await quiet(bed.api);
    expect(bed.object(CONFIG_MAP)).toBeUndefined();
    expect(operator.exporterPods().pods).toEqual([]);
  });

  test("that is made again begins anew", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const before = bed.object(DAEMON_SET)?.metadata.uid;
    bed.api.remove(PLUMBLINE, "cluster", NAMESPACE);
    bed.api.put(plumbline());
    await eventually(
      () => bed.object(DAEMON_SET) !== undefined && bed.object(DAEMON_SET)?.metadata.uid !== before,
    );
    await bed.settled();
  });
});
