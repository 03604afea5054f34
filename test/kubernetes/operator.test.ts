/** What the operator promises of a Plumbline's life, against the kit's API server. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { API_REASONS } from "../../src/kubernetes/client/failure.ts";
import { OWNED_KINDS } from "../../src/kubernetes/controller/kept.ts";
import { INSTANCE } from "../../src/kubernetes/controller/pods.ts";
import {
  CONFIG_MAP,
  DAEMON_SET,
  EVENT,
  type Kind,
  NAMESPACE as NAMESPACE_KIND,
  PLUMBLINE,
  POD,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SERVICE,
  SERVICE_ACCOUNT,
} from "../../src/kubernetes/object.ts";
import { DRIFT_REPAIRS_TOTAL, RECONCILE_ERRORS_TOTAL } from "../../src/kubernetes/operator-metrics.ts";
import type { Descriptor } from "../../src/metrics/descriptor.ts";
import { MONITORING_CRDS, POD_MONITOR_CRD } from "../support/kubernetes-api/crds.ts";
import { Bed, eventually, metric, NAMESPACE, plumbline, quiet } from "./operating.ts";

setDefaultTimeout(60_000);

const WRITES = new Set(["create", "update", "patch", "apply", "delete"]);

describe("a new Plumbline", () => {
  test("gets its objects, and says that it is available", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    for (const kind of [SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, DAEMON_SET]) {
      const { metadata } = bed.object(kind) ?? {};
      expect(metadata?.ownerReferences?.map(({ name }) => name)).toEqual(["cluster"]);
      expect(metadata?.labels?.["app.kubernetes.io/managed-by"]).toBe("plumbline-operator");
      expect(metadata?.managedFields?.map(({ manager, operation }) => `${manager} ${operation}`)).toContain(
        "plumbline-operator Apply",
      );
    }
    const { conditions: _, ...counts } = bed.status() ?? {};
    expect(counts).toEqual({
      observedGeneration: 1,
      desired: 3,
      ready: 3,
      updated: 3,
      unavailable: 0,
      nodesFailing: [],
    });
  });

  test("is told of by one event Created", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    expect(bed.events()).toEqual([
      "Created: Made ServiceAccount plumbline-cluster, ConfigMap plumbline-cluster, Service plumbline-cluster, DaemonSet plumbline-cluster",
    ]);
    const [event] = bed.api.objects(EVENT, NAMESPACE);
    expect(event).toMatchObject({
      involvedObject: { kind: "Plumbline", name: "cluster", namespace: NAMESPACE },
    });
  });

  test("that nobody could make anything of is told of by the event Created once it is mended", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline({ config: { web: { listen_addresses: ["nowhere"] } } }));
    bed.operate();
    await eventually(() => bed.condition("Degraded") === "True InvalidSpec");
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { config: null } });
    await bed.settled();
    const created = bed.events().filter((event) => event.startsWith("Created"));
    expect(created).toHaveLength(1);
    expect(created[0]).toContain("DaemonSet plumbline-cluster");
  });

  test("stands beside another one in the same namespace", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.api.put(plumbline({}, "other"));
    const { operator } = bed.operate();
    await bed.settled();
    await bed.settled("other");
    expect(operator.exporterPods().desired).toBe(6);
  });

  test("in another namespace is none of its business", async () => {
    await using bed = await Bed.start();
    const elsewhere = plumbline();
    bed.api.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "elsewhere" } });
    bed.api.put({ ...elsewhere, metadata: { name: "cluster", namespace: "elsewhere" } });
    bed.api.put(plumbline({}, "mine"));
    bed.operate();
    await bed.settled("mine");
    expect(bed.object(DAEMON_SET, "plumbline-cluster", "elsewhere")).toBeUndefined();
  });

  test("runs the operator's own image if it names none", async () => {
    await using bed = await Bed.start();
    bed.api.put({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "operator-1", namespace: NAMESPACE },
      spec: {
        nodeName: "fake-1",
        containers: [
          { name: "proxy", image: "mesh:1" },
          { name: "operator", image: "own/plumbline:2" },
        ],
      },
    });
    bed.api.put(plumbline({ image: undefined }));
    bed.operate();
    await eventually(() => JSON.stringify(bed.object(DAEMON_SET))?.includes('"own/plumbline:2"'));
  });

  test("is told to name an image where the operator cannot tell its own", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline({ image: undefined }));
    bed.operate();
    await eventually(() => bed.condition("Degraded") === "True InvalidSpec");
    expect(bed.message("Degraded")).toContain("spec.image is not set");
    expect(bed.object(DAEMON_SET)).toBeUndefined();
  });
});

describe("when nothing changes", () => {
  test("nothing is asked and nothing is written", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { own } = bed.operate({
      timing: {
        controller: { queue: { minIntervalMs: 1, firstBackoffMs: 10, maxBackoffMs: 50 }, resyncMs: 20 },
      },
    });
    await bed.settled();
    const reconciles = async () =>
      Number(await metric(own, "plumbline_operator_reconcile_total", { result: "success" }));
    const before = { requests: bed.api.requests.length, reconciles: await reconciles() };
    await eventually(async () => (await reconciles()) > before.reconciles + 10);
    expect(
      bed.api.requests.slice(before.requests).map(({ verb, resource }) => `${verb} ${resource}`),
    ).toEqual([]);
  });

  test("an operator that starts again sends each object once, and writes no status and no event", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    await bed.operate().stop();
    await using again = bed;
    const first = again.operate();
    await again.settled();
    await first.stop();
    const before = again.api.requests.length;
    again.operate();
    await eventually(() => again.api.requests.slice(before).some(({ verb }) => verb === "apply"));
    await quiet(again.api);
    const written = again.api.requests.slice(before).filter(({ verb }) => WRITES.has(verb));
    expect(written.map(({ verb, resource }) => `${verb} ${resource}`)).toEqual([
      "apply serviceaccounts",
      "apply configmaps",
      "apply services",
      "apply daemonsets",
    ]);
  });

  test("counts from 0, so that the first drift and the first refusal are an increase", async () => {
    await using bed = await Bed.start();
    const { own } = bed.operate();
    const { families } = await own.samples();
    const series = (descriptor: Descriptor) => families.get(descriptor)?.values;
    expect(series(DRIFT_REPAIRS_TOTAL)).toEqual(OWNED_KINDS.map(() => 0));
    expect(series(RECONCILE_ERRORS_TOTAL)).toEqual(API_REASONS.map(() => 0));
  });

  test("its own status does not bring another turn that writes", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const statuses = bed.api.requests.filter(({ subresource }) => subresource === "status");
    expect(statuses.length).toBeLessThanOrEqual(6);
  });

  test("no list is asked for a reconcile", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const lists = () => bed.api.requests.filter(({ verb }) => verb === "list").length;
    const before = lists();
    for (const interval of ["10s", "20s", "40s"])
      bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { monitoring: { interval } } });
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { image: "registry.example/plumbline:2.0.0" } });
    await eventually(() => JSON.stringify(bed.object(DAEMON_SET))?.includes("plumbline:2.0.0"));
    await bed.settled();
    expect(lists()).toBe(before);
  });
});

describe("a change of the spec", () => {
  test("of the configuration rolls the pods by the template's hash, with one event ConfigRolled", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const pods = new Set(bed.api.objects(POD, NAMESPACE).map(({ metadata }) => metadata.uid));
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { config: { log: { level: "debug" } } } });
    await eventually(() => bed.api.objects(POD, NAMESPACE).every(({ metadata }) => !pods.has(metadata.uid)));
    await bed.settled();
    expect(bed.status()?.observedGeneration).toBe(2);
    expect(bed.events().filter((event) => event.startsWith("ConfigRolled"))).toHaveLength(1);
  });

  test("of the image rolls the pods and is no ConfigRolled", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { image: "registry.example/plumbline:2.0.0" } });
    await eventually(
      () => JSON.stringify(bed.api.objects(POD, NAMESPACE)).split("plumbline:2.0.0").length > 3,
    );
    await bed.settled();
    expect(bed.events().filter((event) => event.startsWith("ConfigRolled"))).toEqual([]);
  });

  test("never shows a finished roll-out for a generation whose roll-out has not begun", async () => {
    await using bed = await Bed.start({ podStartMs: 200 });
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const sent = bed.api.requests.length;
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { image: "registry.example/plumbline:2.0.0" } });
    await eventually(() => bed.status()?.observedGeneration === 2);
    const [first] = bed.api.requests.slice(sent).filter(({ subresource }) => subresource === "status");
    expect(first?.body).toContain('"type":"Progressing","status":"True"');
    await bed.settled();
  });

  test("that is invalid changes nothing that runs, and names the field", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { own } = bed.operate();
    await bed.settled();
    const before = bed.object(DAEMON_SET)?.metadata.resourceVersion;
    const invalid = {
      image: "registry.example/plumbline:3.0.0",
      config: { web: { listen_addresses: ["nowhere"] } },
    };
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: invalid });
    await eventually(() => bed.condition("Degraded") === "True InvalidSpec");
    expect(bed.message("Degraded")).toContain("spec.config.web.listen_addresses");
    expect(bed.condition("Available")).toBe("True AllNodesReady");
    await quiet(bed.api);
    expect(bed.object(DAEMON_SET)?.metadata.resourceVersion).toBe(before);
    expect(bed.events().filter((event) => event.startsWith("InvalidSpec"))).toHaveLength(1);
    expect(await metric(own, "plumbline_operator_config_valid")).toBe(0);
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { config: null } });
    await eventually(() => JSON.stringify(bed.object(DAEMON_SET))?.includes("plumbline:3.0.0"));
    await bed.settled();
    expect(await metric(own, "plumbline_operator_config_valid")).toBe(1);
  });

  test("that is invalid leaves what the last valid one made under repair", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, {
      spec: { config: { web: { listen_addresses: ["nowhere"] } } },
    });
    await eventually(() => bed.condition("Degraded") === "True InvalidSpec");
    bed.api.remove(SERVICE, "plumbline-cluster", NAMESPACE);
    await eventually(() => bed.object(SERVICE) !== undefined);
  });

  test("removes what is no longer wanted", async () => {
    await using bed = await Bed.start({ crds: MONITORING_CRDS });
    bed.api.put(plumbline());
    bed.operate();
    await eventually(
      () => bed.object(POD_MONITOR) !== undefined && bed.object(PROMETHEUS_RULE) !== undefined,
    );
    await bed.settled();
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { monitoring: { enabled: false } } });
    await eventually(
      () => bed.object(POD_MONITOR) === undefined && bed.object(PROMETHEUS_RULE) === undefined,
    );
    await eventually(() => bed.condition("MonitoringAvailable") === undefined);
  });
});

describe("the Prometheus operator's kinds", () => {
  test("are left out without their CRDs, which a condition says", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    expect(bed.condition("MonitoringAvailable")).toBe("False CRDsMissing");
    expect(bed.message("MonitoringAvailable")).toContain("podmonitors.monitoring.coreos.com");
    expect(bed.api.requests.filter(({ resource }) => /podmonitors|prometheusrules/.test(resource))).toEqual(
      [],
    );
  });

  test("are made without a restart when their CRDs appear", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    bed.api.put(POD_MONITOR_CRD);
    await eventually(() => bed.object(POD_MONITOR) !== undefined);
    await eventually(() => !bed.message("MonitoringAvailable").includes("podmonitors"));
    for (const crd of MONITORING_CRDS) bed.api.put(crd);
    await eventually(() => bed.object(PROMETHEUS_RULE) !== undefined);
    await eventually(() => bed.condition("MonitoringAvailable") === "True CRDsPresent");
  });

  test("that are asked for in so many words degrade the Plumbline as long as they are missing", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline({ monitoring: { enabled: true } }));
    bed.operate();
    await eventually(() => bed.condition("Degraded") === "True CRDsMissing");
    await eventually(() => bed.condition("Available") === "True AllNodesReady");
  });
});

describe("drift", () => {
  const EDITS: readonly [Kind, unknown][] = [
    [SERVICE_ACCOUNT, { automountServiceAccountToken: true }],
    [CONFIG_MAP, { data: { "plumbline.yml": "log: {}\n" } }],
    [SERVICE, { metadata: { labels: { "app.kubernetes.io/instance": "mine" } } }],
    [DAEMON_SET, { spec: { template: { spec: { serviceAccountName: "default" } } } }],
    [POD_MONITOR, { spec: { podMetricsEndpoints: [] } }],
    [PROMETHEUS_RULE, { spec: { groups: [] } }],
  ];

  test.each(EDITS.map(([kind, edit]) => [kind.kind, kind, edit] as const))(
    "of a %s is put back within 5 s, counted, and told in one event",
    async (name, kind, edit) => {
      await using bed = await Bed.start({ crds: MONITORING_CRDS });
      bed.api.put(plumbline());
      const { own } = bed.operate();
      await eventually(() => bed.object(PROMETHEUS_RULE) !== undefined);
      await bed.settled();
      const before = JSON.stringify(withoutMetadata(bed.object(kind)));
      const startedAt = performance.now();
      bed.api.edit(kind, "plumbline-cluster", NAMESPACE, edit);
      await eventually(
        async () => (await metric(own, "plumbline_operator_drift_repairs_total", { kind: name })) === 1,
      );
      await eventually(() => JSON.stringify(withoutMetadata(bed.object(kind))) === before);
      expect(performance.now() - startedAt).toBeLessThan(5000);
      await eventually(() => bed.events().some((event) => event.startsWith("DriftRepaired")));
      await quiet(bed.api);
      expect(bed.events().filter((event) => event.startsWith("DriftRepaired"))).toEqual([
        `DriftRepaired: ${name} plumbline-cluster had been changed, and is as declared again`,
      ]);
    },
  );

  test.each(EDITS.map(([kind]) => [kind.kind, kind] as const))(
    "makes a deleted %s again",
    async (name, kind) => {
      await using bed = await Bed.start({ crds: MONITORING_CRDS });
      bed.api.put(plumbline());
      const { own } = bed.operate();
      await eventually(() => bed.object(PROMETHEUS_RULE) !== undefined);
      await bed.settled();
      const before = bed.object(kind)?.metadata.uid;
      bed.api.remove(kind, "plumbline-cluster", NAMESPACE);
      await eventually(() => bed.object(kind) !== undefined && bed.object(kind)?.metadata.uid !== before);
      await eventually(
        async () => (await metric(own, "plumbline_operator_drift_repairs_total", { kind: name })) === 1,
      );
      await bed.settled();
    },
  );

  test("is not what others add: their annotations and containers stay", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { own } = bed.operate();
    await bed.settled();
    const applies = () => bed.api.requests.filter(({ verb }) => verb === "apply").length;
    const before = applies();
    bed.api.edit(DAEMON_SET, "plumbline-cluster", NAMESPACE, {
      metadata: { annotations: { "mesh.example/injected": "true" } },
      spec: { minReadySeconds: 3 },
    });
    await quiet(bed.api);
    expect(applies()).toBe(before);
    expect(bed.object(DAEMON_SET)).toMatchObject({
      metadata: { annotations: { "mesh.example/injected": "true" } },
      spec: { minReadySeconds: 3 },
    });
    expect(await metric(own, "plumbline_operator_drift_repairs_total", { kind: "DaemonSet" })).toBe(0);
  });

  test("that somebody brings about again and again is answered ever more slowly, in one event that counts and one line", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const { lines } = bed.operate();
    await bed.settled();
    const applies = () =>
      bed.api.requests.filter(({ verb, resource }) => verb === "apply" && resource === "configmaps").length;
    const before = applies();
    const startedAt = performance.now();
    for (let edit = 0; performance.now() - startedAt < 1500; edit++) {
      bed.api.edit(CONFIG_MAP, "plumbline-cluster", NAMESPACE, {
        data: { "plumbline.yml": `# by hand: ${edit}\n` },
      });
      await Bun.sleep(20);
    }
    expect(applies() - before).toBeLessThanOrEqual(4);
    await eventually(() => !JSON.stringify(bed.object(CONFIG_MAP)).includes("# by hand"));
    await quiet(bed.api);
    expect(bed.events().filter((event) => event.startsWith("DriftRepaired"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("put back"))).toHaveLength(1);
  });

  test("is put back within 5 s, however often it was before", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    for (let edit = 1; edit <= 7; edit++) {
      const editedAt = performance.now();
      bed.api.edit(SERVICE, "plumbline-cluster", NAMESPACE, { metadata: { labels: { [INSTANCE]: "x" } } });
      await eventually(() => bed.object(SERVICE)?.metadata.labels?.[INSTANCE] === "cluster");
      expect(performance.now() - editedAt).toBeLessThan(5000);
    }
  });

  test("while no operator ran is put back when one starts", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const first = bed.operate();
    await bed.settled();
    await first.stop();
    bed.api.edit(CONFIG_MAP, "plumbline-cluster", NAMESPACE, { data: { "plumbline.yml": "# mine\n" } });
    bed.operate();
    await eventually(() => !JSON.stringify(bed.object(CONFIG_MAP)).includes("# mine"));
  });
});

describe("nodes", () => {
  test("that fail are named, with one event each time, and Available stays while most are ready", async () => {
    await using bed = await Bed.start({ nodes: 12 });
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const [pod] = bed.api.objects(POD, NAMESPACE);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "crash");
    await eventually(() => bed.status()?.nodesFailing.length === 1);
    expect(bed.condition("Degraded")).toBe("True NodesFailing");
    expect(bed.message("Degraded")).toContain("CrashLoopBackOff");
    await eventually(() => bed.condition("Available") === "True EnoughNodesReady");
    await quiet(bed.api);
    expect(bed.events().filter((event) => event.startsWith("NodeFailing"))).toHaveLength(1);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "ready");
    await bed.settled();
    expect(bed.status()?.nodesFailing).toEqual([]);
  });

  test("that are only slow to get ready fail after a while", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const [pod] = bed.api.objects(POD, NAMESPACE);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "notready");
    await eventually(() => bed.status()?.nodesFailing.length === 1);
    expect(bed.message("Degraded")).toContain("not ready");
  });

  test("are told of with what their pods say now, also where the DaemonSet says the same as before", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    const [pod] = bed.api.objects(POD, NAMESPACE);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "notready");
    await eventually(() => bed.message("Degraded").includes("not ready"));
    await quiet(bed.api);
    const crashedAt = performance.now();
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "crash");
    await eventually(() => bed.message("Degraded").includes("CrashLoopBackOff"));
    // Not only when all Plumblines are looked at again.
    expect(performance.now() - crashedAt).toBeLessThan(5000);
  });

  test("that fail are at most 20 in the status, and are told in one event", async () => {
    await using bed = await Bed.start({ nodes: 30 });
    bed.api.put(plumbline());
    bed.operate();
    await bed.settled();
    for (const { metadata } of bed.api.objects(POD, NAMESPACE))
      bed.api.setPod(metadata.name, NAMESPACE, "crash");
    await eventually(() => bed.condition("Available") === "False TooFewNodesReady");
    await quiet(bed.api);
    expect(bed.status()?.nodesFailing).toHaveLength(20);
    expect(bed.message("Degraded")).toContain("and 25 more");
    expect(bed.events().filter((event) => event.startsWith("NodeFailing")).length).toBeLessThanOrEqual(3);
  });

  test("that failed before the operator started again are no news", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline());
    const first = bed.operate();
    await bed.settled();
    const [pod] = bed.api.objects(POD, NAMESPACE);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "notready");
    await eventually(() => bed.events().some((event) => event.startsWith("NodeFailing")));
    await first.stop();
    const before = bed.events().length;
    bed.operate();
    await quiet(bed.api, 500);
    expect(bed.status()?.nodesFailing).toHaveLength(1);
    expect(bed.events()).toHaveLength(before);
  });

  test("are where the aggregate asks: ready pods by their IP and port, with the cluster's id", async () => {
    await using bed = await Bed.start();
    bed.api.put(plumbline({ config: { web: { telemetry_path: "/m" } } }));
    const { operator, own } = bed.operate();
    await bed.settled();
    const uid = bed.api.object(NAMESPACE_KIND, "kube-system")?.metadata.uid;
    const { desired, ready, pods } = operator.exporterPods();
    expect({ desired, ready }).toEqual({ desired: 3, ready: 3 });
    expect(pods.map(({ node }) => node).toSorted()).toEqual(["fake-1", "fake-2", "fake-3"]);
    for (const { url, clusterId, families } of pods) {
      expect(url).toMatch(/^http:\/\/10\.88\.\d+\.\d+:9847\/m$/);
      expect(clusterId).toBe(uid);
      expect(families).toContain("ebs_*");
    }
    expect(await metric(own, "plumbline_operator_daemonset_pods_ready")).toBe(3);
    const [pod] = bed.api.objects(POD, NAMESPACE);
    bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "notready");
    await eventually(() => operator.exporterPods().pods.length === 2);
    bed.api.edit(PLUMBLINE, "cluster", NAMESPACE, { spec: { aggregate: { enabled: false } } });
    await eventually(() => operator.exporterPods().pods.length === 0);
  });
});

function withoutMetadata(object: unknown): unknown {
  if (typeof object !== "object" || object === null) return object;
  const {
    metadata: _metadata,
    status: _status,
    ...rest
  } = { metadata: undefined, status: undefined, ...object };
  return rest;
}
