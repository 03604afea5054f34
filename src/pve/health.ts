/** What every answer about Proxmox VE ends with: who answered, which collectors succeeded, what was left out. */
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { API_REQUESTS_TOTAL } from "./client.ts";
import { SKIP_REASONS } from "./contract.ts";
import type { CollectorResult, TargetHealth } from "./round.ts";

const TARGET_UP = gauge(
  "plumbline_pve_target_up",
  "Whether a call to the Proxmox VE target was answered and understood in this scrape: 1, or 0",
  ["target"],
);
const TARGET_INFO = gauge(
  "plumbline_pve_target_info",
  "Which cluster the Proxmox VE target is, and which of its endpoints answered; always 1",
  ["target", "cluster", "endpoint"],
);
const COLLECTOR_SUCCESS = gauge(
  "plumbline_pve_collector_success",
  "Whether every call and record that the collector needed of the target was good: 1, or 0",
  ["target", "collector"],
);
const COLLECTOR_DURATION = gauge(
  "plumbline_pve_collector_duration_seconds",
  "Seconds that the collector took for the target",
  ["target", "collector"],
);
const NODE_REACHABLE = gauge(
  "plumbline_pve_node_reachable",
  "Whether the node is online and answered what it was asked: 1, or 0",
  ["target", "node"],
);
const SKIPPED = gauge(
  "plumbline_pve_skipped",
  "Records and calls that were left out in this scrape, by reason; only where there are any",
  ["target", "collector", "reason"],
);

export const HEALTH_DESCRIPTORS: readonly Descriptor[] = [
  TARGET_UP,
  TARGET_INFO,
  COLLECTOR_SUCCESS,
  COLLECTOR_DURATION,
  NODE_REACHABLE,
  SKIPPED,
  API_REQUESTS_TOTAL,
];

export const fullName = (collector: { readonly name: string }): string => `pve-${collector.name}`;

export function addResult(samples: Samples, target: string, result: CollectorResult): void {
  const labels = { target, collector: fullName(result.collector) };
  samples.add(COLLECTOR_SUCCESS, labels, result.success ? 1 : 0);
  samples.add(COLLECTOR_DURATION, labels, result.seconds);
  for (const reason of SKIP_REASONS)
    samples.addKnown(SKIPPED, { ...labels, reason }, result.skipped.get(reason));
}

export function addHealth(
  samples: Samples,
  target: string,
  { isUp, endpoint, cluster, nodes }: TargetHealth,
): void {
  samples.add(TARGET_UP, { target }, isUp ? 1 : 0);
  if (isUp) samples.add(TARGET_INFO, { target, cluster: cluster ?? "", endpoint }, 1);
  for (const [node, isReachable] of nodes) samples.add(NODE_REACHABLE, { target, node }, isReachable ? 1 : 0);
}
