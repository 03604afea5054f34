/**
 * Names that `promtool check metrics` objects to and that stay all the same, because users of the programs that
 * plumbline takes over from have them in their dashboards and rules. Nothing else may displease promtool.
 */

export interface PeerName {
  readonly name: string;
  /** What promtool says, word for word behind the name. */
  readonly objection: string;
  readonly reason: string;
}

export const PEER_NAMES: readonly PeerName[] = [
  {
    name: "nvme_power_on_hours_total",
    objection: 'use base unit "seconds" instead of "hours"',
    reason:
      "the name that node_exporter's nvme_metrics.py and the Rust nvme-exporter give the SMART log's power on hours",
  },
  {
    name: "pve_not_backed_up_total",
    objection: 'non-counter metrics should not have "_total" suffix',
    reason: "the name that prometheus-pve-exporter gives the number of guests that no backup job covers",
  },
];
