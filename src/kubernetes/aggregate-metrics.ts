/** What the aggregate tells of the exporters that it asked. */
import { counter, type Descriptor, gauge } from "../metrics/descriptor.ts";

export const NODE_UP = gauge(
  "plumbline_aggregate_node_up",
  "Whether the samples of the node's exporter are in this answer: 1, or 0",
  ["node"],
);

export const NODE_SCRAPE_DURATION_SECONDS = gauge(
  "plumbline_aggregate_node_scrape_duration_seconds",
  "Seconds that asking the node's exporter took",
  ["node"],
);

export const NODE_SAMPLES = gauge(
  "plumbline_aggregate_node_samples",
  "Samples of the node's exporter in this answer",
  ["node"],
);

export const ERRORS_TOTAL = counter(
  "plumbline_aggregate_errors_total",
  "Exporters that could not be asked, or whose answer was not taken as it is, by reason",
  ["reason"],
);

export const NODES_DESIRED = gauge(
  "plumbline_aggregate_nodes_desired",
  "Nodes that shall have an exporter whose samples are aggregated",
  [],
);

export const NODES_READY = gauge(
  "plumbline_aggregate_nodes_ready",
  "Nodes whose exporter is ready, so that it is asked",
  [],
);

export const NODES_SCRAPED = gauge(
  "plumbline_aggregate_nodes_scraped",
  "Nodes whose exporter's samples are in this answer",
  [],
);

export const AGGREGATE_DESCRIPTORS: readonly Descriptor[] = [
  NODE_UP,
  NODE_SCRAPE_DURATION_SECONDS,
  NODE_SAMPLES,
  ERRORS_TOTAL,
  NODES_DESIRED,
  NODES_READY,
  NODES_SCRAPED,
];
