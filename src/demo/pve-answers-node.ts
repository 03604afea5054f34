/** What the simulated API answers for one node; but for its drives (pve-answers-disks.ts). */
import { demand, type NodeCall, Refusal } from "./pve-call.ts";
import type { GuestPlan } from "./pve-inventory.ts";
import { guestStatistics, nodeStatistics, pressureOf, rounded } from "./pve-statistics.ts";
import { backupsOn, backupTasksOn, storageOn } from "./pve-storage.ts";
import { isQuorate, type WorldGuest } from "./pve-world.ts";

/** The workers of a node that serve its API: each measures the CPU from one call to its next. */
const WORKERS = 3;

const secondsOf = ({ state }: NodeCall): number => state.nowMs / 1000;

/** /nodes/N/status */
export function nodeStatus(call: NodeCall) {
  const { node, state, random } = call;
  demand(call, `/nodes/${node.name}`, "Sys.Audit");
  const { cpu, mem, disk, swap, uptime, loadavg, iowait, ksm } = nodeStatistics(state, node, secondsOf(call));
  const { rootBytes, swapBytes, memoryBytes, boot, cores, release } = node;
  const firstCall = random() < 1 / WORKERS;
  return {
    loadavg: loadavg.map((load) => load.toFixed(2)),
    swap: { total: swapBytes, used: swap, free: swapBytes - swap },
    // Five of a hundred are root's own.
    rootfs: {
      total: rootBytes,
      used: disk,
      free: rootBytes - disk,
      avail: Math.floor(rootBytes * 0.95) - disk,
    },
    ksm: { shared: ksm },
    ...(boot !== undefined && {
      "boot-info": { mode: boot.mode, ...(boot.secureboot !== undefined && { secureboot: boot.secureboot }) },
    }),
    memory: {
      total: memoryBytes,
      used: mem,
      free: Math.floor((memoryBytes - mem) * 0.6),
      ...(release === 9 && { available: memoryBytes - mem }),
    },
    uptime,
    cpu: firstCall ? 0 : cpu,
    wait: firstCall ? 0 : iowait,
    idle: 0,
    cpuinfo: { cores, cpus: cores, sockets: 1, model: "Example CPU", mhz: "3400.000", hvm: "1" },
    kversion: "Linux 6.14.8-2-pve",
    "current-kernel": { sysname: "Linux", release: "6.14.8-2-pve", machine: "x86_64" },
    pveversion: release === 9 ? "pve-manager/9.2.2/b9984c6d90a4bd80" : "pve-manager/8.4.14/ec58e45e1bcdf2ac",
  };
}

/** /nodes/N/qemu, /nodes/N/lxc */
export const guestList = (type: GuestPlan["type"]) => (call: NodeCall) =>
  guestsHere(call)
    .filter(({ plan }) => plan.type === type && call.rights.can("VM.Audit", `/vms/${plan.vmid}`))
    .map((guest) => guestRow(guest, call));

const guestsHere = ({ state, node }: NodeCall): Readonly<WorldGuest>[] =>
  [...state.guests.values()].filter((guest) => guest.node === node.name);

function guestRow(guest: Readonly<WorldGuest>, call: NodeCall) {
  const { plan, runs } = guest;
  const seconds = secondsOf(call);
  const fixed = {
    vmid: plan.vmid,
    name: plan.name,
    status: runs ? "running" : "stopped",
    cpus: plan.cpus,
    maxmem: plan.memoryBytes,
    maxdisk: plan.diskBytes,
    ...(plan.type === "lxc" && { type: "lxc", swap: 0, maxswap: 512 * 1024 ** 2 }),
    ...(plan.template ? { template: 1 } : call.random() < 0.5 && { template: "" }),
    ...(plan.tags !== undefined && { tags: plan.tags }),
  };
  if (!runs) return { ...fixed, uptime: 0, cpu: 0, mem: 0, disk: 0, netin: 0, netout: 0 };
  const { memhost, ...moving } = guestStatistics(guest, seconds);
  if (call.node.release === 8) return { ...fixed, ...moving, pid: 1000 + plan.vmid };
  const pressure = Object.entries(pressureOf(guest, seconds));
  const told = pressure.map(([key, percent]) => [key, plan.type === "lxc" ? percent.toFixed(2) : percent]);
  return { ...fixed, ...moving, memhost, pid: 1000 + plan.vmid, ...Object.fromEntries(told) };
}

