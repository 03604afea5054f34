/** The manifests of deploy/kubernetes: what each overlay makes, with which rights, and that it is what the operator makes. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { prometheusRules } from "../../.ci/manifests.ts";
import manifest from "../../package.json" with { type: "json" };
import { load } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { type KubernetesObject, ObjectSchema } from "../../src/kubernetes/object.ts";
import { desiredObjects } from "../../src/kubernetes/resource/desired.ts";
import { parsePlumbline } from "../../src/kubernetes/resource/plumbline.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import {
  describeWithKustomize,
  KUSTOMIZATIONS,
  OVERLAYS,
  type Overlay,
  type Rendered,
  renderComponents,
  renderOverlay,
} from "../support/kustomize.ts";
import { ROOT } from "./files.ts";

const IMAGE = `ghcr.io/plumbline/plumbline:${manifest.version}`;

const LABELS = v.record(v.string(), v.string());
const NAMED = v.looseObject({ name: v.string() });
const SECURITY_CONTEXT = v.looseObject({
  runAsUser: v.optional(v.number()),
  runAsNonRoot: v.optional(v.boolean()),
  privileged: v.optional(v.boolean()),
  allowPrivilegeEscalation: v.optional(v.boolean()),
  readOnlyRootFilesystem: v.optional(v.boolean()),
  seccompProfile: v.optional(v.object({ type: v.string() })),
  capabilities: v.optional(v.object({ drop: v.array(v.string()), add: v.optional(v.array(v.string())) })),
});
const CONTAINER = v.looseObject({
  image: v.string(),
  args: v.array(v.string()),
  env: v.optional(v.array(v.looseObject({ name: v.string(), value: v.optional(v.string()) })), []),
  ports: v.array(v.object({ name: v.string(), containerPort: v.number(), protocol: v.literal("TCP") })),
  volumeMounts: v.optional(
    v.array(v.looseObject({ name: v.string(), mountPath: v.string(), readOnly: v.optional(v.boolean()) })),
    [],
  ),
  livenessProbe: v.looseObject({ httpGet: v.object({ path: v.string(), port: v.string() }) }),
  readinessProbe: v.looseObject({ httpGet: v.object({ path: v.string(), port: v.string() }) }),
  resources: v.object({
    requests: v.object({ cpu: v.string(), memory: v.string() }),
    limits: v.object({ memory: v.string() }),
  }),
  securityContext: SECURITY_CONTEXT,
});
const POD = v.looseObject({
  serviceAccountName: v.string(),
  automountServiceAccountToken: v.boolean(),
  enableServiceLinks: v.boolean(),
  hostNetwork: v.optional(v.boolean()),
  hostPID: v.optional(v.boolean()),
  hostIPC: v.optional(v.boolean()),
  securityContext: v.optional(SECURITY_CONTEXT),
  containers: v.tuple([CONTAINER]),
  volumes: v.optional(
    v.array(
      v.looseObject({
        name: v.string(),
        hostPath: v.optional(v.object({ path: v.string(), type: v.literal("Directory") })),
        configMap: v.optional(NAMED),
      }),
    ),
    [],
  ),
});
const WORKLOAD = v.looseObject({
  metadata: NAMED,
  spec: v.looseObject({
    selector: v.object({ matchLabels: LABELS }),
    template: v.looseObject({ metadata: v.looseObject({ labels: LABELS }), spec: POD }),
  }),
});
type Workload = v.InferOutput<typeof WORKLOAD>;

const CONFIG_MAP = v.looseObject({ metadata: NAMED, data: v.object({ "plumbline.yml": v.string() }) });
const RULE = v.object({
  apiGroups: v.array(v.string()),
  resources: v.array(v.string()),
  resourceNames: v.optional(v.array(v.string())),
  verbs: v.array(v.string()),
});
const ROLE = v.looseObject({ rules: v.array(RULE) });

const ofKind = (objects: readonly Rendered[], kind: string): readonly Rendered[] =>
  objects.filter((object) => object.kind === kind);

function one(objects: readonly Rendered[], kind: string, name?: string): Rendered {
  const [found, ...others] = ofKind(objects, kind).filter(
    ({ metadata }) => name === undefined || metadata.name === name,
  );
  if (found === undefined || others.length > 0) throw new Error(`not one ${kind} ${name ?? ""}`);
  return found;
}

const workloads = (objects: readonly Rendered[]): readonly Workload[] =>
  objects
    .filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")
    .map((object) => v.parse(WORKLOAD, object));

const daemonSet = (objects: readonly Rendered[]): Workload => v.parse(WORKLOAD, one(objects, "DaemonSet"));
const podOf = ({ spec }: Workload) => spec.template.spec;
const containerOf = (workload: Workload) => podOf(workload).containers[0];

/** What the pods of a workload run with, from their ConfigMap and their variables. */
function settingsIn(text: string, env: readonly { name: string; value?: string | undefined }[]): Settings {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-config-"));
  try {
    const file = join(directory, "plumbline.yml");
    writeFileSync(file, text);
    const environment = Object.fromEntries([
      ["NODE_NAME", "node-1"],
      ...env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
    ]);
    const loaded = load(
      { "config.file": file },
      environment,
      COLLECTORS.map(({ name }) => name),
    );
    expect(loaded.warnings).toEqual([]);
    return { ...loaded.settings, configFile: undefined };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function settingsOf(objects: readonly Rendered[], workload: Workload): Settings {
  const name = podOf(workload).volumes.find(({ configMap }) => configMap !== undefined)?.configMap?.name;
  const configMap = v.parse(CONFIG_MAP, one(objects, "ConfigMap", name));
  return settingsIn(configMap.data["plumbline.yml"], containerOf(workload).env);
}

const enabled = ({ collectors }: Settings): readonly string[] =>
  Object.entries(collectors.chosen).flatMap(([name, on]) => (on ? [name] : []));

/** The operator's objects for what a user wrote, in a cluster that has everything. */
function madeByOperator(spec: unknown, isOpenShift = false): readonly Rendered[] {
  const plumbline: KubernetesObject = v.parse(ObjectSchema, {
    apiVersion: "plumbline.dev/v1alpha1",
    kind: "Plumbline",
    metadata: { name: "cluster", namespace: "plumbline", uid: "1" },
    spec,
  });
  const parsed = parsePlumbline(plumbline);
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  const monitoring = { podMonitor: true, prometheusRule: true };
  const context = { clusterId: undefined, ownImage: IMAGE, isOpenShift, monitoring };
  return v.parse(
    v.array(v.looseObject({ ...OBJECT.entries })),
    JSON.parse(JSON.stringify(desiredObjects(plumbline, parsed.spec, context))),
  );
}
const OBJECT = v.object({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.looseObject({ name: v.string(), namespace: v.optional(v.string()), labels: LABELS }),
});

test("the PrometheusRules are those of deploy/prometheus: run `bun .ci/manifests.ts`", () => {
  for (const [path, content] of prometheusRules())
    expect(readFileSync(join(ROOT, path), "utf8")).toBe(content);
});

test("the image that the Dockerfile labels has the version of the program", () => {
  const dockerfile = readFileSync(join(ROOT, "deploy/container/Dockerfile"), "utf8");
  expect(dockerfile).toContain(`\nARG VERSION=${manifest.version}\n`);
});

test("the example of a Plumbline is valid, and says nothing but defaults", () => {
  const example = v.parse(ObjectSchema, parse(readFileSync(join(KUSTOMIZATIONS, "plumbline.yaml"), "utf8")));
  expect(parsePlumbline(example)).toEqual(parsePlumbline({ ...example, spec: {} }));
});

describeWithKustomize("the overlays", () => {
  const overlays = new Map(OVERLAYS.map((name) => [name, renderOverlay(name)]));
  const overlay = (name: Overlay) => overlays.get(name) ?? [];

  test.each([...OVERLAYS])(
    "all of %s is labelled, in the namespace plumbline and of an API that lasts",
    (name) => {
      const clusterScoped = [
        ...["Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"],
        "SecurityContextConstraints",
      ];
      for (const { apiVersion, kind, metadata } of overlay(name)) {
        expect(metadata.labels).toHaveProperty(["app.kubernetes.io/name"], "plumbline");
        expect(metadata.namespace).toBe(clusterScoped.includes(kind) ? undefined : "plumbline");
        if (!apiVersion.startsWith("plumbline.dev")) expect(apiVersion).not.toMatch(/beta|alpha/);
      }
    },
  );

  test.each([...OVERLAYS])("%s runs the image of this version", (name) => {
    for (const workload of workloads(overlay(name))) expect(containerOf(workload).image).toBe(IMAGE);
  });

  test.each([...OVERLAYS])("nothing in %s can write to its image or leave its namespaces", (name) => {
    expect(workloads(overlay(name)).length).toBeGreaterThan(0);
    for (const workload of workloads(overlay(name))) {
      const pod = podOf(workload);
      const { securityContext, volumeMounts } = containerOf(workload);
      expect(securityContext.readOnlyRootFilesystem).toBe(true);
      expect((securityContext.seccompProfile ?? pod.securityContext?.seccompProfile)?.type).toBe(
        "RuntimeDefault",
      );
      expect(securityContext.capabilities?.drop).toEqual(["ALL"]);
      expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
      for (const mount of volumeMounts) expect(mount).toHaveProperty("readOnly", true);
    }
  });

  test.each([...OVERLAYS])("no Service of %s comes as a variable that looks like a setting", (name) => {
    for (const workload of workloads(overlay(name))) expect(podOf(workload).enableServiceLinks).toBe(false);
  });

  test.each([...OVERLAYS])("selectors, ports and probes of %s meet pods that exist", (name) => {
    const objects = overlay(name);
    const pods = workloads(objects).map((workload) => ({
      labels: workload.spec.template.metadata.labels,
      ports: containerOf(workload).ports.map((port) => port.name),
    }));
    for (const workload of workloads(objects)) {
      const { livenessProbe, readinessProbe, ports } = containerOf(workload);
      expect(workload.spec.template.metadata.labels).toMatchObject(workload.spec.selector.matchLabels);
      for (const { httpGet } of [livenessProbe, readinessProbe])
        expect(ports.map((port) => port.name)).toContain(httpGet.port);
    }
    for (const { labels, ports } of selections(objects)) {
      // The exporter's pods are the operator's to make.
      const all = name.startsWith("operator")
        ? [...pods, ...workloads(madeByOperator({})).map(podPorts)]
        : pods;
      const met = all.filter((pod) =>
        Object.entries(labels).every(([key, value]) => pod.labels[key] === value),
      );
      expect(met.length).toBeGreaterThan(0);
      for (const pod of met) expect(pod.ports).toEqual(expect.arrayContaining([...ports]));
    }
  });

  test.each(["generic", "csi-only", "eks", "openshift"] as const)(
    "the exporter of %s has no token, and asks nobody",
    (name) => {
      const objects = overlay(name);
      expect(podOf(daemonSet(objects)).automountServiceAccountToken).toBe(false);
      for (const account of ofKind(objects, "ServiceAccount"))
        expect(account).toHaveProperty("automountServiceAccountToken", false);
      expect(one(objects, "NetworkPolicy")).toMatchObject({
        spec: { policyTypes: ["Ingress", "Egress"] },
      });
      expect(one(objects, "NetworkPolicy")["spec"]).not.toHaveProperty("egress");
      for (const binding of [...ofKind(objects, "RoleBinding"), ...ofKind(objects, "ClusterRoleBinding")])
        expect(JSON.stringify(binding["subjects"])).not.toContain('"plumbline"');
    },
  );

  test.each([
    {
      name: "csi-only",
      add: ["DAC_READ_SEARCH"],
      paths: ["/sys", "/var/lib/kubelet"],
      privileged: undefined,
    },
    ...(["generic", "eks", "openshift"] as const).map((name) => ({
      name,
      add: ["DAC_READ_SEARCH", "SYS_ADMIN"],
      paths: ["/sys", "/var/lib/kubelet", "/dev"],
      privileged: true,
    })),
  ] as const)("the rights of $name on a node are $add and $paths", ({ name, add, paths, privileged }) => {
    const workload = daemonSet(overlay(name));
    const { securityContext, volumeMounts } = containerOf(workload);
    expect(securityContext.capabilities?.add).toEqual([...add]);
    expect(securityContext.privileged).toBe(privileged);
    // Both at once are refused by the API server.
    expect(securityContext.allowPrivilegeEscalation).toBe(privileged === true ? undefined : false);
    // Capabilities that are added reach no other user.
    expect(securityContext.runAsUser).toBe(0);
    expect(podOf(workload).volumes.flatMap(({ hostPath }) => hostPath?.path ?? [])).toEqual([...paths]);
    expect(volumeMounts.find((mount) => mount.name === "kubelet")).toEqual({
      name: "kubelet",
      mountPath: "/var/lib/kubelet",
      readOnly: true,
      mountPropagation: "HostToContainer",
    });
  });

  test.each([
    { name: "csi-only", collectors: ["csi"] },
    ...(["generic", "eks", "openshift"] as const).map((name) => ({
      name,
      collectors: ["csi", "nvme", "ebs", "instance_store"],
    })),
  ] as const)("$name collects $collectors, and nothing that it has no right for", ({ name, collectors }) => {
    const objects = overlay(name);
    const settings = settingsOf(objects, daemonSet(objects));
    expect(settings.collectors.disableDefaults).toBe(true);
    expect(enabled(settings).toSorted()).toEqual([...collectors].toSorted());
  });

  test("the component nvme without privileged has SYS_ADMIN and /dev, and no more", () => {
    const objects = renderComponents("nvme");
    const { securityContext } = containerOf(daemonSet(objects));
    expect(securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"], add: ["SYS_ADMIN"] },
    });
    expect(securityContext.privileged).toBeUndefined();
    expect(enabled(settingsOf(objects, daemonSet(objects))).toSorted()).toEqual([
      "ebs",
      "instance_store",
      "nvme",
    ]);
  });

  test("the base without a component has no right at all", () => {
    const { securityContext } = containerOf(daemonSet(renderComponents()));
    expect(securityContext.capabilities).toEqual({ drop: ["ALL"], add: [] });
    expect(securityContext.privileged).toBeUndefined();
  });

  test("the component mayastor asks the control plane from one pod without any right", () => {
    const objects = renderComponents("csi-only", "mayastor");
    const deployment = v.parse(WORKLOAD, one(objects, "Deployment"));
    const pod = podOf(deployment);
    expect(deployment.spec).toHaveProperty("replicas", 1);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 });
    expect(containerOf(deployment).securityContext.capabilities).toEqual({ drop: ["ALL"] });
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.volumes.flatMap(({ hostPath }) => hostPath ?? [])).toEqual([]);
    expect(enabled(settingsOf(objects, deployment))).toEqual(["mayastor"]);
    expect(enabled(settingsOf(objects, daemonSet(objects)))).toEqual(["csi"]);
  });

  test("the component without-prometheus-operator leaves nothing that needs its CRDs", () => {
    const withThem = renderComponents("csi-only", "nvme", "mayastor");
    const without = renderComponents("csi-only", "nvme", "mayastor", "without-prometheus-operator");
    const isMonitoring = ({ apiVersion }: Rendered) => apiVersion.startsWith("monitoring.coreos.com/");
    expect(withThem.filter(isMonitoring).length).toBe(7);
    expect(without).toEqual(withThem.filter((object) => !isMonitoring(object)));
  });

  test("eks keeps away from Fargate, and takes the instance's id from the node object", () => {
    const objects = overlay("eks");
    expect(JSON.stringify(podOf(daemonSet(objects))["affinity"])).toContain("fargate");
    const monitor = v.parse(
      v.looseObject({
        spec: v.looseObject({
          attachMetadata: v.object({ node: v.literal(true) }),
          podMetricsEndpoints: v.tuple([
            v.looseObject({
              relabelings: v.array(v.looseObject({ regex: v.optional(v.string()), targetLabel: v.string() })),
            }),
          ]),
        }),
      }),
      one(objects, "PodMonitor"),
    );
    const { regex } =
      monitor.spec.podMetricsEndpoints[0].relabelings.find((rule) => rule.targetLabel === "instance_id") ??
      {};
    const annotation = '{"csi.trident.netapp.io":"ip-10-0-0-7","ebs.csi.aws.com":"i-0a1b2c3d4e5f60718"}';
    expect(new RegExp(`^(?:${regex})$`).exec(annotation)?.[1]).toBe("i-0a1b2c3d4e5f60718");
  });

  test("openshift is scraped by the cluster's own Prometheus, each pod once", () => {
    const objects = overlay("openshift");
    expect(one(objects, "Namespace").metadata.labels).toMatchObject({
      "openshift.io/cluster-monitoring": "true",
    });
    expect(ofKind(objects, "PodMonitor")).toEqual([]);
    expect(one(objects, "ServiceMonitor")).toHaveProperty("spec.endpoints.0.honorLabels", true);
    expect(one(objects, "RoleBinding")).toHaveProperty("subjects.0.namespace", "openshift-monitoring");
  });

  test.each([
    { name: "csi-only", collectors: { nvme: false, ebs: false, instance_store: false } },
    { name: "generic", collectors: {} },
    { name: "openshift", collectors: {} },
  ] as const)("$name is what the operator makes of the same wishes", ({ name, collectors }) => {
    const [ours, made] = [overlay(name), madeByOperator({ collectors }, name === "openshift")];
    expect(essence(daemonSet(made))).toEqual(essence(daemonSet(ours)));
    expect({ ...settingsOf(made, daemonSet(made)), collectors: undefined }).toEqual({
      ...settingsOf(ours, daemonSet(ours)),
      collectors: undefined,
    });
    expect(enabled(settingsOf(made, daemonSet(made))).toSorted()).toEqual(
      enabled(settingsOf(ours, daemonSet(ours))).toSorted(),
    );
    expect(groups(made)).toEqual(groups(ours));
    expect(servicePorts(made)).toEqual(servicePorts(ours));
    if (name === "openshift") expect(constraints(made)).toEqual(constraints(ours));
    else expect(scraping(made)).toEqual(scraping(ours));
  });

  test("the operator runs as nobody and can write nothing", () => {
    const deployment = v.parse(WORKLOAD, one(overlay("operator"), "Deployment"));
    expect(podOf(deployment).securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 });
    expect(containerOf(deployment).securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
    });
    expect(podOf(deployment).volumes).toEqual([]);
  });

  test("the operator learns from its pod who and where it is", () => {
    const { env, args } = containerOf(v.parse(WORKLOAD, one(overlay("operator"), "Deployment")));
    expect(args).toEqual(["operator"]);
    expect(env.map(({ name, ...rest }) => [name, rest])).toEqual([
      ["POD_NAME", { valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
      ["POD_NAMESPACE", { valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } }],
    ]);
  });

  test("the operator may read of the cluster its id, the monitoring CRDs and nodes, and write nothing", () => {
    expect(rightsOf(overlay("operator"), "ClusterRole")).toEqual([
      "clusterversions/version: get",
      "customresourcedefinitions/podmonitors.monitoring.coreos.com: get list watch",
      "customresourcedefinitions/prometheusrules.monitoring.coreos.com: get list watch",
      "namespaces/kube-system: get",
      "nodes: get list",
    ]);
  });

  test("the operator may write in its namespace what it keeps, and read no Secret", () => {
    const kept = "get list watch create patch delete";
    expect(rightsOf(overlay("operator"), "Role")).toEqual(
      [
        ...["serviceaccounts", "configmaps", "services", "daemonsets", "podmonitors", "prometheusrules"].map(
          (resource) => `${resource}: ${kept}`,
        ),
        "events: create patch",
        "leases: get create update",
        "plumblines: get list watch",
        "plumblines/status: get patch",
        "pods: get list watch",
      ].toSorted(),
    );
  });

  test("on OpenShift the operator may also keep SCCs and leave its finalizer, and takes the user it is given", () => {
    const [plain, openshift] = [overlay("operator"), overlay("operator-openshift")];
    const added = (kind: string) =>
      rightsOf(openshift, kind).filter((right) => !rightsOf(plain, kind).includes(right));
    expect(added("ClusterRole")).toEqual(["securitycontextconstraints: get list watch create patch delete"]);
    expect(added("Role").filter((right) => right.startsWith("plumblines"))).toEqual(["plumblines: patch"]);
    const { securityContext } = podOf(v.parse(WORKLOAD, one(openshift, "Deployment")));
    expect(securityContext).toMatchObject({ runAsNonRoot: true });
    expect(securityContext?.runAsUser).toBeUndefined();
  });

  test.each(["operator", "operator-openshift"] as const)(
    "%s counts no node's series twice, and lets Prometheus and the operator reach the exporters",
    (name) => {
      const aggregate = v
        .parse(
          v.looseObject({ spec: v.looseObject({ endpoints: v.array(v.looseObject({ port: v.string() })) }) }),
          one(overlay(name), "ServiceMonitor"),
        )
        .spec.endpoints.find(({ port }) => port === "metrics");
      expect(aggregate).toMatchObject({
        honorLabels: true,
        metricRelabelings: [{ regex: "plumbline_aggregate_.+", action: "keep" }],
      });
      const policy = one(overlay(name), "NetworkPolicy", "plumbline-exporter");
      const deployment = v.parse(WORKLOAD, one(overlay(name), "Deployment"));
      expect(policy).toHaveProperty(
        "spec.ingress.0.from.1.podSelector.matchLabels",
        deployment.spec.selector.matchLabels,
      );
    },
  );

  test("both namespaces are one: manifests and operator can follow each other", () => {
    expect(one(overlay("operator"), "Namespace")).toEqual(one(overlay("generic"), "Namespace"));
    expect(one(overlay("operator-openshift"), "Namespace")).toEqual(one(overlay("openshift"), "Namespace"));
  });
});

