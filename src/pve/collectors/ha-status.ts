/**
 * The HA manager as it is: its nodes, their local resource managers (LRM), the cluster's (CRM), and what they do with each
 * service. All of it are files of the cluster, which can be read while nodes are down.
 */
import { StateLabel } from "../../metrics/states.ts";
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEach } from "../each.ts";
import {
  addNumber,
  booleanOf,
  labelOf,
  nameIn,
  nodeNameOf,
  partOf,
  type Row,
  rowOf,
  rowsOf,
  vmidOf,
} from "../values.ts";

const CRM_MASTER = pveGauge("pve_ha_crm_master", "1 if node is CRM master, 0 otherwise (all nodes)", [
  "node",
]);
const NODE_STATUS = pveGauge("pve_ha_node_status", "Per-node HA status (always 1)", ["node", "status"]);
const NODE_STATE = pveGauge(
  "pve_ha_node_state",
  "HA state of the node, 1 for the one that it has, other for one that is not listed, 0 for the rest",
  ["node", "state"],
);
const LRM_TIMESTAMP = pveGauge("pve_ha_lrm_timestamp_seconds", "Last LRM heartbeat as unix timestamp", [
  "node",
]);
const LRM_MODE = pveGauge("pve_ha_lrm_mode", "LRM mode per node (always 1)", ["node", "mode"]);
const LRM_STATE = pveGauge(
  "pve_ha_lrm_state",
  "State of the node's LRM, 1 for the one that it has, other for one that is not listed, 0 for the rest",
  ["node", "state"],
);
const SERVICE_CONFIG = pveGauge("pve_ha_service_config", "Service config (always 1)", [
  "sid",
  "type",
  "max_restart",
  "max_relocate",
  "failback",
]);
const SERVICE_STATUS = pveGauge("pve_ha_service_status", "Service runtime state (always 1)", [
  "sid",
  "node",
  "state",
]);
const SERVICE_STATE = pveGauge(
  "pve_ha_service_state",
  "State of the HA service, 1 for the one that it has, other for one that is not listed, 0 for the rest",
  ["sid", "state"],
);
const SERVICE_NODE = pveGauge(
  "pve_ha_service_node_info",
  "Node that the HA service is placed on (always 1)",
  ["sid", "node"],
);
const SERVICE_GUEST = pveGauge("pve_ha_service_guest_info", "Guest that the HA service is (always 1)", [
  "sid",
  "id",
]);
const REQUESTED_STATE = pveGauge(
  "pve_ha_service_requested_state",
  "State that the HA service is to have, 1 for the one that is configured, 0 for the rest",
  ["sid", "state"],
);
const QUORATE = pveGauge("pve_ha_quorate", "Whether the cluster is quorate, as the HA manager sees it", []);
const CRM_TIMESTAMP = pveGauge(
  "pve_ha_crm_timestamp_seconds",
  "When the CRM last worked, as unix timestamp; it rests while there is no service",
  [],
);
const ARMED_STATE = pveGauge(
  "pve_ha_armed_state",
  "Whether nodes can be fenced, 1 for the state that holds, 0 for the rest",
  ["state"],
);

export const HA_STATUS: PveCollector = {
  name: "ha-status",
  help: "State of the HA manager, its nodes and services",
  scope: "cluster",
  defaults: { pve: false, metrics: true },
  descriptors: [
    CRM_MASTER,
    NODE_STATUS,
    NODE_STATE,
    LRM_TIMESTAMP,
    LRM_MODE,
    LRM_STATE,
    SERVICE_CONFIG,
    SERVICE_STATUS,
    SERVICE_STATE,
    SERVICE_NODE,
    SERVICE_GUEST,
    REQUESTED_STATE,
    QUORATE,
    CRM_TIMESTAMP,
    ARMED_STATE,
  ],
  always: [],
  async collect(round, report) {
    const guests = new Guests(report);
    const parts: readonly [string, (data: unknown, path: string) => void | Promise<void>][] = [
      ["/cluster/ha/status/manager_status", (data, path) => addManager(report, guests, rowOf(data, path))],
      [
        "/cluster/ha/resources",
        async (data, path) => {
          const { major } = await round.release();
          addResources(report, guests, rowsOf(data, path, report), major);
        },
      ],
      ["/cluster/ha/status/current", (data, path) => addArmedState(report, rowsOf(data, path, report))],
    ];
    await forEach(parts, report, async ([path, add]) => add(await round.get(path), path));
  },
};

const NODE_NAMES = ["online", "maintenance", "unknown", "fence", "gone", "other"] as const;
const NODE_STATES = new StateLabel("state", NODE_NAMES);

function addManager(report: Report, guests: Guests, answer: Row): void {
  const manager = partOf(report, answer["manager_status"]);
  addNumber(report, CRM_TIMESTAMP, {}, manager["timestamp"]);
  const isQuorate = booleanOf(partOf(report, answer["quorum"])["quorate"]);
  if (isQuorate !== undefined) report.add(QUORATE, {}, isQuorate ? 1 : 0);
  for (const [node, status] of nodesOf(report, manager["node_status"])) {
    report.add(CRM_MASTER, { node }, manager["master_node"] === node ? 1 : 0);
    report.add(NODE_STATUS, { node, status: labelOf(report, status) }, 1);
    report.addStates(NODE_STATE, { node }, NODE_STATES.only(nameIn(NODE_NAMES, status) ?? "other"));
  }
  for (const [node, lrm] of nodesOf(report, answer["lrm_status"])) addLrm(report, node, partOf(report, lrm));
  for (const [sid, service] of Object.entries(partOf(report, manager["service_status"])))
    addService(report, guests, sid, partOf(report, service));
}

