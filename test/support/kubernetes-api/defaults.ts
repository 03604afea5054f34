/** What the server fills in, and what it checks, of kinds that are built in: as much as an operator meets. */
import type { Cause } from "./failure.ts";
import { at, isMembers, listOf, type Members, membersOf, same, textOf } from "./json.ts";

/** Values that are there stay. */
export function withDefaults(kind: string, object: Members): Members {
  switch (kind) {
    case "DaemonSet":
      return {
        ...object,
        spec: {
          ...filled(object["spec"], {
            revisionHistoryLimit: 10,
            updateStrategy: { type: "RollingUpdate" },
          }),
          ...rollingOf(at(object, "spec", "updateStrategy")),
          template: templateOf(at(object, "spec", "template")),
        },
      };
    case "Deployment":
      return {
        ...object,
        spec: {
          ...filled(object["spec"], {
            replicas: 1,
            revisionHistoryLimit: 10,
            progressDeadlineSeconds: 600,
            strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
          }),
          template: templateOf(at(object, "spec", "template")),
        },
      };
    case "Pod":
      return {
        ...object,
        spec: podSpecOf(object["spec"]),
        status: filled(object["status"], { phase: "Pending" }),
      };
    case "Service":
      return {
        ...object,
        spec: serviceSpecOf(membersOf(object["spec"])),
        status: filled(object["status"], { loadBalancer: {} }),
      };
    case "Namespace":
      return {
        ...object,
        spec: filled(object["spec"], { finalizers: ["kubernetes"] }),
        status: filled(object["status"], { phase: "Active" }),
      };
    case "CustomResourceDefinition":
      return { ...object, status: establishedOf(object["spec"]) };
    case "Secret":
      return filled(object, { type: "Opaque" });
    default:
      return object;
  }
}

const filled = (value: unknown, defaults: Members): Members => ({ ...defaults, ...membersOf(value) });

function rollingOf(strategy: unknown): Members {
  const { type = "RollingUpdate", ...rest } = membersOf(strategy);
  if (type !== "RollingUpdate") return {};
  const rollingUpdate = filled(rest["rollingUpdate"], { maxUnavailable: 1 });
  return { updateStrategy: { type, rollingUpdate } };
}

const templateOf = (template: unknown): Members => ({
  ...filled(template, { metadata: {} }),
  spec: podSpecOf(at(template, "spec")),
});

function podSpecOf(value: unknown): Members {
  const spec = filled(value, {
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    securityContext: {},
    schedulerName: "default-scheduler",
  });
  const account = spec["serviceAccountName"];
  return {
    ...spec,
    ...(account === undefined ? {} : { serviceAccount: account }),
    containers: listOf(spec["containers"]).map(containerOf),
    ...("volumes" in spec ? { volumes: listOf(spec["volumes"]).map(volumeOf) } : {}),
  };
}

function containerOf(value: unknown): Members {
  const image = textOf(at(value, "image")) ?? "";
  const container = filled(value, {
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: /:latest$|^[^:]+$/.test(image) ? "Always" : "IfNotPresent",
  });
  const filledIn = (name: string, fill: (value: unknown) => unknown): Members =>
    name in container ? { [name]: fill(container[name]) } : {};
  return {
    ...container,
    ...filledIn("ports", (ports) => listOf(ports).map((port) => filled(port, { protocol: "TCP" }))),
    ...filledIn("env", (env) => listOf(env).map(variableOf)),
    ...filledIn("livenessProbe", probeOf),
    ...filledIn("readinessProbe", probeOf),
    ...filledIn("startupProbe", probeOf),
  };
}

function variableOf(value: unknown): unknown {
  const fieldRef = at(value, "valueFrom", "fieldRef");
  if (fieldRef === undefined) return value;
  return { ...membersOf(value), valueFrom: { fieldRef: filled(fieldRef, { apiVersion: "v1" }) } };
}

