/** Whether SDN zones and fabrics work on each node: rows `network` (release 9) or `sdn` (8) of /cluster/resources. */
import { StateLabel } from "../../metrics/states.ts";
import { type PveCollector, pveGauge } from "../contract.ts";
import type { ResourceRow } from "../model.ts";

const STATE = pveGauge(
  "pve_network_state",
  "Whether an SDN zone or fabric works on the node, 1 for one of available, pending and error, 0 for the others",
  ["id", "node", "state"],
);

export const NETWORK_STATE: PveCollector = {
  name: "network-state",
  help: "State of SDN zones and fabrics on each node",
  scope: "cluster",
  defaults: { pve: false, metrics: true },
  descriptors: [STATE],
  always: [],
  async collect(round, report) {
    for (const row of (await round.resources()).rows) {
      const { type, id, node, fields } = row;
      if ((type !== "sdn" && type !== "network") || node === undefined || isConstant(row)) continue;
      const status = fields["status"];
      if (status === undefined || status === null || status === "") continue;
      report.addStates(STATE, { id, node }, STATES.only(stateOf(status)));
    }
  },
};

const STATES = new StateLabel("state", ["available", "pending", "error"]);

/** Release 9 says `ok`, release 8 `available`. */
function stateOf(status: unknown): "available" | "pending" | "error" {
  if (status === "ok" || status === "available") return "available";
  return status === "pending" ? "pending" : "error";
}

/** The zone of the bridges that are not SDN's is always `ok`. A fabric may bear its name. */
const isConstant = ({ fields }: ResourceRow): boolean =>
  fields["sdn"] === "localnetwork" ||
  (fields["network"] === "localnetwork" && fields["network-type"] !== "fabric");
