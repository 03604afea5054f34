/** What a Plumbline wants to be there: every object that the operator keeps for it. */
import {
  CONFIG_MAP,
  DAEMON_SET,
  type Kind,
  type KubernetesObject,
  type Manifest,
  PLUMBLINE,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SECURITY_CONTEXT_CONSTRAINTS,
  SERVICE,
  SERVICE_ACCOUNT,
} from "../object.ts";
import { daemonSetSpec } from "./daemon-set.ts";
import { CONFIG_KEY, configText, exporterConfig, hashOf } from "./exporter-config.ts";
import { ruleGroups } from "./rules.ts";
import { securityContextConstraints } from "./security-context-constraints.ts";
import type { PlumblineSpec } from "./spec-schema.ts";

/** What is known of the cluster. */
export interface DesiredContext {
  /** What `clusterId: auto` stands for; undefined where it cannot be told. */
  readonly clusterId: string | undefined;
  readonly ownImage: string | undefined;
  readonly isOpenShift: boolean;
  /** Which CRDs of the Prometheus operator exist. */
  readonly monitoring: { readonly podMonitor: boolean; readonly prometheusRule: boolean };
}

/** In the order in which they are applied; the same for the same arguments. Throws where there is no image. */
export function desiredObjects(
  plumbline: KubernetesObject,
  spec: PlumblineSpec,
  context: DesiredContext,
): readonly Manifest[] {
  const isMonitored = spec.monitoring.enabled !== false;
  return [
    ...(context.isOpenShift ? [constraints(plumbline, spec)] : []),
    { ...owned(plumbline, SERVICE_ACCOUNT), automountServiceAccountToken: false },
    {
      ...owned(plumbline, CONFIG_MAP),
      data: { [CONFIG_KEY]: configText(spec, clusterIdOf(spec, context)) },
    },
    service(plumbline, spec),
    daemonSet(plumbline, spec, context),
    ...(isMonitored && context.monitoring.podMonitor ? [podMonitor(plumbline, spec)] : []),
    ...(isMonitored && context.monitoring.prometheusRule
      ? [{ ...selected(plumbline, spec, PROMETHEUS_RULE), spec: { groups: ruleGroups(spec) } }]
      : []),
  ];
}

/** Stands in the pod template as the annotation `plumbline.dev/config-hash`. */
export const configHash = (spec: PlumblineSpec, context: Pick<DesiredContext, "clusterId">): string =>
  hashOf(configText(spec, clusterIdOf(spec, context)));

/** `plumbline-NAME`: what all objects of a Plumbline are called that are in its namespace. */
export const ownedName = ({ metadata }: KubernetesObject): string => `plumbline-${metadata.name}`;

/** Of the cluster-scoped SCC: two namespaces may have a Plumbline of the same name. */
export const constraintsName = (plumbline: KubernetesObject): string =>
  `${ownedName(plumbline)}.${plumbline.metadata.namespace ?? ""}`;

/** Selects the pods of a Plumbline. */
export const podLabels = ({ metadata }: KubernetesObject): Readonly<Record<string, string>> => ({
  "app.kubernetes.io/name": "plumbline",
  "app.kubernetes.io/component": "exporter",
  "app.kubernetes.io/instance": metadata.name,
});

/** Where each pod is asked for its metrics. */
export function metricsEndpoint(spec: PlumblineSpec): { readonly port: number; readonly path: string } {
  const { ports, telemetryPath } = exporterConfig(spec);
  return { port: ports[0] ?? 0, path: telemetryPath };
}

/** The value of the label cluster_id. */
export const clusterIdOf = (
  spec: PlumblineSpec,
  context: Pick<DesiredContext, "clusterId">,
): string | undefined => (spec.clusterId === "auto" ? context.clusterId : spec.clusterId);

const labels = (plumbline: KubernetesObject) => ({
  ...podLabels(plumbline),
  "app.kubernetes.io/managed-by": "plumbline-operator",
});

function owned(plumbline: KubernetesObject, { apiVersion, kind }: Kind): Manifest {
  const { name, namespace, uid } = plumbline.metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name: ownedName(plumbline),
      ...(namespace === undefined ? {} : { namespace }),
      labels: labels(plumbline),
      ownerReferences: [
        {
          apiVersion: PLUMBLINE.apiVersion,
          kind: PLUMBLINE.kind,
          name,
          uid: uid ?? "",
          controller: true,
          // True would take the right to update the Plumbline's finalizers, where a cluster enforces that.
          blockOwnerDeletion: false,
        },
      ],
    },
  };
}

function constraints(plumbline: KubernetesObject, spec: PlumblineSpec): Manifest {
  const { apiVersion, kind } = SECURITY_CONTEXT_CONSTRAINTS;
  const serviceAccount = { namespace: plumbline.metadata.namespace ?? "", name: ownedName(plumbline) };
  return {
    apiVersion,
    kind,
    metadata: { name: constraintsName(plumbline), labels: labels(plumbline) },
    ...securityContextConstraints(spec, serviceAccount),
  };
}

/** Headless: there is nothing to balance. */
function service(plumbline: KubernetesObject, spec: PlumblineSpec): Manifest {
  const { port } = metricsEndpoint(spec);
  return {
    ...owned(plumbline, SERVICE),
    spec: {
      clusterIP: "None",
      selector: podLabels(plumbline),
      ports: [{ name: "metrics", port, targetPort: "metrics", protocol: "TCP" }],
    },
  };
}

function daemonSet(plumbline: KubernetesObject, spec: PlumblineSpec, context: DesiredContext): Manifest {
  const image = spec.image ?? context.ownImage;
  if (image === undefined)
    throw new Error("spec.image is not set, and the operator cannot tell its own image; set one of the two");
  return {
    ...owned(plumbline, DAEMON_SET),
    spec: daemonSetSpec(spec, {
      name: ownedName(plumbline),
      labels: podLabels(plumbline),
      image,
      configHash: configHash(spec, context),
    }),
  };
}

/** With the labels by which a Prometheus finds it. */
function selected(plumbline: KubernetesObject, spec: PlumblineSpec, kind: Kind): Manifest {
  const { metadata, ...rest } = owned(plumbline, kind);
  return { ...rest, metadata: { ...metadata, labels: { ...spec.monitoring.labels, ...metadata.labels } } };
}

function podMonitor(plumbline: KubernetesObject, spec: PlumblineSpec): Manifest {
  const { path } = metricsEndpoint(spec);
  return {
    ...selected(plumbline, spec, POD_MONITOR),
    spec: {
      selector: { matchLabels: podLabels(plumbline) },
      podMetricsEndpoints: [
        {
          port: "metrics",
          path,
          interval: spec.monitoring.interval,
          // The exporter's own label node stays as it is.
          honorLabels: true,
          relabelings: [
            { sourceLabels: ["__meta_kubernetes_pod_node_name"], targetLabel: "node" },
            // The alerts look for this name.
            { targetLabel: "job", replacement: "plumbline" },
          ],
        },
      ],
    },
  };
}
