/** The nodes of the cluster with their number and their level of support, from the shared /cluster/status. */
import { type PveCollector, pveGauge } from "../contract.ts";
import { countOdd, labelOf } from "../values.ts";

const INFO = pveGauge("pve_node_info", "Node info", ["id", "level", "name", "nodeid"]);

export const NODE: PveCollector = {
  name: "node",
  help: "Nodes with their number and level of support",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [INFO],
  always: [],
  async collect(round, report) {
    const status = await round.status();
    countOdd(report, status);
    for (const { name, nodeid, level } of status.nodes)
      report.add(INFO, { id: `node/${name}`, level, name, nodeid: labelOf(report, nodeid) }, 1);
  },
};