const LRM_NAMES = [
  "startup",
  "wait_for_agent_lock",
  "active",
  "lost_agent_lock",
  "maintenance",
  "other",
] as const;
const LRM_STATES = new StateLabel("state", LRM_NAMES);

/** A dead node's keeps what it wrote last. */
function addLrm(report: Report, node: string, { mode, state, timestamp }: Row): void {
  addNumber(report, LRM_TIMESTAMP, { node }, timestamp);
  if (isSaid(mode)) report.add(LRM_MODE, { node, mode: labelOf(report, mode) }, 1);
  if (isSaid(state))
    report.addStates(LRM_STATE, { node }, LRM_STATES.only(nameIn(LRM_NAMES, state) ?? "other"));
}

const SERVICE_NAMES = [
  "stopped",
  "request_stop",
  "request_start",
  "request_start_balance",
  "started",
  "fence",
  "recovery",
  "migrate",
  "relocate",
  "freeze",
  "error",
  "other",
] as const;
const SERVICE_STATES = new StateLabel("state", SERVICE_NAMES);

function addService(report: Report, guests: Guests, sid: string, { node, state }: Row): void {
  if (!guests.add(sid) || !isSaid(state)) return;
  const placedOn = nodeNameOf(node);
  if (placedOn === undefined && isSaid(node)) report.lose("invalid");
  report.add(SERVICE_STATUS, { sid, node: placedOn ?? "", state: labelOf(report, state) }, 1);
  report.addStates(SERVICE_STATE, { sid }, SERVICE_STATES.only(nameIn(SERVICE_NAMES, state) ?? "other"));
  if (placedOn !== undefined) report.add(SERVICE_NODE, { sid, node: placedOn }, 1);
}

const REQUESTED_NAMES = ["started", "stopped", "disabled", "ignored", "other"] as const;
const REQUESTED_STATES = new StateLabel("state", REQUESTED_NAMES);

/** The file as it is written, in which what has its default is not there. */
function addResources(report: Report, guests: Guests, rows: readonly Row[], release: number): void {
  const seen = new Set<string>();
  for (const row of rows) {
    const sid = labelOf(report, row["sid"]);
    if (!guests.add(sid)) continue;
    if (seen.has(sid)) report.leaveOut("duplicate");
    else addResource(report, sid, row, release);
    seen.add(sid);
  }
}

function addResource(report: Report, sid: string, row: Row, release: number): void {
  const { type, max_restart, max_relocate, failback, state } = row;
  const config = {
    type: isSaid(type) ? labelOf(report, type) : sid.slice(0, sid.indexOf(":")),
    max_restart: isSaid(max_restart) ? labelOf(report, max_restart) : "1",
    max_relocate: isSaid(max_relocate) ? labelOf(report, max_relocate) : "1",
    // Before release 9 the service's group decides.
    failback: release < 9 ? "" : booleanOf(failback) === false ? "0" : "1",
  };
  report.add(SERVICE_CONFIG, { sid, ...config }, 1);
  const requested = state === "enabled" || !isSaid(state) ? "started" : state;
  report.addStates(
    REQUESTED_STATE,
    { sid },
    REQUESTED_STATES.only(nameIn(REQUESTED_NAMES, requested) ?? "other"),
  );
}

const ARMED_NAMES = ["armed", "standby", "disarming", "disarmed", "other"] as const;
const ARMED_STATES = new StateLabel("state", ARMED_NAMES);

/** No such row before pve-ha-manager 5.1.3. */
function addArmedState(report: Report, rows: readonly Row[]): void {
  const armed = rows.find(({ type }) => type === "fencing")?.["armed-state"];
  if (isSaid(armed))
    report.addStates(ARMED_STATE, {}, ARMED_STATES.only(nameIn(ARMED_NAMES, armed) ?? "other"));
}

/** Which guest each service is, told once, by whichever answer names it first. */
class Guests {
  readonly #report: Report;
  readonly #told = new Set<string>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** False where that is no id of a service, which is lost then. */
  add(sid: string): boolean {
    const [, type, number] = /^(vm|ct):(\d+)$/.exec(sid) ?? [];
    const vmid = vmidOf(number);
    if (vmid === undefined) {
      this.#report.lose("invalid");
      return false;
    }
    if (!this.#told.has(sid)) {
      this.#told.add(sid);
      this.#report.add(SERVICE_GUEST, { sid, id: `${type === "vm" ? "qemu" : "lxc"}/${vmid}` }, 1);
    }
    return true;
  }
}

/** Entries whose key may be the name of a node; the others are lost. */
function nodesOf(report: Report, part: unknown): readonly [string, unknown][] {
  return Object.entries(partOf(report, part)).filter(([node]) => {
    const isNode = nodeNameOf(node) !== undefined;
    if (!isNode) report.lose("invalid");
    return isNode;
  });
}

const isSaid = (value: unknown): boolean => value !== undefined && value !== null && value !== "";
