/** What running guests cost their hosts in memory: `memhost` of /cluster/resources, from release 9 on. */
import { type PveCollector, pveGauge } from "../contract.ts";
import { numberOf } from "../values.ts";

const HOST_MEMORY = pveGauge(
  "pve_guest_memory_host_bytes",
  "Memory in bytes that the guest takes from its host, with what virtualisation itself needs",
  ["id"],
);

export const GUEST_MEMORY: PveCollector = {
  name: "guest-memory",
  help: "Memory that guests take from their hosts",
  scope: "cluster",
  defaults: { pve: false, metrics: true },
  descriptors: [HOST_MEMORY],
  always: [],
  async collect(round, report) {
    for (const { id, vmid, fields } of (await round.resources()).rows) {
      if (vmid === undefined) continue;
      const bytes = numberOf(fields["memhost"]);
      if (bytes === "invalid") report.leaveOut("invalid");
      // 0 is what containers and guests at rest have: not measured.
      else if (bytes !== undefined && bytes > 0) report.add(HOST_MEMORY, { id }, bytes);
    }
  },
};
