/**
 * Drives of each node, from /nodes/NODE/disks/list: which there are, in every scrape, and their health and wear, which
 * take smartctl, wake drives that sleep, and so are a slow reading.
 */
import * as v from "valibot";
import { StateLabel } from "../../metrics/states.ts";
import { type PveCollector, pveGauge, type Report, type Round } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { PveFailure } from "../failure.ts";
import { SlowKind } from "../slow.ts";
import { addNumber, labelOf, numberOf, type Row, rowsOf } from "../values.ts";

const LABELS = ["node", "devpath"] as const;
const STATES = ["passed", "disabled", "unknown", "failed"] as const;

const HEALTH = pveGauge("pve_physical_disk_health", "1 if SMART PASSED, 0 otherwise", [
  ...LABELS,
  "model",
  "serial",
  "type",
]);
const HEALTH_STATE = pveGauge(
  "pve_physical_disk_health_state",
  "What SMART says of the disk, 1 for one of passed, disabled, unknown and failed, 0 for the rest",
  [...LABELS, "state"],
);
const WEAROUT = pveGauge("pve_physical_disk_wearout_remaining_ratio", "Wearout remaining 0.0–1.0", LABELS);
const SIZE = pveGauge("pve_physical_disk_size_bytes", "Disk size in bytes", LABELS);
const INFO = pveGauge("pve_physical_disk_info", "Disk info (always 1)", [
  ...LABELS,
  "model",
  "serial",
  "type",
  "used",
]);
const OSD = pveGauge("pve_physical_disk_osd", "Disk-to-OSD mapping (always 1, one per OSD)", [
  ...LABELS,
  "osd",
]);
const SMART_TIMESTAMP = pveGauge(
  "pve_physical_disk_smart_timestamp_seconds",
  "When the node's disks were last asked for their health, as unix timestamp",
  ["node"],
);

export const PHYSICAL_DISKS: PveCollector = {
  name: "physical-disks",
  help: "Disks of nodes, their health and wear",
  scope: "node",
  defaults: { pve: false, metrics: true },
  descriptors: [HEALTH, HEALTH_STATE, WEAROUT, SIZE, INFO, OSD, SMART_TIMESTAMP],
  always: [],
  async collect(round, report) {
    const { smartIntervalMs, excludeNodes } = round.options.physicalDisks;
    try {
      await forEachNode(round, report, async (node) => {
        if (excludeNodes.includes(node)) return;
        if (smartIntervalMs === 0) await addAllOf(round, report, node);
        else await addOf(round, report, node, smartIntervalMs);
      });
    } finally {
      // Also of nodes that are not there any more, so that an alert sees how old their readings have become.
      for (const { subject, unixSeconds } of round.slow.made(SMART))
        report.add(SMART_TIMESTAMP, { node: subject }, unixSeconds);
    }
  },
};

const pathOf = (node: string): string => `/nodes/${node}/disks/list`;

/** Everything in one call. */
async function addAllOf(round: Round, report: Report, node: string): Promise<void> {
  const rows = rowsOf(await round.get(pathOf(node), { node }), pathOf(node), report);
  for (const disk of disksOf(report, rows)) {
    addDisk(report, node, disk);
    addHealth(report, node, disk, healthOf(disk));
  }
  report.add(SMART_TIMESTAMP, { node }, Date.now() / 1000);
}

async function addOf(
  round: Round,
  report: Report,
  node: string,
  smartIntervalMs: number | "never",
): Promise<void> {
  const path = pathOf(node);
  const disks = disksOf(report, rowsOf(await round.get(`${path}?skipsmart=1`, { node }), path, report));
  for (const disk of disks) addDisk(report, node, disk);
  if (smartIntervalMs === "never") return;
  const request = {
    intervalMs: smartIntervalMs,
    about: disks.map(({ identity }) => identity),
    read: async (get: Round["get"]) => healthsOf(await get(path, { node }).catch(throwTimeout), path),
  };
  const healths = await round.slow.read(SMART, node, request, report);
  const byIdentity = new Map(healths?.map((health) => [health.identity, health]));
  for (const disk of disks) {
    const health = byIdentity.get(disk.identity);
    if (health !== undefined) addHealth(report, node, disk, health);
  }
}

interface Disk {
  readonly devpath: string;
  readonly model: string;
  readonly serial: string;
  readonly type: string;
  /** Of devpath, model and serial: devpaths move between boots, and serials may repeat. */
  readonly identity: string;
  readonly row: Row;
}

