/** What the simulated API answers for the drives of a node and the pools on them. */
import { demand, demandOnAny, type NodeCall } from "./pve-call.ts";
import type { PveState } from "./pve-cluster.ts";
import type { DrivePlan } from "./pve-inventory.ts";

export interface Drive extends DrivePlan {
  readonly sleeps: boolean;
}

/** The drives of a node with what befell them. */
export const drivesOn = ({ inventory, drives }: PveState, node: string): Drive[] =>
  (inventory.drives.get(node) ?? []).map((plan) => {
    return { ...plan, sleeps: false, ...drives.get(`${node}/${plan.devpath}`) };
  });

/** /nodes/N/disks/list */
export function disksList(call: NodeCall) {
  const { state, node, query } = call;
  demandOnAny(call, ["/", `/nodes/${node.name}`], "Sys.Audit");
  const skipsmart = query.get("skipsmart") === "1";
  return drivesOn(state, node.name).map((drive) => diskRow(drive, skipsmart, node.release));
}

function diskRow(drive: Drive, skipsmart: boolean, release: 8 | 9) {
  const { devpath, type, rpm, vendor, model, serial, wwn, sizeBytes, gpt, used, osds } = drive;
  return {
    devpath,
    by_id_link: `/dev/disk/by-id/${type}-${serial}`,
    type,
    rpm,
    vendor,
    model,
    serial,
    wwn,
    size: sizeBytes,
    gpt,
    used,
    health: skipsmart ? "UNKNOWN" : drive.health,
    wearout: skipsmart ? "N/A" : (drive.remaining ?? "N/A"),
    osdid: osds[0] ?? -1,
    // In 8 older pve-storage does not know of drives with several OSDs.
    ...(release === 9 && { "osdid-list": osds.length > 0 ? osds : null }),
  };
}

/** /nodes/N/disks/zfs */
export function zfsPools(call: NodeCall) {
  demand(call, "/", "Sys.Audit");
  const drives = drivesOn(call.state, call.node.name);
  const pools = Map.groupBy(drives, ({ zfsPool }) => zfsPool);
  return [...pools].flatMap(([name, members]) => (name === undefined ? [] : [zfsPool(name, members)]));
}

function zfsPool(name: string, members: readonly Drive[]) {
  const failed = members.filter(({ health }) => !["PASSED", "OK", "UNKNOWN"].includes(health)).length;
  if (failed > members.length / 2) {
    return { name, size: 0, alloc: 0, free: 0, frag: 0, dedup: 0, health: "FAULTED" };
  }
  // A mirror.
  const size = Math.min(...members.map(({ sizeBytes }) => sizeBytes));
  const alloc = Math.floor(size * 0.47);
  const health = failed > 0 ? "DEGRADED" : "ONLINE";
  return { name, size, alloc, free: size - alloc, frag: 31, dedup: 1, health };
}
