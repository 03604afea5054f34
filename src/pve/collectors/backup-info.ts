/** Guests that no backup job covers: /cluster/backup-info/not-backed-up. Whether a job succeeds, it does not say. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import type { ClusterStatus } from "../model.ts";
import { guestIdOf, type Row, rowsOf } from "../values.ts";

const TOTAL = pveGauge("pve_not_backed_up_total", "Total number of guests not covered by any backup job.", [
  "id",
]);
const INFO = pveGauge("pve_not_backed_up_info", "Present if guest is not covered by any backup job.", ["id"]);

const PATH = "/cluster/backup-info/not-backed-up";

export const BACKUP_INFO: PveCollector = {
  name: "backup-info",
  help: "Guests that no backup job covers",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [TOTAL, INFO],
  always: [TOTAL, INFO],
  async collect(round, report) {
    const guests = guestsOf(rowsOf(await round.get(PATH), PATH, report), report);
    for (const id of guests) report.add(INFO, { id }, 1);
    const id = idOf(await round.status());
    if (id !== undefined) report.add(TOTAL, { id }, guests.length);
  },
};

function guestsOf(rows: readonly Row[], report: Report): readonly string[] {
  const guests = new Set<string>();
  for (const { type, vmid } of rows) {
    const id = guestIdOf(type, vmid);
    if (id === undefined) report.lose("invalid");
    else if (guests.has(id)) report.leaveOut("duplicate");
    else guests.add(id);
  }
  return [...guests].sort();
}

/** Of whom the list is: the cluster, or the only node. */
function idOf({ cluster, nodes }: ClusterStatus): string | undefined {
  if (cluster !== undefined) return `cluster/${cluster.name}`;
  const local = nodes.find(({ isLocal }) => isLocal) ?? nodes[0];
  return local && `node/${local.name}`;
}
