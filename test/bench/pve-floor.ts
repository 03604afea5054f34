/**
 * The floor of /pve: JSON.parse of each body, and the same lines that plumbline gives, joined as plain strings in the
 * order in which the rows come. Nothing is asked, checked, ordered or escaped.
 */

/** Bodies by path. */
export type Bodies = ReadonlyMap<string, Uint8Array>;

const NODE_HA = ["fence", "gone", "maintenance", "online", "unknown"];
const GUEST_HA = [
  ...["error", "fence", "freeze", "migrate", "recovery", "relocate"],
  ...["request_start", "request_start_balance", "request_stop", "started", "stopped"],
];
const LOCKS = [
  ...["backup", "clone", "create", "migrate", "rollback"],
  ...["snapshot", "snapshot-delete", "suspended", "suspending"],
];
const SUBSCRIPTIONS = ["active", "expired", "invalid", "new", "notfound", "suspended"];

const VALUES: readonly (readonly [member: string, ...families: string[]])[] = [
  ["maxdisk", "pve_disk_size_bytes"],
  ["disk", "pve_disk_usage_bytes"],
  ["maxmem", "pve_memory_size_bytes"],
  ["mem", "pve_memory_usage_bytes"],
  ["cpu", "pve_cpu_usage_ratio"],
  ["maxcpu", "pve_cpu_usage_limit"],
  ["uptime", "pve_uptime_seconds"],
  ["shared", "pve_storage_shared"],
  ["netout", "pve_network_transmit_bytes_total", "pve_network_transmit_bytes"],
  ["netin", "pve_network_receive_bytes_total", "pve_network_receive_bytes"],
  ["diskwrite", "pve_disk_written_bytes_total", "pve_disk_write_bytes"],
  ["diskread", "pve_disk_read_bytes_total", "pve_disk_read_bytes"],
];