function probeOf(value: unknown): Members {
  const probe = filled(value, {
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  const { httpGet } = probe;
  return httpGet === undefined
    ? probe
    : { ...probe, httpGet: filled(httpGet, { path: "/", scheme: "HTTP" }) };
}

function volumeOf(value: unknown): unknown {
  const volume = membersOf(value);
  const { configMap, secret, hostPath } = volume;
  if (configMap !== undefined) return { ...volume, configMap: filled(configMap, { defaultMode: 420 }) };
  if (secret !== undefined) return { ...volume, secret: filled(secret, { defaultMode: 420 }) };
  if (hostPath !== undefined) return { ...volume, hostPath: filled(hostPath, { type: "" }) };
  return volume;
}

function serviceSpecOf(value: Members): Members {
  const spec = filled(value, { type: "ClusterIP", sessionAffinity: "None", clusterIP: "10.96.0.10" });
  return {
    ...spec,
    clusterIPs: [spec["clusterIP"]],
    ports: listOf(spec["ports"]).map((port) =>
      filled(port, { protocol: "TCP", targetPort: at(port, "port") }),
    ),
  };
}

const condition = (type: string, reason: string): Members => ({
  type,
  status: "True",
  lastTransitionTime: "2026-01-01T00:00:00Z",
  reason,
  message: "",
});

const establishedOf = (spec: unknown): Members => ({
  acceptedNames: at(spec, "names"),
  conditions: [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
  storedVersions: listOf(at(spec, "versions")).map((version) => at(version, "name")),
});

/** What the server refuses with 422. */
export function problemsOfBuiltIn(
  kind: string,
  before: Members | undefined,
  after: Members,
): readonly Cause[] {
  switch (kind) {
    case "DaemonSet":
    case "Deployment":
      return [
        ...selectorProblems(before, after),
        ...podProblems(at(after, "spec", "template", "spec"), "spec.template.spec"),
      ];
    case "Pod":
      return podProblems(after["spec"], "spec");
    case "Lease":
      return leaseProblems(membersOf(after["spec"]));
    default:
      return [];
  }
}

const required = (field: string): Cause => ({
  reason: "FieldValueRequired",
  message: "Required value",
  field,
});
const wrong = (field: string, value: unknown, why: string): Cause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
  field,
});

function selectorProblems(before: Members | undefined, after: Members): Cause[] {
  const selector = at(after, "spec", "selector");
  if (!isMembers(selector)) return [required("spec.selector")];
  if (before !== undefined && !same(at(before, "spec", "selector"), selector))
    return [wrong("spec.selector", selector, "field is immutable")];
  const labels = membersOf(at(after, "spec", "template", "metadata", "labels"));
  const matches = Object.entries(membersOf(selector["matchLabels"])).every(
    ([name, value]) => labels[name] === value,
  );
  const where = "spec.template.metadata.labels";
  return matches ? [] : [wrong(where, labels, "`selector` does not match template `labels`")];
}

function podProblems(spec: unknown, path: string): Cause[] {
  const containers = listOf(at(spec, "containers"));
  if (containers.length === 0) return [required(`${path}.containers`)];
  const volumes = new Set(listOf(at(spec, "volumes")).map((volume) => at(volume, "name")));
  return containers.flatMap((container, index) => [
    ...["name", "image"]
      .filter((name) => (textOf(at(container, name)) ?? "") === "")
      .map((name) => required(`${path}.containers[${index}].${name}`)),
    ...listOf(at(container, "volumeMounts")).flatMap((mount, position) => {
      const name = at(mount, "name");
      if (volumes.has(name)) return [];
      const field = `${path}.containers[${index}].volumeMounts[${position}].name`;
      return [{ reason: "FieldValueNotFound", message: `Not found: ${JSON.stringify(name)}`, field }];
    }),
  ]);
}

function leaseProblems(spec: Members): Cause[] {
  const { leaseDurationSeconds, leaseTransitions } = spec;
  return [
    ...(typeof leaseDurationSeconds === "number" && leaseDurationSeconds <= 0
      ? [wrong("spec.leaseDurationSeconds", leaseDurationSeconds, "must be greater than 0")]
      : []),
    ...(typeof leaseTransitions === "number" && leaseTransitions < 0
      ? [wrong("spec.leaseTransitions", leaseTransitions, "must to be greater than or equal to 0")]
      : []),
  ];
}
