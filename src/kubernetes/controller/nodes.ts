/** On which nodes the DaemonSet controller makes pods: for what no pod can tell of. */
import * as v from "valibot";
import type { KubernetesApi } from "../client/api.ts";
import { type KubernetesObject, NODE } from "../object.ts";
import { nodeSelector } from "../resource/daemon-set.ts";
import type { PlumblineSpec } from "../resource/spec-schema.ts";

type Placement = Pick<PlumblineSpec, "nodeSelector" | "tolerations">;
type Toleration = PlumblineSpec["tolerations"][number];

/** Names. Of nodes whose taints do not matter, only the metadata is asked for. Rejects with ApiFailure. */
export async function nodesFor(
  placement: Placement,
  api: KubernetesApi,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { tolerations } = placement;
  const scope = {
    labelSelector: Object.entries(nodeSelector(placement))
      .map(([label, value]) => `${label}=${value}`)
      .join(","),
  };
  const pages = tolerations.some(isForAll)
    ? api.metadataPages(NODE, scope, signal)
    : api.pages(NODE, scope, signal);
  const names: string[] = [];
  for await (const { items } of pages)
    for (const node of items) if (isTolerated(node, tolerations)) names.push(node.metadata.name);
  return names;
}

const isForAll = ({ key, operator, effect }: Toleration): boolean =>
  key === undefined && operator === "Exists" && effect === undefined;

const text = v.optional(v.string());
const TaintedSchema = v.object({
  spec: v.object({ taints: v.array(v.object({ key: v.string(), value: text, effect: text })) }),
});
type Taint = v.InferOutput<typeof TaintedSchema>["spec"]["taints"][number];

function isTolerated(node: KubernetesObject, tolerations: readonly Toleration[]): boolean {
  const parsed = v.safeParse(TaintedSchema, node);
  if (!parsed.success) return true;
  return parsed.output.spec.taints
    .filter(({ key, effect }) => effect !== "PreferNoSchedule" && !TOLERATED_BY_ALL.has(key))
    .every((taint) => tolerations.some((toleration) => tolerates(toleration, taint)));
}

/** https://pkg.go.dev/k8s.io/api/core/v1#Toleration */
function tolerates({ key, operator = "Equal", value = "", effect }: Toleration, taint: Taint): boolean {
  const isKey = key === undefined ? operator === "Exists" : key === taint.key;
  const isValue = operator === "Exists" || value === (taint.value ?? "");
  return isKey && isValue && (effect === undefined || effect === taint.effect);
}

/** What the DaemonSet controller makes every pod of its own tolerate, where that has no host network. */
const TOLERATED_BY_ALL: ReadonlySet<string> = new Set([
  "node.kubernetes.io/not-ready",
  "node.kubernetes.io/unreachable",
  "node.kubernetes.io/disk-pressure",
  "node.kubernetes.io/memory-pressure",
  "node.kubernetes.io/pid-pressure",
  "node.kubernetes.io/unschedulable",
]);
