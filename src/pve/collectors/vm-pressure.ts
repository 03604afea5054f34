/** Pressure stall information of running VMs and containers, from /nodes/NODE/qemu and /nodes/NODE/lxc; since release 9. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEach } from "../each.ts";
import { addPercentage } from "../percentage.ts";
import { type Row, rowsOf, vmidOf } from "../values.ts";

/** The name in the family, in its HELP, and in the member `pressure…` of a row. */
const RESOURCES = [
  ["cpu", "CPU"],
  ["memory", "Memory"],
  ["io", "I/O"],
] as const;

const familiesOf = (prefix: string, whose: string) =>
  RESOURCES.flatMap(([resource, title]) =>
    (["some", "full"] as const).map((share) => ({
      member: `pressure${resource}${share}`,
      family: pveGauge(
        `${prefix}_pressure_${resource}_${share}_ratio`,
        `${title} pressure${whose} (${share})`,
        ["id", "node"],
      ),
    })),
  );

const KINDS = [
  { type: "qemu", families: familiesOf("pve_vm", "") },
  { type: "lxc", families: familiesOf("pve_lxc", " of a container") },
] as const;
type Kind = (typeof KINDS)[number];

export const VM_PRESSURE: PveCollector = {
  name: "vm-pressure",
  help: "Pressure (PSI) of running VMs and containers; nothing on releases before 9",
  scope: "node",
  defaults: { pve: false, metrics: true },
  descriptors: KINDS.flatMap(({ families }) => families.map(({ family }) => family)),
  always: [],
  async collect(round, report) {
    if ((await round.release()).major < 9) return;
    const lists = (await round.nodes()).flatMap((node) => KINDS.map((kind) => ({ node, kind })));
    const running: Guest[] = [];
    await forEach(lists, report, async ({ node, kind }) => {
      // With `full=1` each VM's monitor would be asked, and one that is stuck hangs the call.
      const path = `/nodes/${node}/${kind.type}`;
      const rows = rowsOf(await round.get(path, { node }), path, report);
      running.push(...runningOf(report, node, kind, rows));
    });
    // Ordered once here, and not once for each family.
    for (const { labels, row, families } of running.sort((a, b) => (a.labels.id < b.labels.id ? -1 : 1)))
      for (const { member, family } of families) addPercentage(report, family, labels, row[member]);
  },
};

interface Guest extends Pick<Kind, "families"> {
  readonly labels: { readonly id: string; readonly node: string };
  readonly row: Row;
}

function runningOf(
  report: Report,
  node: string,
  { type, families }: Kind,
  rows: readonly Row[],
): readonly Guest[] {
  const running: Guest[] = [];
  const seen = new Set<number>();
  for (const row of rows) {
    const vmid = vmidOf(row["vmid"]);
    if (vmid === undefined) report.lose("invalid");
    else if (seen.has(vmid)) report.leaveOut("duplicate");
    else if (row["status"] === "running")
      running.push({ labels: { id: `${type}/${vmid}`, node }, row, families });
    if (vmid !== undefined) seen.add(vmid);
  }
  return running;
}
