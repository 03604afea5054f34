/** The third voter of a cluster of two, if it has one: /cluster/config/qdevice. */
import { type PveCollector, pveGauge } from "../contract.ts";
import { labelOf, rowOf } from "../values.ts";

const UP = pveGauge("pve_qdevice_up", "Proxmox VE QDevice is connected (1) or not (0)", ["id"]);
const INFO = pveGauge("pve_qdevice_info", "Proxmox VE QDevice info (1 if configured)", [
  "id",
  "algorithm",
  "model",
  "qnetd_host",
  "state",
  "tie_breaker",
]);

const PATH = "/cluster/config/qdevice";

export const QDEVICE: PveCollector = {
  name: "qdevice",
  help: "The cluster's QDevice and whether it is connected",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [UP, INFO],
  always: [],
  async collect(round, report) {
    const { cluster } = await round.status();
    if (cluster === undefined) return;
    const device = rowOf(await round.get(PATH), PATH);
    if (Object.keys(device).length === 0) return;
    const id = `cluster/${cluster.name}`;
    const state = labelOf(report, device["State"]);
    report.add(UP, { id }, state === "Connected" ? 1 : 0);
    const labels = {
      id,
      algorithm: labelOf(report, device["Algorithm"]),
      model: labelOf(report, device["Model"]),
      qnetd_host: labelOf(report, device["QNetd host"]),
      state,
      tie_breaker: labelOf(report, device["Tie-breaker"]),
    };
    report.add(INFO, labels, 1);
  },
};