const podPorts = (workload: Workload) => ({
  labels: workload.spec.template.metadata.labels,
  ports: containerOf(workload).ports.map((port) => port.name),
});

/** Labels and names of ports that Services, monitors and policies look for. */
function selections(
  objects: readonly Rendered[],
): readonly { labels: Record<string, string>; ports: readonly string[] }[] {
  return objects.flatMap((object) => {
    const service = v.safeParse(SERVICE, object);
    if (service.success) {
      const { selector, ports } = service.output.spec;
      return [{ labels: selector, ports: ports.map(({ targetPort }) => targetPort) }];
    }
    const monitor = v.safeParse(MONITOR, object);
    if (monitor.success) {
      const { selector, podMetricsEndpoints, endpoints } = monitor.output.spec;
      const ports = [...podMetricsEndpoints, ...endpoints].map(({ port }) => port);
      return [{ labels: selector.matchLabels, ports }];
    }
    const policy = v.safeParse(POLICY, object);
    if (!policy.success) return [];
    const { podSelector, ingress } = policy.output.spec;
    return [
      {
        labels: podSelector.matchLabels,
        ports: ingress.flatMap(({ ports }) => ports.map(({ port }) => port)),
      },
    ];
  });
}

const SERVICE = v.looseObject({
  kind: v.literal("Service"),
  spec: v.looseObject({ selector: LABELS, ports: v.array(v.looseObject({ targetPort: v.string() })) }),
});
const ENDPOINTS = v.optional(v.array(v.looseObject({ port: v.string() })), []);
const MONITOR = v.looseObject({
  kind: v.picklist(["PodMonitor", "ServiceMonitor"]),
  spec: v.looseObject({
    selector: v.object({ matchLabels: LABELS }),
    podMetricsEndpoints: ENDPOINTS,
    endpoints: ENDPOINTS,
  }),
});
const POLICY = v.looseObject({
  kind: v.literal("NetworkPolicy"),
  spec: v.looseObject({
    podSelector: v.object({ matchLabels: LABELS }),
    ingress: v.array(v.looseObject({ ports: v.optional(v.array(v.looseObject({ port: v.string() })), []) })),
  }),
});