/** /nodes/N/{qemu,lxc}/ID/config */
export const guestConfig = (type: GuestPlan["type"]) => (call: NodeCall, id: string) => {
  demand(call, `/vms/${id}`, "VM.Audit");
  const plan = guestsHere(call).find(({ plan }) => plan.type === type && `${plan.vmid}` === id)?.plan;
  if (plan === undefined) {
    const folder = type === "qemu" ? "qemu-server" : "lxc";
    throw new Refusal(
      500,
      `Configuration file 'nodes/${call.node.name}/${folder}/${id}.conf' does not exist`,
    );
  }
  return {
    ...(type === "qemu" ? { name: plan.name, agent: plan.agent ? "1" : "0" } : { hostname: plan.name }),
    cores: plan.cpus,
    memory: `${plan.memoryBytes / 1024 ** 2}`,
    digest: "0f8a1b6c2d3e4f5061728394a5b6c7d8e9f00112",
    ...(plan.onboot !== undefined && { onboot: plan.onboot }),
    ...(plan.template && { template: 1 }),
    ...(plan.tags !== undefined && { tags: plan.tags }),
  };
};

const SYNC_SECONDS = 900;

/** /nodes/N/replication */
export function replication(call: NodeCall) {
  const { state, node, rights } = call;
  if (!isQuorate(state.nodes, node.name)) {
    throw new Refusal(500, "error during cfs-locked 'file-replication_cfg' operation: no quorum!");
  }
  return guestsHere(call)
    .filter(({ plan }) => plan.replicatesTo !== undefined && rights.can("VM.Audit", `/vms/${plan.vmid}`))
    .map((guest) => replicationJob(guest, call));
}

function replicationJob({ plan, node: source }: Readonly<WorldGuest>, { state }: NodeCall) {
  const target = source === plan.replicatesTo ? plan.node : (plan.replicatesTo ?? "");
  const job = {
    id: `${plan.vmid}-0`,
    type: "local",
    guest: plan.vmid,
    jobnum: 0,
    vmtype: plan.type,
    source,
    target,
    schedule: "*/15",
  };
  const last = Math.floor(state.unix / SYNC_SECONDS) * SYNC_SECONDS;
  if (plan.vmid % 30 === 21)
    return { ...job, disable: 1, last_sync: 0, last_try: 0, next_sync: 0, fail_count: 0 };
  if (plan.vmid % 30 === 26)
    return { ...job, last_sync: 0, last_try: 0, next_sync: last + SYNC_SECONDS, fail_count: 0 };
  const lostMs = state.nodes.get(target)?.lostMs;
  const duration = 2 + (plan.vmid % 10) + 0.512876;
  const well = { last_sync: last, last_try: last, next_sync: last + SYNC_SECONDS, duration, fail_count: 0 };
  if (lostMs === undefined) return { ...job, ...well };
  const before = Math.floor((state.sinceUnix + lostMs / 1000) / SYNC_SECONDS) * SYNC_SECONDS;
  const failures = (last - before) / SYNC_SECONDS;
  if (failures === 0) return { ...job, ...well };
  const error = `command '/usr/bin/ssh ... root@${target}' failed: exit code 255`;
  return {
    ...job,
    last_sync: before,
    last_try: last,
    next_sync: 0,
    duration: 3.1,
    fail_count: failures,
    error,
  };
}

