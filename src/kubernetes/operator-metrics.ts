/** What the operator tells about itself. */
import { counter, type Descriptor, gauge, histogram } from "../metrics/descriptor.ts";

export const RECONCILE_TOTAL = counter(
  "plumbline_operator_reconcile_total",
  "Reconciliations of a Plumbline by result: success, degraded (an object was refused), invalid (of its spec), failed",
  ["result"],
);

export const RECONCILE_DURATION_SECONDS = histogram(
  "plumbline_operator_reconcile_duration_seconds",
  "Seconds that a reconciliation of a Plumbline took",
  [],
);

export const RECONCILE_DURATION_BUCKETS: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

export const RECONCILE_ERRORS_TOTAL = counter(
  "plumbline_operator_reconcile_errors_total",
  "Requests of reconciliations that failed, by reason: forbidden, conflict, timeout, connect and others",
  ["reason"],
);

export const DRIFT_REPAIRS_TOTAL = counter(
  "plumbline_operator_drift_repairs_total",
  "Owned objects put back because somebody had changed or deleted them, by kind",
  ["kind"],
);

export const DAEMONSET_PODS_DESIRED = gauge(
  "plumbline_operator_daemonset_pods_desired",
  "Nodes that should run an exporter pod, from the status of the DaemonSets of all Plumblines",
  [],
);

export const DAEMONSET_PODS_READY = gauge(
  "plumbline_operator_daemonset_pods_ready",
  "Nodes whose exporter pod is ready, from the status of the DaemonSets of all Plumblines",
  [],
);

export const NODE_FAILING = gauge(
  "plumbline_operator_node_failing",
  "Always 1; nodes on which the exporter's pod does not come up, at most 20 of each Plumbline, and why; NodeNotReady: the node itself is lost",
  ["node", "reason"],
);

export const LAST_SUCCESSFUL_RECONCILE_TIMESTAMP_SECONDS = gauge(
  "plumbline_operator_last_successful_reconcile_timestamp_seconds",
  "Unix time of the last successful reconciliation in seconds",
  [],
);

export const LEADER = gauge(
  "plumbline_operator_leader",
  "Whether this replica leads and so may write: 1, or 0",
  [],
);

export const WATCH_RESTARTS_TOTAL = counter(
  "plumbline_operator_watch_restarts_total",
  "Watches that were begun anew, by kind and reason: ended, gone, connect, timeout and others",
  ["kind", "reason"],
);

export const CONFIG_VALID = gauge(
  "plumbline_operator_config_valid",
  "Whether the spec of every Plumbline is valid: 1, or 0 while the last valid one of some stays in force",
  [],
);

export const OPERATOR_DESCRIPTORS: readonly Descriptor[] = [
  RECONCILE_TOTAL,
  RECONCILE_DURATION_SECONDS,
  RECONCILE_ERRORS_TOTAL,
  DRIFT_REPAIRS_TOTAL,
  DAEMONSET_PODS_DESIRED,
  DAEMONSET_PODS_READY,
  NODE_FAILING,
  LAST_SUCCESSFUL_RECONCILE_TIMESTAMP_SECONDS,
  LEADER,
  WATCH_RESTARTS_TOTAL,
  CONFIG_VALID,
];
