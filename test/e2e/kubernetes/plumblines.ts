/** Plumblines of a test, and what their status says. */
import * as v from "valibot";
import { type KubernetesObject, PLUMBLINE } from "../../../src/kubernetes/object.ts";
import type { Cluster } from "./cluster.ts";
import { NAMESPACE } from "./operator-process.ts";
import { until } from "./until.ts";

const LIMIT_MS = 30_000;

const STATUS = v.object({
  observedGeneration: v.optional(v.number()),
  desired: v.optional(v.number()),
  ready: v.optional(v.number()),
  updated: v.optional(v.number()),
  unavailable: v.optional(v.number()),
  nodesFailing: v.optional(v.array(v.string()), []),
  conditions: v.optional(
    v.array(v.object({ type: v.string(), status: v.string(), reason: v.string(), message: v.string() })),
    [],
  ),
});
export type Status = v.InferOutput<typeof STATUS>;

export async function createPlumbline(cluster: Cluster, name: string, spec: object = {}): Promise<void> {
  await cluster.admin.create(PLUMBLINE, {
    apiVersion: PLUMBLINE.apiVersion,
    kind: PLUMBLINE.kind,
    metadata: { name, namespace: NAMESPACE },
    spec,
  });
}

export const editPlumbline = (cluster: Cluster, name: string, spec: object): Promise<void> =>
  cluster.admin.edit(PLUMBLINE, name, NAMESPACE, { spec });

/** Waits until its status is about its spec as it is now, and `holds`; gives the status. */
export async function untilStatus(
  cluster: Cluster,
  name: string,
  what: string,
  holds: (status: Status) => boolean,
): Promise<Status> {
  let last: KubernetesObject | undefined;
  try {
    return await until(`${name}: ${what}`, LIMIT_MS, async () => {
      last = await cluster.admin.get(PLUMBLINE, name, NAMESPACE);
      if (last === undefined) return undefined;
      const status = v.parse(STATUS, last["status"] ?? {});
      return status.observedGeneration === last.metadata.generation && holds(status) && status;
    });
  } catch (cause) {
    throw new Error(`not ${what}: ${JSON.stringify(last?.["status"])}`, { cause });
  }
}

/** All of its pods are ready, and nothing is wrong. */
export const untilAvailable = (cluster: Cluster, name: string): Promise<Status> =>
  untilStatus(
    cluster,
    name,
    "available",
    (status) =>
      condition(status, "Available")?.status === "True" &&
      condition(status, "Degraded")?.status === "False" &&
      status.ready === cluster.nodes.length &&
      status.updated === status.ready,
  );

export const condition = (status: Status, type: string): Status["conditions"][number] | undefined =>
  status.conditions.find((condition) => condition.type === type);

export const isDegraded = (status: Status): boolean => condition(status, "Degraded")?.status === "True";