/** /nodes/N/subscription */
export function subscription(call: NodeCall) {
  const { node, rights } = call;
  if (node.level === "") {
    const message = "There is no subscription key";
    return { status: "notfound", message, url: "https://www.proxmox.com/proxmox-ve/pricing" };
  }
  const known = { status: "active", level: node.level };
  if (!rights.can("Sys.Audit", `/nodes/${node.name}`)) return known;
  return {
    ...known,
    productname: "Proxmox VE Community",
    regdate: "2026-01-01 00:00:00",
    nextduedate: "2027-01-01",
  };
}

const DAY = 24 * 3600;

/** /nodes/N/certificates/info */
export function certificates({ state, node }: NodeCall) {
  const made = state.sinceUnix - 365 * DAY;
  const root = { filename: "pve-root-ca.pem", subject: "/CN=Proxmox Virtual Environment", years: 10 };
  const own = { filename: "pve-ssl.pem", subject: `/OU=PVE Cluster Node/CN=${node.name}.example`, years: 2 };
  const bought = { filename: "pveproxy-ssl.pem", subject: `/CN=${node.name}.example`, years: 1 + 10 / 365 };
  return [root, own, ...(node.nodeid === 1 ? [bought] : [])].map(({ filename, subject, years }) => ({
    filename,
    subject,
    issuer: filename === "pveproxy-ssl.pem" ? "/O=Example Trust/CN=R1" : "/CN=Proxmox Virtual Environment",
    notbefore: made,
    notafter: made + Math.round(years * 365) * DAY,
    fingerprint: Array.from({ length: 32 }, (_, i) =>
      ((i * 37 + node.nodeid) % 256).toString(16).padStart(2, "0"),
    )
      .join(":")
      .toUpperCase(),
    san: [`${node.name}.example`, node.ip],
    "public-key-bits": 4096,
    "public-key-type": "rsaEncryption",
    pem: "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
  }));
}

/** /nodes/N/storage */
export function storageList({ state, node, rights, random }: NodeCall) {
  return state.inventory.storages
    .filter(({ id }) => rights.can("Datastore.Audit", `/storage/${id}`))
    .map((plan) => {
      const { available, usedBytes } = storageOn(state, node.name, plan);
      const total = available ? plan.sizeBytes : 0;
      const used = available ? usedBytes : 0;
      return {
        storage: plan.id,
        type: plan.type,
        content: plan.content.toSorted(() => random() - 0.5).join(","),
        enabled: true,
        active: available,
        shared: plan.shared,
        total,
        used,
        avail: total - used,
        ...(available && { used_fraction: used / total }),
      };
    });
}

/** /nodes/N/storage/S/content: the backups of guests that one may back up. */
export function storageContent(call: NodeCall, storage: string) {
  const { state, rights, query, node } = call;
  const plan = state.inventory.storages.find(({ id }) => id === storage);
  if (plan === undefined) throw new Refusal(500, `storage '${storage}' does not exist`);
  demand(call, `/storage/${storage}`, "Datastore.Audit", "Datastore.AllocateSpace");
  if (!storageOn(state, node.name, plan).available) {
    throw new Refusal(500, `storage '${storage}' is not online`);
  }
  const wanted = query.get("content");
  if (wanted !== null && wanted !== "backup") return [];
  if (!rights.can("Datastore.AllocateSpace", `/storage/${storage}`)) return [];
  return backupsOn(state, storage)
    .filter(({ guest }) => rights.can("VM.Backup", `/vms/${guest.vmid}`))
    .map(({ guest, ctime, sizeBytes, verified }) => {
      const { vmid, type } = guest;
      const when = new Date(ctime * 1000).toISOString().replace(".000Z", "Z");
      const row = { vmid, ctime, size: sizeBytes, content: "backup", protected: false, subtype: type };
      const kind = type === "qemu" ? "vm" : "ct";
      if (plan.type !== "pbs") {
        const file = `vzdump-${type}-${vmid}-${when.replaceAll(/[-:]/g, "_")}.vma.zst`;
        return { ...row, volid: `${storage}:backup/${file}`, format: "vma.zst" };
      }
      const upid = `UPID:pbs:00000A1B:00000000:00000000:00000000:verify:${storage}:root@pam:`;
      return {
        ...row,
        volid: `${storage}:backup/${kind}/${vmid}/${when}`,
        format: `pbs-${kind}`,
        ...(verified !== undefined && { verification: { state: verified, upid } }),
      };
    });
}

