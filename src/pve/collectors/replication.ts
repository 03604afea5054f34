/**
 * Replication jobs of the guests on each node: /nodes/NODE/replication. Each call takes a lock of the whole cluster,
 * waits for it up to ten seconds, and never gets it without quorum.
 */
import { type PveCollector, pveGauge, type Report, type Round } from "../contract.ts";
import { PveFailure } from "../failure.ts";
import { addNumber, guestIdOf, labelOf, nodeNameOf, type Row, rowsOf } from "../values.ts";

const DURATION = pveGauge("pve_replication_duration_seconds", "Proxmox vm replication duration", ["id"]);
const LAST_SYNC = pveGauge(
  "pve_replication_last_sync_timestamp_seconds",
  "Proxmox vm replication last_sync",
  ["id"],
);
const LAST_TRY = pveGauge("pve_replication_last_try_timestamp_seconds", "Proxmox vm replication last_try", [
  "id",
]);
const NEXT_SYNC = pveGauge(
  "pve_replication_next_sync_timestamp_seconds",
  "Proxmox vm replication next_sync",
  ["id"],
);
const FAILED_SYNCS = pveGauge("pve_replication_failed_syncs", "Proxmox vm replication fail_count", ["id"]);
const INFO = pveGauge("pve_replication_info", "Proxmox vm replication info", [
  "id",
  "guest",
  "source",
  "target",
  "type",
]);

const FAMILIES = [DURATION, LAST_SYNC, LAST_TRY, NEXT_SYNC, FAILED_SYNCS, INFO];

export const REPLICATION: PveCollector = {
  name: "replication",
  help: "Replication jobs: their last and next runs and their failures",
  scope: "node",
  defaults: { pve: true, metrics: true },
  descriptors: FAMILIES,
  always: FAMILIES,
  async collect(round, report) {
    if (!(await hasQuorum(round))) return report.lose("no_quorum");
    const seen = new Set<string>();
    for (const node of await round.nodes()) {
      const path = `/nodes/${node}/replication`;
      try {
        for (const job of rowsOf(await round.get(path, { node, isFirst: true }), path, report))
          addJob(report, job, seen);
      } catch (error) {
        report.failed(error);
      }
    }
  },
};

/** Where nobody says, the calls will tell. */
async function hasQuorum(round: Round): Promise<boolean> {
  try {
    return (await round.status()).cluster?.quorate !== false;
  } catch (error) {
    if (error instanceof PveFailure) return true;
    throw error;
  }
}

function addJob(report: Report, row: Row, seen: Set<string>): void {
  const job = jobOf(row);
  if (job === undefined) report.lose("invalid");
  // A guest on its way to another node is on both lists for a moment.
  else if (seen.has(job.id)) report.leaveOut("duplicate");
  else {
    const { id } = job;
    seen.add(id);
    report.add(INFO, { ...job, type: labelOf(report, row["type"]) }, 1);
    addNumber(report, DURATION, { id }, row["duration"]);
    addNumber(report, LAST_SYNC, { id }, row["last_sync"]);
    addNumber(report, LAST_TRY, { id }, row["last_try"]);
    addNumber(report, NEXT_SYNC, { id }, row["next_sync"]);
    addNumber(report, FAILED_SYNCS, { id }, row["fail_count"]);
  }
}

/** What is which job; undefined where it is none. */
function jobOf(row: Row) {
  const id = row["id"];
  const guest = guestIdOf(row["vmtype"], row["guest"]);
  const source = nodeNameOf(row["source"]);
  const target = nodeNameOf(row["target"]);
  return typeof id === "string" && JOB_ID.test(id) && guest && source && target
    ? { id, guest, source: `node/${source}`, target: `node/${target}` }
    : undefined;
}

/** VMID and number of the job. */
const JOB_ID = /^\d+-\d+$/;
