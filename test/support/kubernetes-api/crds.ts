/** CustomResourceDefinitions of others that an operator meets; without schemas, so that they take anything. */
import type { Manifest } from "../../../src/kubernetes/object.ts";

const ANYTHING = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** With a status subresource, and one version. */
export function crd(
  group: string,
  version: string,
  kind: string,
  plural: string,
  options: { readonly scope?: "Namespaced" | "Cluster"; readonly schema?: unknown } = {},
): Manifest {
  const { scope = "Namespaced", schema = ANYTHING } = options;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: { status: {} },
        },
      ],
    },
  };
}

export const POD_MONITOR_CRD = crd("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors");
export const PROMETHEUS_RULE_CRD = crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules");
export const MONITORING_CRDS: readonly Manifest[] = [POD_MONITOR_CRD, PROMETHEUS_RULE_CRD];

export const CLUSTER_VERSION_CRD = crd("config.openshift.io", "v1", "ClusterVersion", "clusterversions", {
  scope: "Cluster",
});
export const SECURITY_CONTEXT_CONSTRAINTS_CRD = crd(
  "security.openshift.io",
  "v1",
  "SecurityContextConstraints",
  "securitycontextconstraints",
  { scope: "Cluster" },
);
export const OPENSHIFT_CRDS: readonly Manifest[] = [CLUSTER_VERSION_CRD, SECURITY_CONTEXT_CONSTRAINTS_CRD];