/** /nodes/N/tasks: those of others only with Sys.Audit. */
export function tasks({ state, node, rights, query }: NodeCall) {
  const type = query.get("typefilter");
  if (!rights.can("Sys.Audit", `/nodes/${node.name}`) || (type !== null && type !== "vzdump")) return [];
  const since = Number(query.get("since") ?? 0);
  return backupTasksOn(state, node.name)
    .filter(({ starttime }) => starttime >= since)
    .slice(0, Number(query.get("limit") ?? 50))
    .map(({ vmid, starttime, endtime, status }) => ({
      upid: `UPID:${node.name}:0000BEEF:00000000:${starttime.toString(16).toUpperCase()}:vzdump:${vmid ?? ""}:root@pam:`,
      node: node.name,
      type: "vzdump",
      id: `${vmid ?? ""}`,
      user: "root@pam",
      starttime,
      ...(endtime !== undefined && { endtime, status }),
    }));
}

/** /nodes/N/rrddata: a row a minute; the newest is not filled yet. */
export function rrddata(call: NodeCall) {
  const { state, node, query } = call;
  demand(call, `/nodes/${node.name}`, "Sys.Audit");
  if (query.get("timeframe") === null) {
    throw new Refusal(400, "Parameter verification failed.", {
      timeframe: "property is missing and it is not optional",
    });
  }
  const last = Math.floor(state.unix / 60) * 60;
  return Array.from({ length: 70 }, (_, i) => last - (69 - i) * 60).map((time) => {
    if (time === last) return { time };
    const { cpu, mem, loadavg, iowait } = nodeStatistics(state, node, time - state.sinceUnix);
    const common = { time, cpu, iowait, loadavg: loadavg[0], memused: mem, memtotal: node.memoryBytes };
    if (node.release === 8) return common;
    return {
      ...common,
      memavailable: node.memoryBytes - mem,
      pressurecpusome: rounded(cpu * 8),
      pressureiosome: rounded(iowait * 300),
      pressureiofull: rounded(iowait * 250),
      pressurememorysome: 0,
      pressurememoryfull: 0,
    };
  });
}

/** /nodes/N/qemu/ID/agent/get-fsinfo */
export function fsinfo(call: NodeCall, id: string) {
  demand(call, `/vms/${id}`, call.node.release === 9 ? "VM.GuestAgent.Audit" : "VM.Monitor");
  const guest = guestsHere(call).find(({ plan }) => `${plan.vmid}` === id);
  if (guest === undefined) {
    throw new Refusal(
      500,
      `Configuration file 'nodes/${call.node.name}/qemu-server/${id}.conf' does not exist`,
    );
  }
  if (!guest.runs) throw new Refusal(500, `VM ${id} is not running`);
  if (!guest.plan.agent) throw new Refusal(500, "No QEMU guest agent configured");
  const bytes = guest.plan.diskBytes;
  const disk = [{ dev: "/dev/sda", "bus-type": "scsi", serial: "drive-scsi0" }];
  return {
    result: [
      {
        name: "sda1",
        mountpoint: "/",
        type: "ext4",
        "total-bytes": bytes,
        "used-bytes": Math.floor(bytes / 3),
        disk,
      },
      {
        name: "sda15",
        mountpoint: "/boot/efi",
        type: "vfat",
        "total-bytes": 109_395_456,
        "used-bytes": 6_186_496,
        disk,
      },
    ],
  };
}
