/** The operator's part of the reference of all metrics. */
import type { ReferenceGroup } from "../metrics/reference.ts";
import { AGGREGATE_DESCRIPTORS } from "./aggregate-metrics.ts";
import { OPERATOR_DESCRIPTORS } from "./operator-metrics.ts";

export const OPERATOR_METRICS: readonly ReferenceGroup[] = [
  {
    collector: undefined,
    title: "The operator",
    help: "What `plumbline operator` tells about itself, at the address of its health (port 8081)",
    metrics: OPERATOR_DESCRIPTORS,
  },
  {
    collector: undefined,
    title: "The aggregate",
    help: "What `plumbline operator` tells of the exporters that it asked, beside their samples (port 8383)",
    metrics: AGGREGATE_DESCRIPTORS,
  },
];
