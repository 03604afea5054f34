/** What the simulated API answers for the whole cluster; but for the HA manager's part (pve-answers-ha.ts). */
import { type Call, demand, Refusal } from "./pve-call.ts";
import type { PveState } from "./pve-cluster.ts";
import { hasCeph, type NodePlan } from "./pve-inventory.ts";
import { guestStatistics, lastBroadcast, nodeStatistics } from "./pve-statistics.ts";
import { storageOn } from "./pve-storage.ts";
import { isQuorate, sees, type WorldGuest } from "./pve-world.ts";

/** /version */
export const version = ({ asked }: Call) =>
  asked.release === 9
    ? { release: "9.2", repoid: "b9984c6d90a4bd80", version: "9.2.2" }
    : { release: "8.4", repoid: "ec58e45e1bcdf2ac", version: "8.4.14", console: "html5" };

/** /cluster/status */
export function clusterStatus(call: Call) {
  demand(call, "/", "Sys.Audit");
  const { state, asked } = call;
  const members = membersOf(state);
  const rows = members.map(({ name, nodeid, ip, level }) => ({
    type: "node",
    id: `node/${name}`,
    name,
    nodeid,
    ip,
    local: name === asked.name,
    online: sees(state.nodes, asked.name, name),
    level,
  }));
  if (state.size.standalone === true) return rows;
  const cluster = {
    type: "cluster",
    id: "cluster",
    name: state.size.name ?? "simulated",
    nodes: members.length,
    version: members.length + 4,
    quorate: isQuorate(state.nodes, asked.name),
  };
  return [cluster, ...rows];
}

/** Those that were not removed. */
export const membersOf = ({ inventory, nodes }: PveState): NodePlan[] =>
  inventory.nodes.filter(({ name }) => nodes.get(name)?.condition !== "removed");

/** /cluster/resources */
export function clusterResources(call: Call) {
  const { state, rights } = call;
  const guests = [...state.guests.values()].filter(({ plan }) => rights.can("VM.Audit", `/vms/${plan.vmid}`));
  const rows = [
    ...membersOf(state).map((plan) => nodeRow(call, plan)),
    ...guests.map((guest) => guestRow(call, guest)),
    ...poolRows(call),
    ...membersOf(state).flatMap((plan) => [...storageRows(call, plan), ...networkRows(call, plan)]),
  ];
  const type = call.query.get("type");
  return type === null ? rows : rows.filter((row) => TYPES_OF_FILTER[type]?.includes(row.type) ?? false);
}

const TYPES_OF_FILTER: Readonly<Record<string, readonly string[]>> = {
  vm: ["qemu", "lxc"],
  node: ["node"],
  storage: ["storage"],
  sdn: ["sdn"],
  network: ["network"],
};

function nodeRow({ state, asked, rights }: Call, plan: NodePlan) {
  const { name, level, cores, memoryBytes, rootBytes } = plan;
  const online = sees(state.nodes, asked.name, name);
  const known = { id: `node/${name}`, type: "node", node: name, status: online ? "online" : "offline" };
  const told = lastBroadcast(state, name);
  if (!rights.can("Sys.Audit", `/nodes/${name}`)) return { ...known, level };
  if (told === undefined) return known;
  const { cpu, mem, disk, uptime } = nodeStatistics(state, plan, told);
  return {
    ...known,
    level,
    maxcpu: cores,
    maxmem: memoryBytes,
    maxdisk: rootBytes,
    ...(online && { cpu, mem, disk, uptime }),
    "cgroup-mode": 2,
    ...(asked.release === 9 && { "host-arch": "x86_64" }),
    ...(usesHa(state) && { hastate: state.nodes.get(name)?.crm }),
  };
}

export const usesHa = ({ inventory }: PveState): boolean =>
  inventory.guests.some(({ ha }) => ha !== undefined);

function guestRow({ state, asked }: Call, guest: Readonly<WorldGuest>) {
  const { plan, node, runs, service, target } = guest;
  const known = { id: plan.id, type: plan.type, vmid: plan.vmid, node };
  const hastate = service ?? plan.ha;
  const set = {
    ...(plan.pool !== undefined && { pool: plan.pool }),
    ...(hastate !== undefined && { hastate }),
    ...(target !== undefined && { lock: "migrate" }),
    ...(plan.tags !== undefined && { tags: plan.tags }),
  };
  const told = lastBroadcast(state, node);
  if (told === undefined) return { ...known, ...set, status: "unknown" };
  const moving = runs ? guestStatistics(guest, told) : AT_REST;
  const { memhost, ...everywhere } = moving;
  const release = Math.min(asked.release, releaseOf(state, node));
  return {
    ...known,
    ...set,
    name: plan.name,
    status: runs ? "running" : "stopped",
    template: plan.template,
    maxcpu: plan.cpus,
    maxmem: plan.memoryBytes,
    maxdisk: plan.diskBytes,
    ...everywhere,
    ...(release === 9 && { memhost }),
  };
}

const AT_REST = {
  uptime: 0,
  cpu: 0,
  mem: 0,
  memhost: 0,
  disk: 0,
  netin: 0,
  netout: 0,
  diskread: 0,
  diskwrite: 0,
};

const releaseOf = ({ inventory }: PveState, node: string): number =>
  inventory.nodes.find(({ name }) => name === node)?.release ?? 9;