/** `metadata`: the HELP and TYPE lines of a family. What is asked is the node pve1 of a cluster without a QDevice. */
export function plainText(bodies: Bodies, metadata: (family: string) => string): Uint8Array {
  const answers = new Map([...bodies].map(([path, body]) => [path, JSON.parse(decoder.decode(body)).data]));
  const answer = (path: string) => answers.get(path);
  let text = "";
  const family = <T>(name: string, of: readonly T[], line: (entry: T) => string): void => {
    text += metadata(name);
    for (const entry of of) text += line(entry);
  };
  const states = (name: string, labels: string, label: string, names: readonly string[], state: string) => {
    let lines = "";
    for (const one of names) lines += `${name}{${labels},${label}="${one}"} ${one === state ? 1 : 0}\n`;
    return lines;
  };

  const members = answer("/cluster/status");
  const rows = answer("/cluster/resources");
  const guests = rows.filter(({ vmid }: Row) => vmid !== undefined);
  const storages = rows.filter(({ type }: Row) => type === "storage");
  const nodes = members.filter(({ type }: Row) => type === "node");
  const cluster = members.find(({ type }: Row) => type === "cluster");

  family("pve_up", members, ({ type, id, name, online, quorate }: Row) =>
    type === "cluster" ? `pve_up{id="cluster/${name}"} ${quorate}\n` : `pve_up{id="${id}"} ${online}\n`,
  );
  for (const { id, status } of guests) text += `pve_up{id="${id}"} ${status === "running" ? 1 : 0}\n`;
  for (const { id, status } of storages) text += `pve_up{id="${id}"} ${status === "available" ? 1 : 0}\n`;
  family("pve_node_info", nodes, ({ id, level, name, nodeid }: Row) => {
    return `pve_node_info{id="${id}",level="${level}",name="${name}",nodeid="${nodeid}"} 1\n`;
  });
  family("pve_cluster_info", [cluster], ({ name, nodes, quorate, version }: Row) => {
    return `pve_cluster_info{id="cluster/${name}",nodes="${nodes}",quorate="${quorate}",version="${version}"} 1\n`;
  });

  for (const [member, ...families] of VALUES) {
    for (const name of families) {
      text += metadata(name);
      for (const row of rows) {
        const value = row[member];
        if (value !== undefined) text += `${name}{id="${row.id}"} ${value}\n`;
      }
    }
  }
  family("pve_ha_state", rows, ({ type, id, vmid, hastate }: Row) => {
    const of = type === "node" ? NODE_HA : vmid === undefined ? undefined : GUEST_HA;
    return of === undefined ? "" : states("pve_ha_state", `id="${id}"`, "state", of, hastate);
  });
  family("pve_lock_state", guests, ({ id, lock }: Row) =>
    states("pve_lock_state", `id="${id}"`, "state", LOCKS, lock),
  );
  family("pve_guest_info", guests, ({ id, name, node, tags = "", template, type }: Row) => {
    return `pve_guest_info{id="${id}",name="${name}",node="${node}",tags="${tags}",template="${template}",type="${type}"} 1\n`;
  });
  family("pve_storage_info", storages, ({ id, content, node, plugintype, storage }: Row) => {
    const sorted = content.split(",").sort().join(",");
    return `pve_storage_info{id="${id}",content="${sorted}",node="${node}",plugintype="${plugintype}",storage="${storage}"} 1\n`;
  });

  family("pve_version_info", [answer("/version")], ({ release, repoid, version }: Row) => {
    return `pve_version_info{release="${release}",repoid="${repoid}",version="${version}"} 1\n`;
  });
  const uncovered = answer("/cluster/backup-info/not-backed-up");
  family("pve_not_backed_up_total", [cluster], ({ name }: Row) => {
    return `pve_not_backed_up_total{id="cluster/${name}"} ${uncovered.length}\n`;
  });
  family("pve_not_backed_up_info", uncovered, ({ type, vmid }: Row) => {
    return `pve_not_backed_up_info{id="${type}/${vmid}"} 1\n`;
  });
  const subscription = [answer("/nodes/pve1/subscription")];
  family("pve_subscription_info", subscription, ({ level }: Row) => {
    return `pve_subscription_info{id="node/pve1",level="${level}"} 1\n`;
  });
  family("pve_subscription_status", subscription, ({ status }: Row) =>
    states("pve_subscription_status", 'id="node/pve1"', "status", SUBSCRIPTIONS, status),
  );
  family("pve_subscription_next_due_timestamp_seconds", subscription, ({ nextduedate }: Row) => {
    const due = new Date(`${nextduedate}T00:00`).getTime() / 1000;
    return `pve_subscription_next_due_timestamp_seconds{id="node/pve1"} ${due}\n`;
  });

  const jobs = answer("/nodes/pve1/replication");
  for (const [member, name] of [
    ["duration", "pve_replication_duration_seconds"],
    ["last_sync", "pve_replication_last_sync_timestamp_seconds"],
    ["last_try", "pve_replication_last_try_timestamp_seconds"],
    ["next_sync", "pve_replication_next_sync_timestamp_seconds"],
    ["fail_count", "pve_replication_failed_syncs"],
  ] as const)
    family(name, jobs, (job: Row) =>
      job[member] === undefined ? "" : `${name}{id="${job.id}"} ${job[member]}\n`,
    );
  family("pve_replication_info", jobs, ({ id, vmtype, guest, source, target, type }: Row) => {
    return `pve_replication_info{id="${id}",guest="${vmtype}/${guest}",source="node/${source}",target="node/${target}",type="${type}"} 1\n`;
  });
  text += metadata("pve_onboot_status");
  for (const [path, config] of answers) {
    const [, node, type, vmid] = /^\/nodes\/(.+)\/(qemu|lxc)\/(\d+)\/config$/.exec(path) ?? [];
    if (vmid !== undefined && config.onboot !== undefined)
      text += `pve_onboot_status{id="${type}/${vmid}",node="${node}",type="${type}"} ${config.onboot}\n`;
  }
  return new TextEncoder().encode(text);
}

/** The floor believes whatever it reads: JSON.parse says nothing of types, and all of it becomes text. */
type Row = Readonly<
  Record<
    | "content"
    | "duration"
    | "fail_count"
    | "guest"
    | "hastate"
    | "id"
    | "last_sync"
    | "last_try"
    | "level"
    | "lock"
    | "name"
    | "next_sync"
    | "nextduedate"
    | "node"
    | "nodeid"
    | "nodes"
    | "online"
    | "plugintype"
    | "quorate"
    | "release"
    | "repoid"
    | "source"
    | "status"
    | "storage"
    | "tags"
    | "target"
    | "template"
    | "type"
    | "version"
    | "vmid"
    | "vmtype",
    string
  >
>;

const decoder = new TextDecoder();
