/** Sizes, use, traffic, locks and HA states of nodes, guests, storages and pools, from the shared /cluster/resources. */
import type { Descriptor } from "../../metrics/descriptor.ts";
import {
  type CollectorOptions,
  type PveCollector,
  type PveDescriptor,
  pveCounter,
  pveGauge,
  type Report,
} from "../contract.ts";
import { ListedStates } from "../listed-states.ts";
import type { ResourceRow } from "../model.ts";
import { countOdd, labelOf, numberOf } from "../values.ts";

type Gauge = PveDescriptor<"id", "gauge">;

const DISK_SIZE = pveGauge(
  "pve_disk_size_bytes",
  "Storage size in bytes (for type 'storage'), root image size for VMs (for types 'qemu' and 'lxc').",
  ["id"],
);
const DISK_USAGE = pveGauge(
  "pve_disk_usage_bytes",
  "Used disk space in bytes (for type 'storage'), used root image space for VMs (for types 'qemu' and 'lxc').",
  ["id"],
);
const MEMORY_SIZE = pveGauge(
  "pve_memory_size_bytes",
  "Number of available memory in bytes (for types 'node', 'qemu' and 'lxc').",
  ["id"],
);
const MEMORY_USAGE = pveGauge(
  "pve_memory_usage_bytes",
  "Used memory in bytes (for types 'node', 'qemu' and 'lxc').",
  ["id"],
);
const TRANSMITTED = pveCounter(
  "pve_network_transmit_bytes_total",
  "The amount of traffic in bytes that was sent from the guest over the network since it was started. (for types 'qemu' and 'lxc')",
  ["id"],
);
const RECEIVED = pveCounter(
  "pve_network_receive_bytes_total",
  "The amount of traffic in bytes that was sent to the guest over the network since it was started. (for types 'qemu' and 'lxc')",
  ["id"],
);
const WRITTEN = pveCounter(
  "pve_disk_written_bytes_total",
  "The amount of bytes the guest wrote to its block devices since the guest was started. This info is not available for all storage types. (for types 'qemu' and 'lxc')",
  ["id"],
);
const READ = pveCounter(
  "pve_disk_read_bytes_total",
  "The amount of bytes the guest read from its block devices since the guest was started. This info is not available for all storage types. (for types 'qemu' and 'lxc')",
  ["id"],
);
const CPU_USAGE = pveGauge("pve_cpu_usage_ratio", "CPU utilization (for types 'node', 'qemu' and 'lxc').", [
  "id",
]);
const CPU_LIMIT = pveGauge(
  "pve_cpu_usage_limit",
  "Number of available CPUs (for types 'node', 'qemu' and 'lxc').",
  ["id"],
);
const UPTIME = pveGauge(
  "pve_uptime_seconds",
  "Uptime of node or virtual guest in seconds (for types 'node', 'qemu' and 'lxc').",
  ["id"],
);
const SHARED = pveGauge("pve_storage_shared", "Whether or not the storage is shared among cluster nodes", [
  "id",
]);
const HA_STATE = pveGauge("pve_ha_state", "HA service status (for HA managed VMs).", ["id", "state"]);
const LOCK_STATE = pveGauge(
  "pve_lock_state",
  "The guest's current config lock (for types 'qemu' and 'lxc')",
  ["id", "state"],
);
const GUEST_INFO = pveGauge("pve_guest_info", "VM/CT info", [
  "id",
  "name",
  "node",
  "tags",
  "template",
  "type",
]);
const STORAGE_INFO = pveGauge("pve_storage_info", "Storage info", [
  "id",
  "content",
  "node",
  "plugintype",
  "storage",
]);

/** A gauge of the same value as the counter, under the name that it had before. */
const formerly = (name: string, { name: counter, help }: PveDescriptor<"id", "counter">): Gauge =>
  pveGauge(name, `${help} DEPRECATED: Use ${counter} instead.`, ["id"]);

