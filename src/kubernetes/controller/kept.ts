/** What the operator's informers keep of the objects it owns: enough to see drift and progress, and no more. */
import * as v from "valibot";
import {
  CONFIG_MAP,
  DAEMON_SET,
  type Kind,
  type KubernetesObject,
  POD_MONITOR,
  PROMETHEUS_RULE,
  SERVICE,
  SERVICE_ACCOUNT,
} from "../object.ts";
import { CONFIG_HASH } from "../resource/daemon-set.ts";
import { isOurs } from "./drift.ts";

/** In the namespace of their Plumbline, which owns them. */
export const OWNED_KINDS: readonly Kind[] = [
  SERVICE_ACCOUNT,
  CONFIG_MAP,
  SERVICE,
  DAEMON_SET,
  POD_MONITOR,
  PROMETHEUS_RULE,
];

const count = v.fallback(v.optional(v.number(), 0), 0);

const DaemonSetSchema = v.object({
  spec: v.fallback(
    v.optional(
      v.object({
        template: v.optional(
          v.object({
            metadata: v.optional(
              v.object({ annotations: v.optional(v.object({ [CONFIG_HASH]: v.string() })) }),
            ),
          }),
        ),
      }),
    ),
    undefined,
  ),
  status: v.fallback(
    v.optional(
      v.object({
        observedGeneration: count,
        desiredNumberScheduled: count,
        currentNumberScheduled: count,
        updatedNumberScheduled: count,
        numberReady: count,
        numberUnavailable: count,
      }),
    ),
    undefined,
  ),
});

/** What a DaemonSet's controller says of it. */
export interface Rollout {
  readonly configHash: string | undefined;
  /** Whether the counts are of the DaemonSet as it is now. */
  readonly isObserved: boolean;
  /** Nodes that should run a pod. */
  readonly desired: number;
  /** Nodes that have one. */
  readonly scheduled: number;
  readonly updated: number;
  readonly ready: number;
  readonly unavailable: number;
}

export function keepOwned({ metadata, ...object }: KubernetesObject): KubernetesObject {
  const { annotations: _annotations, managedFields, ...kept } = metadata;
  return {
    metadata: { ...kept, managedFields: managedFields?.filter(isOurs) ?? [] },
    ...v.parse(DaemonSetSchema, object),
  };
}

export function rolloutOf(daemonSet: KubernetesObject): Rollout {
  const { spec, status } = v.parse(DaemonSetSchema, daemonSet);
  return {
    configHash: spec?.template?.metadata?.annotations?.[CONFIG_HASH],
    isObserved: status !== undefined && status.observedGeneration >= (daemonSet.metadata.generation ?? 0),
    desired: status?.desiredNumberScheduled ?? 0,
    scheduled: status?.currentNumberScheduled ?? 0,
    updated: status?.updatedNumberScheduled ?? 0,
    ready: status?.numberReady ?? 0,
    unavailable: status?.numberUnavailable ?? 0,
  };
}
