/** What all objects of the Kubernetes API have in common, and the kinds that the operator speaks of. */
import * as v from "valibot";

/** How a kind is addressed. */
export interface Kind {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** As in the path: `daemonsets`. */
  readonly plural: string;
  readonly isNamespaced: boolean;
}

const KINDS = new Map<string, Kind>();

function kind(apiVersion: string, name: string, plural: string, isNamespaced = true): Kind {
  const made = { apiVersion, kind: name, plural, isNamespaced };
  KINDS.set(`${apiVersion} ${name}`, made);
  return made;
}

/** Of an object that says what it is. Throws for a kind that stands not below. */
export function kindOf({
  apiVersion,
  kind: name,
}: {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
}): Kind {
  const known = KINDS.get(`${apiVersion} ${name}`);
  if (known === undefined) throw new Error(`nobody has said how ${name} of ${apiVersion} is addressed`);
  return known;
}

export const PLUMBLINE = kind("plumbline.dev/v1alpha1", "Plumbline", "plumblines");
export const SERVICE_ACCOUNT = kind("v1", "ServiceAccount", "serviceaccounts");
export const CONFIG_MAP = kind("v1", "ConfigMap", "configmaps");
export const SERVICE = kind("v1", "Service", "services");
export const POD = kind("v1", "Pod", "pods");
export const EVENT = kind("v1", "Event", "events");
export const NODE = kind("v1", "Node", "nodes", false);
export const NAMESPACE = kind("v1", "Namespace", "namespaces", false);
export const DAEMON_SET = kind("apps/v1", "DaemonSet", "daemonsets");
export const LEASE = kind("coordination.k8s.io/v1", "Lease", "leases");
export const POD_MONITOR = kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors");
export const PROMETHEUS_RULE = kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules");
export const CUSTOM_RESOURCE_DEFINITION = kind(
  "apiextensions.k8s.io/v1",
  "CustomResourceDefinition",
  "customresourcedefinitions",
  false,
);
export const CLUSTER_VERSION = kind("config.openshift.io/v1", "ClusterVersion", "clusterversions", false);
export const SECURITY_CONTEXT_CONSTRAINTS = kind(
  "security.openshift.io/v1",
  "SecurityContextConstraints",
  "securitycontextconstraints",
  false,
);

const text = v.optional(v.string());
const texts = v.optional(v.record(v.string(), v.string()));

/** Members that are not named here pass. */
export const ObjectSchema = v.looseObject({
  apiVersion: text,
  kind: text,
  metadata: v.looseObject({
    name: v.string(),
    namespace: text,
    uid: text,
    resourceVersion: text,
    generation: v.optional(v.number()),
    creationTimestamp: text,
    deletionTimestamp: text,
    labels: texts,
    annotations: texts,
    finalizers: v.optional(v.array(v.string())),
    ownerReferences: v.optional(v.array(v.looseObject({ uid: v.string(), kind: text, name: text }))),
    managedFields: v.optional(
      v.array(
        v.looseObject({
          manager: text,
          operation: text,
          subresource: text,
          fieldsV1: v.optional(v.unknown()),
        }),
      ),
    ),
  }),
});
/** As the API server answers it. */
export type KubernetesObject = v.InferOutput<typeof ObjectSchema>;

/** What is sent: the fields that its sender means, and no other. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly [member: string]: unknown;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: boolean;
  readonly blockOwnerDeletion: boolean;
}
