/** The collectors of Proxmox VE, in the order in which they are listed and documented. */
import { BACKUP_INFO } from "./collectors/backup-info.ts";
import { BACKUPS } from "./collectors/backups.ts";
import { CEPH } from "./collectors/ceph.ts";
import { CERTIFICATES } from "./collectors/certificates.ts";
import { CLUSTER } from "./collectors/cluster.ts";
import { CONFIG } from "./collectors/config.ts";
import { GUEST_FS } from "./collectors/guest-fs.ts";
import { GUEST_MEMORY } from "./collectors/guest-memory.ts";
import { HA_STATUS } from "./collectors/ha-status.ts";
import { NETWORK_STATE } from "./collectors/network-state.ts";
import { NODE } from "./collectors/node.ts";
import { NODE_RRD } from "./collectors/node-rrd.ts";
import { NODE_STATUS } from "./collectors/node-status.ts";
import { PHYSICAL_DISKS } from "./collectors/physical-disks.ts";
import { QDEVICE } from "./collectors/qdevice.ts";
import { REPLICATION } from "./collectors/replication.ts";
import { RESOURCES } from "./collectors/resources.ts";
import { STATUS } from "./collectors/status.ts";
import { STORAGE } from "./collectors/storage.ts";
import { SUBSCRIPTION } from "./collectors/subscription.ts";
import { VERSION } from "./collectors/version.ts";
import { VM_PRESSURE } from "./collectors/vm-pressure.ts";
import { ZFS } from "./collectors/zfs.ts";
import type { PveCollector } from "./contract.ts";

export const PVE_COLLECTORS: readonly PveCollector[] = [
  STATUS,
  NODE,
  CLUSTER,
  RESOURCES,
  VERSION,
  BACKUP_INFO,
  QDEVICE,
  SUBSCRIPTION,
  REPLICATION,
  CONFIG,
  NODE_STATUS,
  VM_PRESSURE,
  HA_STATUS,
  PHYSICAL_DISKS,
  GUEST_MEMORY,
  NETWORK_STATE,
  ZFS,
  CEPH,
  CERTIFICATES,
  BACKUPS,
  NODE_RRD,
  STORAGE,
  GUEST_FS,
];