/** Member of a row, whatever its type, and the families of its value. */
const VALUES: readonly {
  readonly member: string;
  readonly family: PveDescriptor<"id", "counter" | "gauge">;
  readonly formerly?: Gauge;
}[] = [
  { member: "maxdisk", family: DISK_SIZE },
  { member: "disk", family: DISK_USAGE },
  { member: "maxmem", family: MEMORY_SIZE },
  { member: "mem", family: MEMORY_USAGE },
  { member: "cpu", family: CPU_USAGE },
  { member: "maxcpu", family: CPU_LIMIT },
  { member: "uptime", family: UPTIME },
  { member: "shared", family: SHARED },
  { member: "netout", family: TRANSMITTED, formerly: formerly("pve_network_transmit_bytes", TRANSMITTED) },
  { member: "netin", family: RECEIVED, formerly: formerly("pve_network_receive_bytes", RECEIVED) },
  { member: "diskwrite", family: WRITTEN, formerly: formerly("pve_disk_write_bytes", WRITTEN) },
  { member: "diskread", family: READ, formerly: formerly("pve_disk_read_bytes", READ) },
];

/** What `pve.deprecated_gauges: false` leaves out. */
const DEPRECATED: readonly Descriptor[] = VALUES.flatMap(({ formerly }) => formerly ?? []);

const LASTING: readonly Descriptor[] = [
  ...VALUES.map(({ family }) => family),
  HA_STATE,
  LOCK_STATE,
  GUEST_INFO,
  STORAGE_INFO,
];

export const RESOURCES: PveCollector = {
  name: "resources",
  help: "Sizes, use, traffic, locks and HA states of nodes, guests, storages and pools",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [...LASTING, ...DEPRECATED],
  always: LASTING,
  async collect(round, report) {
    if (round.options.deprecatedGauges) for (const gauge of DEPRECATED) report.declare(gauge);
    const resources = await round.resources();
    countOdd(report, resources);
    for (const row of resources.rows) {
      addValues(report, row, round.options);
      if (row.type === "node")
        addState(report, HA_STATE, row.id, NODE_HA, row.fields["hastate"], round.options);
      else if (row.type === "storage") addStorage(report, row);
      else if (row.vmid !== undefined) addGuest(report, row, round.options);
    }
  },
};

function addValues(
  report: Report,
  { id, fields }: ResourceRow,
  { deprecatedGauges }: CollectorOptions,
): void {
  const labels = { id };
  for (const { member, family, formerly } of VALUES) {
    const value = numberOf(fields[member]);
    if (value === undefined) continue;
    if (value === "invalid") report.leaveOut("invalid");
    else {
      report.add(family, labels, value);
      if (formerly !== undefined && deprecatedGauges) report.add(formerly, labels, value);
    }
  }
}

/** Of the HA manager's node_status. */
const NODE_HA = new ListedStates("state", ["online", "maintenance", "unknown", "fence", "gone"]);
/** Of its service_status. */
const GUEST_HA = new ListedStates("state", [
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
]);
/** Of `lock` in a guest's configuration. */
const LOCKS = new ListedStates("state", [
  "backup",
  "clone",
  "create",
  "migrate",
  "rollback",
  "snapshot",
  "snapshot-delete",
  "suspended",
  "suspending",
]);

function addGuest(report: Report, { id, type, fields }: ResourceRow, options: CollectorOptions): void {
  const labels = {
    id,
    name: labelOf(report, fields["name"]),
    node: labelOf(report, fields["node"]),
    tags: labelOf(report, fields["tags"]),
    template: labelOf(report, fields["template"]),
    type,
  };
  report.add(GUEST_INFO, labels, 1);
  addState(report, HA_STATE, id, GUEST_HA, fields["hastate"], options);
  addState(report, LOCK_STATE, id, LOCKS, fields["lock"], options);
}

function addState(
  report: Report,
  family: PveDescriptor<"id" | "state", "gauge">,
  id: string,
  states: ListedStates<"state", string>,
  value: unknown,
  { zeroStates }: CollectorOptions,
): void {
  const state = states.nameOf(value);
  if (zeroStates) report.addStates(family, { id }, states.of(value));
  else if (state !== undefined) report.add(family, { id, state }, 1);
}

function addStorage(report: Report, { id, fields }: ResourceRow): void {
  const { content, node, plugintype, storage } = fields;
  const labels = {
    id,
    // It comes in any order.
    content: labelOf(report, typeof content === "string" ? content.split(",").sort().join(",") : content),
    node: labelOf(report, node),
    plugintype: labelOf(report, plugintype),
    storage: labelOf(report, storage),
  };
  report.add(STORAGE_INFO, labels, 1);
}
