import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { load } from "../../../src/config/load.ts";
import type { KubernetesObject, Manifest } from "../../../src/kubernetes/object.ts";
import {
  configHash,
  type DesiredContext,
  desiredObjects,
  metricsEndpoint,
} from "../../../src/kubernetes/resource/desired.ts";
import { parsePlumbline } from "../../../src/kubernetes/resource/plumbline.ts";
import type { PlumblineSpec } from "../../../src/kubernetes/resource/spec-schema.ts";
import { COLLECTORS } from "../../../src/scrape/sources.ts";
import { PROMETHEUS_DIRECTORY, RULE_FILES } from "../../deploy/files.ts";

const CLUSTER: DesiredContext = {
  clusterId: "0f1e-2d3c",
  ownImage: "registry.example/plumbline:1.0.0",
  isOpenShift: false,
  monitoring: { podMonitor: true, prometheusRule: true },
};
const OPENSHIFT: DesiredContext = { ...CLUSTER, isOpenShift: true };
const NO_DEVICES = { nvme: false, ebs: false, instance_store: false };

const plumbline = (spec: unknown): KubernetesObject => ({
  metadata: { name: "cluster", namespace: "storage", uid: "d1a2" },
  spec,
});

function specOf(spec: unknown): PlumblineSpec {
  const parsed = parsePlumbline(plumbline(spec));
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.spec;
}

const desired = (spec: unknown, context = CLUSTER): readonly Manifest[] =>
  desiredObjects(plumbline(spec), specOf(spec), context);

const kinds = (spec: unknown, context = CLUSTER): string[] => desired(spec, context).map(({ kind }) => kind);

