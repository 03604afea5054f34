/** Whether guests start with their node: `onboot` of /nodes/NODE/{qemu,lxc}/ID/config, one call a guest. */
import { type PveCollector, pveGauge, type Report, type Round } from "../contract.ts";
import { forEach } from "../each.ts";
import type { ResourceRow } from "../model.ts";
import { addNumber, rowOf } from "../values.ts";

const ONBOOT = pveGauge("pve_onboot_status", "Proxmox vm config onboot value", ["id", "node", "type"]);

export const CONFIG: PveCollector = {
  name: "config",
  help: "Whether guests start with their node, one call a guest",
  scope: "node",
  defaults: { pve: true, metrics: true },
  descriptors: [ONBOOT],
  always: [ONBOOT],
  async collect(round, report) {
    const guests = (await round.resources()).rows.filter(isGuest);
    const { configGuestLimit = Number.POSITIVE_INFINITY } = round.options;
    if (guests.length > configGuestLimit) return report.leaveOut("limit", guests.length);
    const nodes = new Set(await round.nodes());
    const asked = guests.filter(({ node }) => nodes.has(node));
    await forEach(asked, report, (guest) => addOnboot(round, report, guest));
  },
};

interface Guest extends ResourceRow {
  readonly type: "qemu" | "lxc";
  readonly node: string;
}

const isGuest = (row: ResourceRow): row is Guest =>
  (row.type === "qemu" || row.type === "lxc") && row.node !== undefined;

async function addOnboot(round: Round, report: Report, { id, node, type }: Guest): Promise<void> {
  const path = `/nodes/${node}/${id}/config`;
  const { onboot } = rowOf(await round.get(path, { node }), path);
  addNumber(report, ONBOOT, { id, node, type }, onboot);
}
