/** The kinds that the server serves: those that are built in, and those of the CustomResourceDefinitions that it has. */
import {
  CONFIG_MAP,
  CUSTOM_RESOURCE_DEFINITION,
  DAEMON_SET,
  EVENT,
  type Kind,
  type KubernetesObject,
  LEASE,
  NAMESPACE,
  NODE,
  POD,
  SERVICE,
  SERVICE_ACCOUNT,
} from "../../../src/kubernetes/object.ts";
import type { Named } from "./failure.ts";
import { at, listOf, membersOf, textOf } from "./json.ts";
import { builtInTopology, type Topology, topologyOfSchema } from "./topology.ts";

export interface ServedKind extends Kind, Named {
  readonly version: string;
  readonly topology: Topology;
  readonly hasStatus: boolean;
  /** metadata.generation counts changes of its spec. */
  readonly hasGeneration: boolean;
  /** A PUT must say which resourceVersion it replaces. */
  readonly needsResourceVersion: boolean;
  /** openAPIV3Schema; undefined for kinds that are built in. */
  readonly schema: unknown;
}

const WITH_STATUS = new Set([
  ...["Pod", "Node", "Namespace", "Service", "DaemonSet", "Deployment", "CustomResourceDefinition"],
]);
const WITH_GENERATION = new Set(["DaemonSet", "Deployment", "NetworkPolicy", "CustomResourceDefinition"]);

const kind = (apiVersion: string, name: string, plural: string, isNamespaced = true): Kind => ({
  apiVersion,
  kind: name,
  plural,
  isNamespaced,
});

const RBAC = "rbac.authorization.k8s.io/v1";
const BUILT_IN: readonly Kind[] = [
  ...[SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, POD, EVENT, NODE, NAMESPACE, DAEMON_SET, LEASE],
  CUSTOM_RESOURCE_DEFINITION,
  kind("v1", "Secret", "secrets"),
  kind("apps/v1", "Deployment", "deployments"),
  kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
  kind(RBAC, "Role", "roles"),
  kind(RBAC, "RoleBinding", "rolebindings"),
  kind(RBAC, "ClusterRole", "clusterroles", false),
  kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", false),
];

/** "apps/v1" → "apps", "v1"; "v1" → "", "v1" */
export function groupAndVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return { group: apiVersion.slice(0, Math.max(slash, 0)), version: apiVersion.slice(slash + 1) };
}

const served = (built: Kind): ServedKind => ({
  ...built,
  ...groupAndVersion(built.apiVersion),
  topology: builtInTopology(built.kind),
  hasStatus: WITH_STATUS.has(built.kind),
  hasGeneration: WITH_GENERATION.has(built.kind),
  needsResourceVersion: built.kind === "Lease",
  schema: undefined,
});

export const BUILT_IN_KINDS: readonly ServedKind[] = BUILT_IN.map(served);
export const CRDS: ServedKind = served(CUSTOM_RESOURCE_DEFINITION);
export const NAMESPACES: ServedKind = served(NAMESPACE);

/** One for each version that the CustomResourceDefinition says is served. */
export function kindsOf(crd: KubernetesObject): readonly ServedKind[] {
  const spec = membersOf(crd["spec"]);
  const group = textOf(spec["group"]) ?? "";
  return listOf(spec["versions"])
    .filter((version) => at(version, "served") === true)
    .map((version) => {
      const schema = at(version, "schema", "openAPIV3Schema");
      const name = textOf(at(version, "name")) ?? "";
      return {
        apiVersion: `${group}/${name}`,
        group,
        version: name,
        kind: textOf(at(spec, "names", "kind")) ?? "",
        plural: textOf(at(spec, "names", "plural")) ?? "",
        isNamespaced: spec["scope"] === "Namespaced",
        topology: topologyOfSchema(schema),
        hasStatus: at(version, "subresources", "status") !== undefined,
        hasGeneration: true,
        needsResourceVersion: true,
        schema,
      };
    });
}
