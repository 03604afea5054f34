/** File systems of running VMs as their guest agent tells them, from /nodes/NODE/qemu/VMID/agent/get-fsinfo. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEach } from "../each.ts";
import { PveFailure } from "../failure.ts";
import { addNumber, isRow, labelOf, type Row, rowOf, rowsOf } from "../values.ts";

const LABELS = ["id", "node", "name", "disk", "mountpoint", "fstype"] as const;

const SIZE = pveGauge("pve_qga_fs_size_bytes", "Size in bytes of the file system in the guest", LABELS);
const USED = pveGauge("pve_qga_fs_used_bytes", "Used bytes of the file system in the guest", LABELS);

/** The node itself waits for longer than that where an agent is set up and does not run. */
const LIMIT_MS = 2000;

export const GUEST_FS: PveCollector = {
  name: "guest-fs",
  help: "File systems of VMs, from their guest agents",
  scope: "node",
  defaults: { pve: false, metrics: false },
  descriptors: [SIZE, USED],
  always: [],
  async collect(round, report) {
    const [{ rows }, nodes] = await Promise.all([round.resources(), round.nodes()]);
    const running = rows.filter(({ type, fields }) => type === "qemu" && fields["status"] === "running");
    await forEach(running, report, async ({ id, node, vmid }) => {
      if (node === undefined || !nodes.includes(node)) return;
      const path = `/nodes/${node}/qemu/${vmid}/agent/get-fsinfo`;
      try {
        const answer = rowOf(await round.get(path, { node, limitMs: LIMIT_MS }), path);
        addFileSystems(report, { id, node }, rowsOf(answer["result"], path, report));
      } catch (error) {
        if (hasNoAnswer(error) && performance.now() < round.end) report.leaveOut("timeout");
        else if (!hasNoAgent(error)) throw error;
      }
    });
  },
};

/** Which VM has an agent stands in its configuration alone: each is asked. */
const hasNoAgent = (error: unknown): boolean =>
  error instanceof PveFailure && error.status === 500 && error.reason !== "gone";

const hasNoAnswer = (error: unknown): boolean =>
  error instanceof PveFailure && error.reason === "timeout" && error.status === undefined;

function addFileSystems(
  report: Report,
  guest: { readonly id: string; readonly node: string },
  rows: readonly Row[],
): void {
  const seen = new Set<string>();
  for (const row of rows) {
    const labels = {
      ...guest,
      name: labelOf(report, row["name"]),
      disk: disksOf(report, row),
      mountpoint: labelOf(report, row["mountpoint"]),
      fstype: labelOf(report, row["type"]),
    };
    const key = JSON.stringify(labels);
    if (seen.has(key)) report.leaveOut("duplicate");
    else {
      addNumber(report, SIZE, labels, row["total-bytes"]);
      addNumber(report, USED, labels, row["used-bytes"]);
    }
    seen.add(key);
  }
}

/** `/dev/sdb,/dev/sdc` */
function disksOf(report: Report, { disk }: Row): string {
  if (!Array.isArray(disk)) return "";
  const devices = disk.filter(isRow).map(({ dev }) => labelOf(report, dev));
  const known = devices.filter((device) => device !== "").sort();
  return labelOf(report, known.join(","));
}
