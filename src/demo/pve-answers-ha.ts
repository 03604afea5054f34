/** What the simulated API answers for the HA manager: a file of the cluster, which is read also where nodes are down. */
import { membersOf, usesHa } from "./pve-answers-cluster.ts";
import { type Call, demand } from "./pve-call.ts";
import type { PveState } from "./pve-cluster.ts";
import type { GuestPlan, NodePlan } from "./pve-inventory.ts";
import { isDown, isQuorate, type WorldGuest, type WorldNode } from "./pve-world.ts";

/** /cluster/ha/status/manager_status */
export function managerStatus(call: Call) {
  demand(call, "/", "Sys.Audit");
  const { state, asked } = call;
  const quorum = { node: asked.name, quorate: isQuorate(state.nodes, asked.name) };
  if (!usesHa(state)) return { manager_status: {}, quorum };
  const known = state.inventory.nodes.filter(({ name }) => state.nodes.get(name)?.crm !== undefined);
  return {
    manager_status: {
      master_node: state.master,
      timestamp: managerTimestamp(state),
      node_status: Object.fromEntries(known.map(({ name }) => [name, state.nodes.get(name)?.crm])),
      service_status: Object.fromEntries(
        servicesOf(state).map((guest) => [sidOf(guest.plan), serviceStatus(guest)]),
      ),
      ...(state.armed !== "armed" && { disarm: { state: state.armed, mode: state.disarmMode } }),
    },
    quorum,
    lrm_status: Object.fromEntries(known.map((plan) => [plan.name, lrmStatus(state, plan)])),
  };
}

const sidOf = ({ type, vmid }: GuestPlan) => `${type === "qemu" ? "vm" : "ct"}:${vmid}`;

const servicesOf = ({ guests }: PveState) =>
  [...guests.values()].filter(({ service }) => service !== undefined);

function serviceStatus({
  plan,
  node,
  service,
  runs,
  target,
  maintenanceNode,
  failedNodes,
}: Readonly<WorldGuest>) {
  return {
    node,
    state: service,
    uid: Buffer.from(`uid ${plan.vmid}`).toString("base64url"),
    ...(service === "started" && runs && { running: true }),
    ...(target !== undefined && { target }),
    ...(maintenanceNode !== undefined && { maintenance_node: maintenanceNode }),
    ...(failedNodes.length > 0 && { failed_nodes: failedNodes }),
  };
}

/** The manager works every ten seconds; without a quorum it cannot write. */
const managerTimestamp = ({ managerLostMs, sinceUnix, unix }: PveState) =>
  stamp(managerLostMs === undefined ? unix : sinceUnix + managerLostMs / 1000, 10, 0);

function lrmStatus(state: PveState, { name, nodeid }: NodePlan) {
  const node = state.nodes.get(name);
  if (node === undefined || node.condition === "removed") return { mode: "unknown" };
  // What a dead one wrote last stays.
  const quietMs = node.lostMs ?? (isQuorate(state.nodes, name) ? undefined : state.managerLostMs);
  const last = quietMs === undefined ? state.unix : state.sinceUnix + quietMs / 1000;
  return {
    mode: lrmMode(state, node),
    state: lrmState(node),
    timestamp: stamp(last, 5, nodeid),
    results: {},
  };
}

function lrmMode({ armed }: PveState, node: Readonly<WorldNode>) {
  if (armed !== "armed" && !isDown(node)) return "disarm";
  return node.maintenance ? "maintenance" : "active";
}

const lrmState = ({ lrmActive, maintenance }: Readonly<WorldNode>) =>
  !lrmActive ? "wait_for_agent_lock" : maintenance ? "maintenance" : "active";

const stamp = (unix: number, everySeconds: number, offset: number) =>
  Math.floor((unix - (offset % everySeconds)) / everySeconds) * everySeconds + (offset % everySeconds);

/** /cluster/ha/resources: the file as it is, without what has its default. */
export function haResources(call: Call) {
  demand(call, "/", "Sys.Audit");
  return call.state.inventory.guests
    .filter(({ ha }) => ha !== undefined)
    .map((plan) => haResource(plan, call));
}

function haResource(plan: GuestPlan, { asked }: Call) {
  const special = plan.vmid % 8 === 0;
  return {
    sid: sidOf(plan),
    type: plan.type === "qemu" ? "vm" : "ct",
    digest: "8f2a6a0c1e0f4b5d9c7e3a1b2d4f60718293a4b5",
    ...(plan.ha !== "started" && { state: plan.ha }),
    ...(special && { max_restart: 2, max_relocate: 3 }),
    ...(asked.release === 8 ? special && { group: "fast" } : special && { failback: false }),
  };
}

/** /cluster/ha/groups */
export function haGroups(call: Call) {
  demand(call, "/", "Sys.Audit");
  return [{ group: "fast", type: "group", nodes: "pve1:2,pve2", restricted: false, nofailback: false }];
}

/** /cluster/ha/status/current */
export function haCurrent(call: Call) {
  demand(call, "/", "Sys.Audit");
  const { state, asked } = call;
  const quorate = isQuorate(state.nodes, asked.name);
  const quorum = {
    id: "quorum",
    type: "quorum",
    node: asked.name,
    quorate,
    status: quorate ? "OK" : "No quorum!",
  };
  if (!usesHa(state)) return [quorum];
  const at = clock(managerTimestamp(state));
  const master = {
    id: "master",
    type: "master",
    node: state.master,
    status: `${state.master} (active, ${at})`,
  };
  return [
    quorum,
    master,
    ...membersOf(state).map((plan) => lrmRow(state, plan)),
    ...servicesOf(state).map(serviceRow),
    ...(asked.release === 9 ? [fencingRow(state)] : []),
  ];
}

function lrmRow(state: PveState, plan: NodePlan) {
  const { name } = plan;
  const node = state.nodes.get(name);
  const { timestamp = 0 } = lrmStatus(state, plan);
  const dead = node?.lostMs !== undefined;
  const status = dead ? "old timestamp - dead?" : (node && lrmState(node)) === "active" ? "active" : "idle";
  return {
    id: `lrm:${name}`,
    type: "lrm",
    node: name,
    timestamp,
    status: `${name} (${status}, ${clock(timestamp)})`,
  };
}

function serviceRow({ plan, node, service }: Readonly<WorldGuest>) {
  const sid = sidOf(plan);
  const crm = { crm_state: service, request_state: plan.ha };
  return {
    id: `service:${sid}`,
    type: "service",
    sid,
    node,
    state: service,
    status: `${sid} (${node})`,
    ...crm,
  };
}

function fencingRow(state: PveState) {
  const idle = ![...state.nodes.values()].some(({ lrmActive }) => lrmActive);
  const armed = state.armed === "armed" && idle ? "standby" : state.armed;
  return {
    id: "fencing",
    type: "fencing",
    node: state.master,
    "armed-state": armed,
    status: `CRM watchdog ${armed}`,
  };
}

const clock = (unix: number) => new Date(unix * 1000).toUTCString();
