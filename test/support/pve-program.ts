/** Serves a simulated Proxmox VE, asks it for everything, and prints what it told: the same under each runtime. */
import { PveApi } from "../../src/demo/pve-api.ts";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, AUDITOR_TOKEN } from "../../src/demo/pve-users.ts";
import { ask } from "./pve-asking.ts";

const PATHS = [
  ...["/version", "/access/permissions", "/cluster/status", "/cluster/resources", "/cluster/ceph/status"],
  ...["/cluster/backup-info/not-backed-up", "/cluster/config/qdevice", "/cluster/ha/resources"],
  ...[
    "/cluster/ha/status/manager_status",
    "/cluster/ha/status/current",
    "/nodes/pve1/status",
    "/nodes/pve2/qemu",
  ],
  ...[
    "/nodes/pve3/lxc",
    "/nodes/pve1/qemu/100/config",
    "/nodes/pve2/replication",
    "/nodes/pve1/subscription",
  ],
  ...[
    "/nodes/pve1/disks/list",
    "/nodes/pve1/disks/zfs",
    "/nodes/pve1/certificates/info",
    "/nodes/pve1/storage",
  ],
  ...["/nodes/pve1/tasks?typefilter=vzdump", "/nodes/pve1/rrddata?timeframe=hour"],
  ...["/nodes/pve1/qemu/100/agent/get-fsinfo", "/nodes/pve1/qemu/999/config", "/nodes/pve9/status", "/nope"],
];

const gone = { atMs: 0, kind: "node", condition: "offline" } as const;
const cluster = new PveCluster(
  { nodes: 4, guests: 40, storages: 6, release: "mixed" },
  { elapsed: () => 90_000, happenings: [{ ...gone, node: "pve4" }] },
);
const api = new PveApi(cluster, { users: [AUDITOR], knobs: { unauthorizedDelayMs: 0 } });
const base = await api.start();
const told = [];
for (const path of [...PATHS, "/nodes/pve4/status"]) {
  const { status, phrase, body } = await ask(base, path);
  told.push([path, status, phrase, body.toString()]);
}
const { status, phrase } = await ask(base, "/version", { headers: { authorization: `${AUDITOR_TOKEN}x` } });
told.push(["wrong token", status, phrase]);
await api.stop();
process.stdout.write(`${JSON.stringify(told)}\n`);
