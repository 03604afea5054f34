/** What the asked node runs: /version. */
import { type PveCollector, pveGauge } from "../contract.ts";
import { labelOf, rowOf } from "../values.ts";

const INFO = pveGauge("pve_version_info", "Proxmox VE version info", ["release", "repoid", "version"]);

const PATH = "/version";

export const VERSION: PveCollector = {
  name: "version",
  help: "Version of Proxmox VE",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [INFO],
  always: [INFO],
  async collect(round, report) {
    const { release, repoid, version } = rowOf(await round.get(PATH), PATH);
    const labels = {
      release: labelOf(report, release),
      repoid: labelOf(report, repoid),
      version: labelOf(report, version),
    };
    report.add(INFO, labels, 1);
  },
};