function object(kind: string, spec: unknown = {}, context = CLUSTER): Manifest {
  const found = desired(spec, context).find((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`there is no ${kind}`);
  return found;
}

const NAMED = v.looseObject({ name: v.string() });
const DAEMON_SET = v.object({
  metadata: v.looseObject({}),
  spec: v.object({
    selector: v.unknown(),
    updateStrategy: v.unknown(),
    template: v.object({
      metadata: v.object({ labels: v.unknown(), annotations: v.record(v.string(), v.string()) }),
      spec: v.looseObject({
        nodeSelector: v.unknown(),
        tolerations: v.unknown(),
        priorityClassName: v.optional(v.string()),
        containers: v.tuple([
          v.looseObject({
            image: v.string(),
            args: v.unknown(),
            env: v.unknown(),
            ports: v.unknown(),
            resources: v.unknown(),
            securityContext: v.looseObject({ capabilities: v.unknown() }),
            volumeMounts: v.array(v.looseObject({ name: v.string(), mountPath: v.string() })),
          }),
        ]),
        volumes: v.array(NAMED),
      }),
    }),
  }),
});

const daemonSet = (spec: unknown = {}, context = CLUSTER) =>
  v.parse(DAEMON_SET, object("DaemonSet", spec, context)).spec;
const podSpec = (spec: unknown = {}) => daemonSet(spec).template.spec;
const container = (spec: unknown = {}) => podSpec(spec).containers[0];
const mountsOf = (spec: unknown = {}) => container(spec).volumeMounts.map(({ mountPath }) => mountPath);

const CONFIG_MAP = v.object({ data: v.object({ "plumbline.yml": v.string() }) });
const configOf = (spec: unknown = {}, context = CLUSTER): string =>
  v.parse(CONFIG_MAP, object("ConfigMap", spec, context)).data["plumbline.yml"];

describe("the objects of a Plumbline", () => {
  test("come in the order in which each finds what it needs", () => {
    expect(kinds({}, OPENSHIFT)).toEqual([
      "SecurityContextConstraints",
      "ServiceAccount",
      "ConfigMap",
      "Service",
      "DaemonSet",
      "PodMonitor",
      "PrometheusRule",
    ]);
  });

  test("belong to it, bear its name and its labels", () => {
    for (const { metadata } of desired({})) {
      expect(metadata).toEqual({
        name: "plumbline-cluster",
        namespace: "storage",
        labels: {
          "app.kubernetes.io/name": "plumbline",
          "app.kubernetes.io/component": "exporter",
          "app.kubernetes.io/instance": "cluster",
          "app.kubernetes.io/managed-by": "plumbline-operator",
        },
        ownerReferences: [
          {
            apiVersion: "plumbline.dev/v1alpha1",
            kind: "Plumbline",
            name: "cluster",
            uid: "d1a2",
            controller: true,
            blockOwnerDeletion: false,
          },
        ],
      });
    }
  });

  test("are the same for the same spec, however its keys are ordered", () => {
    const [one, other] = [
      { config: { scrape: { timeout: "5s" }, mayastor: { endpoint: "http://m:1", timeout: "2s" } } },
      { config: { mayastor: { timeout: "2s", endpoint: "http://m:1" }, scrape: { timeout: "5s" } } },
    ];
    expect(JSON.stringify(desired(one, OPENSHIFT))).toBe(JSON.stringify(desired(other, OPENSHIFT)));
  });

  test("cannot be made without an image", () => {
    expect(() => desired({}, { ...CLUSTER, ownImage: undefined })).toThrow("spec.image is not set");
    expect(kinds({ image: "a/b:1" }, { ...CLUSTER, ownImage: undefined })).toContain("DaemonSet");
  });

  test("monitors and rules are there once their CRDs are, and not where they are switched off", () => {
    const none = { podMonitor: false, prometheusRule: false };
    expect(kinds({}, { ...CLUSTER, monitoring: none })).toEqual([
      "ServiceAccount",
      "ConfigMap",
      "Service",
      "DaemonSet",
    ]);
    expect(kinds({}, { ...CLUSTER, monitoring: { ...none, podMonitor: true } })).toContain("PodMonitor");
    expect(kinds({ monitoring: { enabled: false } })).not.toContain("PodMonitor");
    expect(kinds({ monitoring: { enabled: false } })).not.toContain("PrometheusRule");
    expect(kinds({ monitoring: { enabled: true } })).toContain("PodMonitor");
  });

  test("monitors and rules alone have the labels by which a Prometheus selects, beside our own", () => {
    const labels = { release: "prometheus", "app.kubernetes.io/name": "another" };
    for (const { kind, metadata } of desired({ monitoring: { labels } })) {
      const isMonitoring = kind === "PodMonitor" || kind === "PrometheusRule";
      expect(metadata.labels?.["release"]).toBe(isMonitoring ? "prometheus" : undefined);
      expect(metadata.labels?.["app.kubernetes.io/name"]).toBe("plumbline");
    }
  });
});

describe("the DaemonSet", () => {
  test("has the image of the Plumbline, else the operator's own", () => {
    expect(container().image).toBe("registry.example/plumbline:1.0.0");
    expect(container({ image: "a/b@sha256:00" }).image).toBe("a/b@sha256:00");
  });

  test("rolls its pods when the configuration changes, and only then", () => {
    const hash = (spec: unknown) =>
      daemonSet(spec).template.metadata.annotations["plumbline.dev/config-hash"];
    expect(hash({})).toBe(configHash(specOf({}), CLUSTER));
    expect(hash({ config: { log: { level: "debug" } } })).not.toBe(hash({}));
    expect(hash({ clusterId: "other" })).not.toBe(hash({}));
    expect(hash({ monitoring: { interval: "1m" } })).toBe(hash({}));
  });

  test("tolerates every taint and selects Linux, unless the Plumbline says more", () => {
    expect(podSpec().tolerations).toEqual([{ operator: "Exists" }]);
    expect(podSpec({ tolerations: [] }).tolerations).toEqual([]);
    expect(podSpec().nodeSelector).toEqual({ "kubernetes.io/os": "linux" });
    expect(podSpec({ nodeSelector: { storage: "yes" } }).nodeSelector).toEqual({
      "kubernetes.io/os": "linux",
      storage: "yes",
    });
  });

  test("has a priority only where one is asked for", () => {
    expect(podSpec().priorityClassName).toBeUndefined();
    expect(podSpec({ priorityClassName: "system-node-critical" }).priorityClassName).toBe(
      "system-node-critical",
    );
  });

  test("keeps the requests where the limits alone are given", () => {
    expect(container({ resources: { limits: { memory: "1Gi" } } }).resources).toEqual({
      requests: { cpu: "20m", memory: "64Mi" },
      limits: { memory: "1Gi" },
    });
  });

  test("shows no token of the API to the exporter", () => {
    expect(podSpec()).toMatchObject({ automountServiceAccountToken: false });
    expect(object("ServiceAccount")).toMatchObject({ automountServiceAccountToken: false });
  });

  test("has a port for each address that the exporter listens at, the first of them named metrics", () => {
    const web = {
      listen_addresses: ["127.0.0.1:1", "unix:///s", ":8090", "[::]:9847", ":8090"],
      telemetry_path: "/m",
    };
    expect(container({ config: { web } }).ports).toEqual([
      { name: "metrics", containerPort: 8090, protocol: "TCP" },
      { name: "metrics-9847", containerPort: 9847, protocol: "TCP" },
    ]);
    expect(metricsEndpoint(specOf({ config: { web } }))).toEqual({ port: 8090, path: "/m" });
    expect(object("PodMonitor", { config: { web } })).toMatchObject({
      spec: { podMetricsEndpoints: [{ port: "metrics", path: "/m", interval: "30s", honorLabels: true }] },
    });
    expect(object("Service", { config: { web } })).toMatchObject({
      spec: { clusterIP: "None", ports: [{ name: "metrics", port: 8090, targetPort: "metrics" }] },
    });
  });
});

describe("the rights of the pods", () => {
  const rights = (spec: unknown) => container(spec).securityContext;
  const always = {
    runAsUser: 0,
    runAsGroup: 0,
    readOnlyRootFilesystem: true,
    seccompProfile: { type: "RuntimeDefault" },
  };

  test("csi alone: one capability, no device", () => {
    const spec = { collectors: NO_DEVICES };
    expect(rights(spec)).toEqual({
      ...always,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"], add: ["DAC_READ_SEARCH"] },
    });
    expect(mountsOf(spec)).toEqual(["/etc/plumbline", "/host/sys", "/var/lib/kubelet"]);
  });

  test("no collector of the node: no capability at all", () => {
    const spec = { collectors: { ...NO_DEVICES, csi: false } };
    expect(rights(spec)).toMatchObject({ capabilities: { drop: ["ALL"], add: [] } });
    expect(mountsOf(spec)).toEqual(["/etc/plumbline", "/host/sys"]);
  });

  test.each(["nvme", "ebs", "instance_store"])("%s: the node's devices, as a privileged pod", (name) => {
    const spec = { collectors: { ...NO_DEVICES, csi: false, [name]: true } };
    expect(rights(spec)).toEqual({
      ...always,
      privileged: true,
      capabilities: { drop: ["ALL"], add: ["DAC_READ_SEARCH", "SYS_ADMIN"] },
    });
    expect(mountsOf(spec)).toEqual(["/etc/plumbline", "/host/sys", "/host/dev"]);
  });

  test("a quantity that is written as a number is sent as text, which is all that server-side apply takes", () => {
    const resources = { requests: { cpu: 1 }, limits: { cpu: "1500m", memory: 268_435_456 } };
    expect(container({ resources }).resources).toEqual({
      requests: { cpu: "1" },
      limits: { cpu: "1500m", memory: "268435456" },
    });
  });

  test("deviceAccess: Capabilities makes no pod privileged", () => {
    expect(rights({ deviceAccess: "Capabilities" })).toEqual({
      ...always,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"], add: ["DAC_READ_SEARCH", "SYS_ADMIN"] },
    });
  });

  test("the kubelet's directory is at its own path and shows later mounts", () => {
    const spec = { config: { path: { kubelet: "/data/kubelet" } } };
    expect(container(spec).volumeMounts).toContainEqual({
      name: "kubelet",
      mountPath: "/data/kubelet",
      readOnly: true,
      mountPropagation: "HostToContainer",
    });
    expect(podSpec(spec).volumes).toContainEqual({
      name: "kubelet",
      hostPath: { path: "/data/kubelet", type: "Directory" },
    });
  });

  test("Trident's files are mounted where they are asked for", () => {
    expect(mountsOf({ config: { csi: { vendor_files: ["trident"] } } })).toContain(
      "/var/lib/trident/tracking",
    );
    expect(mountsOf({ config: { csi: { vendor_files: ["hpe"] } } })).not.toContain(
      "/var/lib/trident/tracking",
    );
  });

  test("Secrets are files below one directory, for their owner alone", () => {
    const spec = { secrets: ["mayastor", "pve.token"] };
    expect(podSpec(spec).volumes.slice(-2)).toEqual([
      { name: "secret-0", secret: { secretName: "mayastor", defaultMode: 0o400 } },
      { name: "secret-1", secret: { secretName: "pve.token", defaultMode: 0o400 } },
    ]);
    expect(mountsOf(spec).slice(-2)).toEqual([
      "/var/run/secrets/plumbline/mayastor",
      "/var/run/secrets/plumbline/pve.token",
    ]);
  });

  test("every volume is mounted, and read-only", () => {
    const spec = { secrets: ["a"], config: { csi: { vendor_files: ["trident"] } } };
    const { volumeMounts } = container(spec);
    expect(volumeMounts.map(({ name }) => name)).toEqual(podSpec(spec).volumes.map(({ name }) => name));
    expect(volumeMounts.filter(({ readOnly }) => readOnly !== true)).toEqual([]);
  });

  test("on OpenShift an SCC grants this ServiceAccount what its pods have, and no more", () => {
    const { metadata, ...constraints } = object("SecurityContextConstraints", {}, OPENSHIFT);
    expect(metadata.name).toBe("plumbline-cluster.storage");
    // It is of the cluster: an owner in a namespace would have it collected at once.
    expect(metadata.ownerReferences).toBeUndefined();
    expect(constraints).toMatchObject({
      users: ["system:serviceaccount:storage:plumbline-cluster"],
      allowPrivilegedContainer: true,
      allowedCapabilities: ["DAC_READ_SEARCH", "SYS_ADMIN"],
      allowHostNetwork: false,
      allowHostPID: false,
    });
    expect(object("SecurityContextConstraints", { collectors: NO_DEVICES }, OPENSHIFT)).toMatchObject({
      allowPrivilegedContainer: false,
      allowPrivilegeEscalation: false,
      allowedCapabilities: ["DAC_READ_SEARCH"],
    });
  });
});

describe("the exporter's configuration", () => {
  function loaded(text: string) {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-"));
    try {
      const file = join(directory, "plumbline.yml");
      writeFileSync(file, text);
      return load(
        { "config.file": file },
        {},
        COLLECTORS.map(({ name }) => name),
      ).settings;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test("is one that the exporter takes, with what follows from the pods", () => {
    const settings = loaded(configOf({ collectors: { nvme: false }, config: { scrape: { timeout: 5 } } }));
    expect(settings.path).toMatchObject({
      sysfs: "/host/sys",
      devfs: "/host/dev",
      kubelet: "/var/lib/kubelet",
    });
    expect(settings.collectors.chosen).toEqual({ csi: true, nvme: false, ebs: true, instance_store: true });
    expect(settings.clusterId).toBe("0f1e-2d3c");
    expect(settings.scrape.timeoutMs).toBe(5000);
  });

  test("keeps what the Plumbline says of other collectors and paths", () => {
    const settings = loaded(
      configOf({ config: { collectors: { mayastor: false }, path: { kubelet: "/k" } } }),
    );
    expect(settings.collectors.chosen).toMatchObject({ mayastor: false, csi: true });
    expect(settings.path.kubelet).toBe("/k");
  });

  test("has the cluster's id as the Plumbline gives it, and none where nobody knows it", () => {
    expect(loaded(configOf({ clusterId: "mine" })).clusterId).toBe("mine");
    expect(loaded(configOf({}, { ...CLUSTER, clusterId: undefined })).clusterId).toBeUndefined();
  });

  test.each(["0123", "1e3", "yes", "null", "a: b # c", "'", "\n---\n"])("%p stays a text", (clusterId) => {
    expect(loaded(configOf({ clusterId })).clusterId).toBe(clusterId);
  });
});

describe("the rules", () => {
  const GROUPS = v.object({
    spec: v.object({
      groups: v.array(
        v.object({
          name: v.string(),
          rules: v.array(v.object({ alert: v.optional(v.string()), record: v.optional(v.string()) })),
        }),
      ),
    }),
  });
  const groups = (spec: unknown) => v.parse(GROUPS, object("PrometheusRule", spec)).spec.groups;
  const names = (spec: unknown) => groups(spec).map(({ name }) => name);

  const everything = {
    config: {
      mayastor: { endpoint: "https://m:1" },
      pve: { targets: [{ name: "a", endpoints: ["a"], user: "a@pve", password_file: "/p" }] },
    },
  };

  test("are those of the collectors that are on", () => {
    const none = names({ collectors: { ...NO_DEVICES, csi: false } });
    expect(none).toEqual(["plumbline"]);
    const of = (collectors: object) => names({ collectors: { ...NO_DEVICES, csi: false, ...collectors } });
    expect(of({ csi: true }).every((name) => /^plumbline(-csi.*)?$/.test(name))).toBe(true);
    expect(of({ instance_store: true })).toEqual(of({ ebs: true }));
    expect(of({ ebs: true })).toContain("plumbline-ebs-limits");
    expect(of({ nvme: true })).toContain("plumbline-nvme-health");
    expect(names({})).not.toContain("plumbline-pve");
    expect(names(everything)).toEqual(expect.arrayContaining(["plumbline-pve", "plumbline-mayastor"]));
  });

  test("have no group twice, which the Prometheus operator refuses", () => {
    expect(new Set(names(everything)).size).toBe(names(everything).length);
  });

  test("together are all that deploy/prometheus has for exporters, as they stand there", async () => {
    const files = RULE_FILES.filter((file) => file !== "operator.rules.yml");
    const texts = await Promise.all(files.map((file) => Bun.file(join(PROMETHEUS_DIRECTORY, file)).text()));
    const standing = texts.flatMap((text) => v.parse(GROUPS.entries.spec, parse(text)).groups);
    const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
    expect(groups(everything).toSorted(byName)).toEqual(standing.toSorted(byName));
  });
});
