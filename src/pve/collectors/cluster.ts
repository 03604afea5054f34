/** What the cluster says of itself, from the shared /cluster/status; a standalone host has no such row. */
import { type PveCollector, pveGauge } from "../contract.ts";
import { countOdd, labelOf } from "../values.ts";

const INFO = pveGauge("pve_cluster_info", "Cluster info", ["id", "nodes", "quorate", "version"]);

export const CLUSTER: PveCollector = {
  name: "cluster",
  help: "The cluster's name, version, number of nodes and quorum",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [INFO],
  always: [],
  async collect(round, report) {
    const status = await round.status();
    countOdd(report, status);
    if (status.cluster === undefined) return;
    const { name, nodes, version, quorate } = status.cluster;
    const labels = {
      id: `cluster/${name}`,
      nodes: labelOf(report, nodes),
      quorate: labelOf(report, quorate),
      version: labelOf(report, version),
    };
    report.add(INFO, labels, 1);
  },
};
