/** What `ceph -s` says of the cluster's Ceph, from /cluster/ceph/status; nothing where the node asked has none. */
import { StateLabel } from "../../metrics/states.ts";
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { isNotInstalled } from "../optional.ts";
import { addNumber, isRow, labelOf, nameIn, type Row, rowOf } from "../values.ts";

const HEALTHS = ["HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR", "other"] as const;

const HEALTH_STATE = pveGauge(
  "pve_ceph_health_state",
  "Health of Ceph, 1 for one of HEALTH_OK, HEALTH_WARN, HEALTH_ERR and other, 0 for the others",
  ["state"],
);
const HEALTH_CHECK = pveGauge("pve_ceph_health_check", "Health check of Ceph that is raised; always 1", [
  "check",
  "severity",
]);
const OSDS = pveGauge("pve_ceph_osds", "OSDs of Ceph: in total, that are up, that are in", ["state"]);
const TOTAL = pveGauge("pve_ceph_total_bytes", "Raw capacity of Ceph in bytes", []);
const USED = pveGauge("pve_ceph_used_bytes", "Used raw capacity of Ceph in bytes", []);
const AVAILABLE = pveGauge("pve_ceph_available_bytes", "Free raw capacity of Ceph in bytes", []);

export const CEPH: PveCollector = {
  name: "ceph",
  help: "Health, OSDs and capacity of Ceph",
  scope: "cluster",
  defaults: { pve: false, metrics: true },
  descriptors: [HEALTH_STATE, HEALTH_CHECK, OSDS, TOTAL, USED, AVAILABLE],
  always: [],
  async collect(round, report) {
    const path = "/cluster/ceph/status";
    try {
      addStatus(report, rowOf(await round.get(path), path));
    } catch (error) {
      if (!isNotInstalled(error)) throw error;
    }
  },
};

function addStatus(report: Report, answer: Row): void {
  const { status, checks } = memberOf(report, answer, "health");
  if (typeof status === "string" && status !== "")
    report.addStates(HEALTH_STATE, {}, STATES.only(nameIn(HEALTHS, status) ?? "other"));
  for (const [check, raised] of Object.entries(memberOf(report, { checks }, "checks"))) {
    if (isRow(raised)) {
      const labels = { check: labelOf(report, check), severity: labelOf(report, raised["severity"]) };
      report.add(HEALTH_CHECK, labels, 1);
    } else report.lose("invalid");
  }

  const osds = memberOf(report, answer, "osdmap");
  addNumber(report, OSDS, { state: "total" }, osds["num_osds"]);
  addNumber(report, OSDS, { state: "up" }, osds["num_up_osds"]);
  addNumber(report, OSDS, { state: "in" }, osds["num_in_osds"]);

  const groups = memberOf(report, answer, "pgmap");
  addNumber(report, TOTAL, {}, groups["bytes_total"]);
  addNumber(report, USED, {}, groups["bytes_used"]);
  addNumber(report, AVAILABLE, {}, groups["bytes_avail"]);
}

const STATES = new StateLabel("state", HEALTHS);

/** Empty where it is absent. */
function memberOf(report: Report, row: Row, name: string): Row {
  const member = row[name] ?? {};
  if (isRow(member)) return member;
  report.lose("invalid");
  return {};
}
