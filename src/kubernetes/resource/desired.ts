/** What a Plumbline wants to be there: every object that the operator keeps for it. */
import type { KubernetesObject, Manifest } from "../object.ts";
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

/** In the order in which they are applied; the same for the same arguments. */
export function desiredObjects(
  plumbline: KubernetesObject,
  spec: PlumblineSpec,
  context: DesiredContext,
): readonly Manifest[] {
  throw new Error(
    `nothing is wanted for ${plumbline.metadata.name} yet: ${spec.clusterId} ${context.clusterId}`,
  );
}

/** Stands in the pod template as the annotation `plumbline.dev/config-hash`. */
export function configHash(
  plumbline: KubernetesObject,
  spec: PlumblineSpec,
  context: DesiredContext,
): string {
  throw new Error(`no hash for ${plumbline.metadata.name} yet: ${spec.clusterId} ${context.clusterId}`);
}

/** `plumbline-NAME`: what all objects of a Plumbline are called. */
export const ownedName = (plumbline: KubernetesObject): string => `plumbline-${plumbline.metadata.name}`;

/** Selects the pods of a Plumbline. */
export const podLabels = (plumbline: KubernetesObject): Readonly<Record<string, string>> => ({
  "app.kubernetes.io/name": "plumbline",
  "app.kubernetes.io/component": "exporter",
  "app.kubernetes.io/instance": plumbline.metadata.name,
});

/** The first TCP port of `config.web.listen_addresses`: where the aggregate asks. */
export function metricsPort(spec: PlumblineSpec): number {
  throw new Error(`no port for ${spec.clusterId} yet`);
}

/** The id that `cluster_id` bears. */
export const clusterIdOf = (
  spec: PlumblineSpec,
  context: Pick<DesiredContext, "clusterId">,
): string | undefined => (spec.clusterId === "auto" ? context.clusterId : spec.clusterId);