function poolRows({ state, rights }: Call) {
  const members = Map.groupBy(state.guests.values(), ({ plan }) => plan.pool);
  return [...members].flatMap(([pool, guests]) => {
    if (pool === undefined || !rights.can("Pool.Audit", `/pool/${pool}`)) return [];
    const known = { id: `/pool/${pool}`, type: "pool", pool };
    const running = guests.filter(({ node, runs }) => runs && lastBroadcast(state, node) !== undefined);
    if (running.length === 0) return [known];
    const moving = running.map((guest) => guestStatistics(guest, lastBroadcast(state, guest.node) ?? 0));
    const cpus = sum(running.map(({ plan }) => plan.cpus));
    return [
      {
        ...known,
        uptime: Math.max(...moving.map(({ uptime }) => uptime)),
        cpu: sum(running.map(({ plan }, i) => (moving[i]?.cpu ?? 0) * plan.cpus)) / cpus,
        maxcpu: cpus,
        mem: sum(moving.map(({ mem }) => mem)),
        maxmem: sum(running.map(({ plan }) => plan.memoryBytes)),
      },
    ];
  });
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function storageRows({ state, rights, random }: Call, { name }: NodePlan) {
  return state.inventory.storages.flatMap((plan) => {
    if (!rights.can("Datastore.Audit", `/storage/${plan.id}`)) return [];
    const { available, usedBytes } = storageOn(state, name, plan);
    const status = available && lastBroadcast(state, name) !== undefined ? "available" : "unknown";
    return [
      {
        id: `storage/${name}/${plan.id}`,
        type: "storage",
        storage: plan.id,
        node: name,
        plugintype: plan.type,
        content: plan.content.toSorted(() => random() - 0.5).join(","),
        shared: plan.shared,
        status,
        ...(status === "available" && { disk: usedBytes, maxdisk: plan.sizeBytes }),
      },
    ];
  });
}

const ZONES = ["localnetwork", "tenants"] as const;

function networkRows({ state, asked, rights }: Call, { name }: NodePlan) {
  const lost = !sees(state.nodes, asked.name, name);
  const zones = ZONES.filter((zone) => rights.can("SDN.Audit", `/sdn/zones/${zone}`));
  if (asked.release === 8) {
    return zones.map((zone) => {
      const status = zone === "localnetwork" ? "ok" : lost ? "error" : "available";
      return { id: `sdn/${name}/${zone}`, type: "sdn", sdn: zone, node: name, status };
    });
  }
  const rows = zones.map((zone) => ({
    id: `network/${name}/zone/${zone}`,
    type: "network",
    network: zone,
    node: name,
    "network-type": "zone",
    "zone-type": zone === "localnetwork" ? "localnetwork" : "vxlan",
    status: zone !== "localnetwork" && lost ? "unknown" : "ok",
  }));
  if (!rights.can("SDN.Audit", "/sdn/fabrics/ring")) return rows;
  const fabric = {
    id: `network/${name}/fabric/ring`,
    type: "network",
    network: "ring",
    node: name,
    "network-type": "fabric",
    protocol: "openfabric",
    status: lost ? "unknown" : "ok",
  };
  return [...rows, fabric];
}

/** /cluster/backup-info/not-backed-up */
export function notBackedUp(call: Call) {
  demand(call, "/", "Sys.Audit");
  return call.state.inventory.guests
    .filter(({ covered, template }) => !covered && !template)
    .map(({ vmid, type, name }) => ({ vmid, type, ...(vmid % 2 === 0 && { name }) }));
}

/** /cluster/config/qdevice */
export function qdevice(call: Call) {
  demand(call, "/", "Sys.Audit");
  if (call.state.inventory.nodes.length !== 2) return {};
  return {
    Model: "Net",
    Algorithm: "Fifty-Fifty split",
    "QNetd host": "192.0.2.9:5403",
    "Tie-breaker": "Node with lowest node ID",
    State: "Connected",
  };
}

/** /cluster/ceph/status: what `ceph -s` says. */
export function cephStatus(call: Call) {
  demand(call, "/", "Sys.Audit", "Datastore.Audit");
  const { state } = call;
  if (!hasCeph(state.size)) throw new Refusal(500, "binary not installed: /usr/bin/ceph-mon");
  const osds = [...state.inventory.drives].flatMap(([node, drives]) =>
    drives.flatMap(({ osds, sizeBytes }) => osds.map(() => ({ node, sizeBytes }))),
  );
  const up = osds.filter(({ node }) => state.nodes.get(node)?.lostMs === undefined);
  const down = osds.length - up.length;
  const checks = {
    ...(down > 0 && {
      OSD_DOWN: { severity: "HEALTH_WARN", summary: { message: `${down} osds down`, count: down } },
    }),
    ...(2 * up.length < osds.length && {
      PG_AVAILABILITY: {
        severity: "HEALTH_ERR",
        summary: { message: "Reduced data availability", count: 12 },
      },
    }),
  };
  const total = sum(osds.map(({ sizeBytes }) => sizeBytes));
  const used = Math.floor(total * 0.35);
  return {
    fsid: "5d1f8f8e-6a3c-4a49-9a0e-3f9b6c1d2e40",
    health: {
      status: "PG_AVAILABILITY" in checks ? "HEALTH_ERR" : down > 0 ? "HEALTH_WARN" : "HEALTH_OK",
      checks,
      mutes: [],
    },
    osdmap: { epoch: 4711, num_osds: osds.length, num_up_osds: up.length, num_in_osds: osds.length },
    pgmap: { bytes_total: total, bytes_used: used, bytes_avail: total - used, num_pgs: 129 },
  };
}