/** A DaemonSet without what its maker decides: names, and where the collectors are switched. */
function essence({ spec }: Workload): unknown {
  const { labels: _, ...metadata } = spec.template.metadata;
  const pod = spec.template.spec;
  const [container] = pod.containers;
  return {
    ...spec,
    selector: undefined,
    template: {
      metadata: { ...metadata, annotations: undefined },
      spec: {
        ...pod,
        serviceAccountName: undefined,
        containers: [{ ...container, env: container.env.filter(({ value }) => value === undefined) }],
        volumes: pod.volumes.map((volume) =>
          volume.configMap === undefined ? volume : { ...volume, configMap: undefined },
        ),
      },
    },
  };
}

const groups = (objects: readonly Rendered[]): readonly unknown[] =>
  ofKind(objects, "PrometheusRule")
    .flatMap(({ spec }) => v.parse(v.object({ groups: v.array(NAMED) }), spec).groups)
    .toSorted((one, other) => one.name.localeCompare(other.name));

const servicePorts = (objects: readonly Rendered[]): unknown => {
  const { spec } = v.parse(SERVICE, one(objects, "Service"));
  return { ...spec, selector: undefined };
};

/** How Prometheus is to ask; `/metrics` is what it asks for by itself. */
const scraping = (objects: readonly Rendered[]): unknown => {
  const { spec } = v.parse(MONITOR, one(objects, "PodMonitor"));
  return spec.podMetricsEndpoints.map((endpoint) => ({ path: "/metrics", ...endpoint }));
};

const constraints = (objects: readonly Rendered[]): unknown => {
  const { metadata: _, users, ...rest } = one(objects, "SecurityContextConstraints");
  expect(users).toHaveLength(1);
  return rest;
};

/** `resource/name: verbs`, sorted. */
function rightsOf(objects: readonly Rendered[], kind: string): readonly string[] {
  return ofKind(objects, kind)
    .flatMap((role) => v.parse(ROLE, role).rules)
    .flatMap(({ resources, resourceNames, verbs }) =>
      resources.flatMap((resource) =>
        (resourceNames ?? [""]).map(
          (name) => `${resource}${name === "" ? "" : `/${name}`}: ${verbs.join(" ")}`,
        ),
      ),
    )
    .toSorted();
}
