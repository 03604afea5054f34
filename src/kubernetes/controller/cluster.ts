/** What the operator must know of the cluster before it can say what it wants: whose id it bears, and whether it is OpenShift. */
import * as v from "valibot";
import type { KubernetesApi } from "../client/api.ts";
import { ApiFailure } from "../client/failure.ts";
import { CLUSTER_VERSION, NAMESPACE } from "../object.ts";
import type { Refusal } from "./refused.ts";

export interface Cluster {
  readonly clusterId: string | undefined;
  readonly isOpenShift: boolean;
  /** What the operator may not read of it. */
  readonly refusals: readonly Refusal[];
}

/** Both kinds of id are UUIDs; nothing else is worth a label. */
const ID = v.pipe(v.string(), v.regex(/^[\w.-]{1,253}$/));
const ClusterVersionSchema = v.looseObject({ spec: v.looseObject({ clusterID: ID }) });
const IdentifiedSchema = v.looseObject({ metadata: v.looseObject({ uid: ID }) });

/**
 * ClusterVersion `version`, which OpenShift alone has, else the UID of namespace kube-system. Where one of the two may
 * not be read there is no id rather than one that changes when the right is given. Rejects with what may pass.
 */
export async function readCluster(api: KubernetesApi, signal: AbortSignal): Promise<Cluster> {
  try {
    const version = await api.get(CLUSTER_VERSION, "version", undefined, signal);
    const isOpenShift = version !== undefined;
    const known = v.safeParse(ClusterVersionSchema, version);
    if (known.success) return { clusterId: known.output.spec.clusterID, isOpenShift, refusals: [] };
    return { ...(await kubeSystem(api, signal)), isOpenShift };
  } catch (error) {
    return { clusterId: undefined, isOpenShift: false, refusals: [refusal(error)] };
  }
}

async function kubeSystem(api: KubernetesApi, signal: AbortSignal): Promise<Omit<Cluster, "isOpenShift">> {
  try {
    const namespace = await api.get(NAMESPACE, "kube-system", undefined, signal);
    const known = v.safeParse(IdentifiedSchema, namespace);
    return { clusterId: known.success ? known.output.metadata.uid : undefined, refusals: [] };
  } catch (error) {
    return { clusterId: undefined, refusals: [refusal(error)] };
  }
}

function refusal(error: unknown): Refusal {
  if (!(error instanceof ApiFailure) || error.reason !== "forbidden") throw error;
  return { reason: error.reason, message: error.message };
}
