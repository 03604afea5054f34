/**
 * What Grafana's dashboard 10347, "Proxmox via Prometheus", asks: which metrics, of whom, and joined how. The panels'
 * titles are its own; `$instance` is the variable that it is narrowed by.
 */
export const VARIABLE = "label_values(pve_node_info, instance)";

const I = '{instance="$instance"}';
const OF_NODES = "and on(id) pve_node_info";
const OF_GUESTS = 'and on(id, instance) pve_guest_info{template!="1"}';
const WITH_NAME = "* on(id, instance) group_left(name, type) pve_guest_info";
const RUNNING = "and on(id, instance) pve_up == 1";
const WITH_STORAGE = "* on(id, instance) group_left(storage, node) pve_storage_info";
const STORAGES = '{instance="$instance", id=~"storage/.+"}';
const CONTAINERS = '{instance="$instance", id=~"lxc/.+"}';

export const PANELS: readonly (readonly [title: string, ...queries: readonly string[]])[] = [
  [
    "Resource allocation summary",
    'sum by (id, name, type) (pve_guest_info{instance="$instance", template!="1"})',
    `sum by (id) (pve_up${I} ${OF_GUESTS})`,
    `sum by (id) (pve_cpu_usage_limit${I} ${OF_GUESTS})`,
    `sum by (id) (pve_memory_size_bytes${I} ${OF_GUESTS})`,
    `sum by (id) (pve_memory_usage_bytes${I} / pve_memory_size_bytes ${OF_GUESTS} and on(id) pve_up == 1)`,
    `sum by (id) (pve_disk_size_bytes${I} ${OF_GUESTS})`,
    `sum by (id) (pve_disk_usage_bytes${I} / pve_disk_size_bytes and on(id, instance) pve_guest_info{type="lxc"})`,
  ],
  ["CPU history", `pve_cpu_usage_ratio${I} ${OF_NODES}`],
  ["Current CPU", `pve_cpu_usage_ratio${I} / pve_cpu_usage_limit ${OF_NODES}`],
  [
    "CPUs",
    `sum(pve_cpu_usage_limit${I} ${OF_NODES})`,
    `sum(pve_cpu_usage_limit${I} ${OF_GUESTS})`,
    `sum(pve_cpu_usage_limit${I} ${OF_GUESTS} ${RUNNING})`,
  ],
  ["Memory history", `pve_memory_usage_bytes${I} ${OF_NODES}`, `pve_memory_size_bytes${I} ${OF_NODES}`],
  ["Current memory", `pve_memory_usage_bytes${I} / pve_memory_size_bytes ${OF_NODES}`],
  [
    "Memory",
    `sum(pve_memory_size_bytes${I} ${OF_NODES})`,
    `sum(pve_memory_usage_bytes${I} ${OF_NODES})`,
    `sum(pve_memory_size_bytes${I} ${OF_GUESTS} ${RUNNING})`,
  ],
  ["Guests CPU usage", `pve_cpu_usage_ratio${I} ${WITH_NAME} ${RUNNING}`],
  ["Guests memory usage", `pve_memory_usage_bytes${I} ${WITH_NAME} ${RUNNING}`],
  ["Storage usage", `pve_disk_usage_bytes${STORAGES} / pve_disk_size_bytes ${WITH_STORAGE}`],
  ["Space allocation", `pve_disk_size_bytes${STORAGES} ${WITH_STORAGE}`],
  [
    "LXC guests Disk usage",
    `pve_disk_usage_bytes${CONTAINERS} / pve_disk_size_bytes ${WITH_NAME} ${RUNNING}`,
  ],
  [
    "Network IO/s",
    `rate(pve_network_receive_bytes${I}[$__interval]) ${WITH_NAME}`,
    `rate(pve_network_transmit_bytes${I}[$__interval]) ${WITH_NAME}`,
  ],
  [
    "Disk IO/s",
    `rate(pve_disk_read_bytes${I}[$__interval]) ${WITH_NAME}`,
    `rate(pve_disk_write_bytes${I}[$__interval]) ${WITH_NAME}`,
  ],
];
