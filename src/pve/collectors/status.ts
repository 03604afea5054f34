/** Whether the cluster is quorate, nodes are online, guests run and storages can be used, from the shared calls. */
import { type PveCollector, pveGauge, type Report, type Round } from "../contract.ts";
import { forEach } from "../each.ts";
import { countOdd } from "../values.ts";

const UP = pveGauge("pve_up", "Node/VM/CT-Status is online/running", ["id"]);

export const STATUS: PveCollector = {
  name: "status",
  help: "Whether cluster, nodes, guests and storages are up",
  scope: "cluster",
  defaults: { pve: true, metrics: true },
  descriptors: [UP],
  always: [UP],
  async collect(round, report) {
    const found: Up[] = [];
    await forEach([upOfMembers, upOfResources], report, async (upOf) => {
      found.push(...(await upOf(round, report)));
    });
    for (const { id, isUp } of found.sort((a, b) => (a.id < b.id ? -1 : 1)))
      report.add(UP, { id }, isUp ? 1 : 0);
  },
};

interface Up {
  readonly id: string;
  readonly isUp: boolean;
}

async function upOfMembers(round: Round, report: Report): Promise<readonly Up[]> {
  const status = await round.status();
  countOdd(report, status);
  const { cluster, nodes } = status;
  const up: Up[] = nodes.map(({ name, isOnline }) => ({ id: `node/${name}`, isUp: isOnline }));
  if (cluster?.quorate !== undefined) up.push({ id: `cluster/${cluster.name}`, isUp: cluster.quorate });
  return up;
}

async function upOfResources(round: Round, report: Report): Promise<readonly Up[]> {
  const resources = await round.resources();
  countOdd(report, resources);
  return resources.rows.flatMap(({ type, id, fields: { status } }) => {
    if (status === undefined || status === null) return [];
    switch (type) {
      case "qemu":
      case "lxc":
        return { id, isUp: status === "running" };
      case "storage":
        return { id, isUp: status === "available" };
      default:
        return [];
    }
  });
}