function disksOf(report: Pick<Report, "leaveOut" | "lose">, rows: readonly Row[]): readonly Disk[] {
  const disks = new Map<string, Disk>();
  for (const row of rows) {
    const devpath = trimmed(report, row["devpath"]);
    if (!devpath.startsWith("/dev/")) report.lose("invalid");
    else if (disks.has(devpath)) report.leaveOut("duplicate");
    else if (row["type"] !== "partition") disks.set(devpath, diskOf(report, devpath, row));
  }
  return [...disks.values()];
}

function diskOf(report: Pick<Report, "leaveOut">, devpath: string, row: Row): Disk {
  const model = trimmed(report, row["model"]);
  const serial = trimmed(report, row["serial"]);
  const type = trimmed(report, row["type"]);
  return { devpath, model, serial, type, identity: JSON.stringify([devpath, model, serial]), row };
}

function addDisk(report: Report, node: string, { devpath, model, serial, type, row }: Disk): void {
  const used = trimmed(report, row["used"]);
  report.add(INFO, { node, devpath, model, serial, type, used }, 1);
  addNumber(report, SIZE, { node, devpath }, row["size"]);
  for (const osd of osdsOf(report, row)) report.add(OSD, { node, devpath, osd: `osd.${osd}` }, 1);
}

/** Older releases know of one OSD on a disk, and say -1 where there is none. */
function osdsOf(report: Report, row: Row): ReadonlySet<number> {
  const list = row["osdid-list"];
  const ids = (Array.isArray(list) && list.length > 0 ? list : [row["osdid"]]).map(numberOf);
  const known = ids.filter((id): id is number => typeof id === "number" && Number.isInteger(id));
  report.leaveOut("invalid", ids.filter((id) => id !== undefined).length - known.length);
  return new Set(known.filter((id) => id >= 0));
}

/** What SMART says of one disk, as a slow reading keeps it. */
interface Health {
  readonly identity: string;
  readonly state: (typeof STATES)[number];
  /** 1 for a new one; null: it does not say. */
  readonly remaining: number | null;
  /** Members that could not be understood. */
  readonly invalid: number;
}

const SMART = new SlowKind<readonly Health[]>(
  "smart",
  v.array(
    v.object({
      identity: v.string(),
      state: v.picklist(STATES),
      remaining: v.nullable(v.number()),
      invalid: v.number(),
    }),
  ),
  // The drives are awake by then.
  120_000,
);

/** What is wrong with a row was already counted in that of the scrape. */
const SILENT: Pick<Report, "leaveOut" | "lose"> = { leaveOut() {}, lose() {} };

const healthsOf = (data: unknown, path: string): readonly Health[] =>
  disksOf(SILENT, rowsOf(data, path, SILENT)).map(healthOf);

function healthOf({ identity, row: { health, wearout } }: Disk): Health {
  const state = stateOf(health);
  const percent = wearout === "N/A" ? undefined : numberOf(wearout);
  return {
    identity,
    state: state ?? "unknown",
    // A drive past its rating says -12.
    remaining: typeof percent === "number" ? Math.min(Math.max(percent / 100, 0), 1) : null,
    invalid: (state === undefined ? 1 : 0) + (percent === "invalid" ? 1 : 0),
  };
}

/** Drives word their failures freely: whatever is not known to be something else is one. */
function stateOf(health: unknown): Health["state"] | undefined {
  if (health === undefined || health === null) return "unknown";
  if (typeof health !== "string") return undefined;
  switch (health.trim()) {
    case "PASSED":
    case "OK":
      return "passed";
    case "SMART Disabled":
      return "disabled";
    case "UNKNOWN":
    case "":
      return "unknown";
    default:
      return "failed";
  }
}

const HEALTH_STATES = new StateLabel("state", STATES);

function addHealth(report: Report, node: string, disk: Disk, { state, remaining, invalid }: Health): void {
  const { devpath, model, serial, type } = disk;
  report.add(HEALTH, { node, devpath, model, serial, type }, state === "passed" ? 1 : 0);
  report.addStates(HEALTH_STATE, { node, devpath }, HEALTH_STATES.only(state));
  if (remaining !== null) report.add(WEAROUT, { node, devpath }, remaining);
  report.leaveOut("invalid", invalid);
}

/** The queried node waits 30 s for another one's list, which its drives may well take. */
function throwTimeout(error: unknown): never {
  if (!(error instanceof PveFailure) || error.status !== 596) throw error;
  throw new PveFailure("timeout", error.path, `${error.path}: the health of the disks was not read in time`);
}

const trimmed = (report: Pick<Report, "leaveOut">, value: unknown): string => labelOf(report, value).trim();
