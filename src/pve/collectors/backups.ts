/**
 * The backups of each guest, as the storages list them and as the nodes' tasks ended; read every 15 minutes. Needs
 * rights that PVEAuditor does not give: Datastore.AllocateSpace on the storage, VM.Backup on the guest.
 */
import { StateLabel } from "../../metrics/states.ts";
import {
  BACKUP_LISTING,
  type BackupListing,
  backupRightMissing,
  type GuestBackups,
  readBackupListing,
  type StorageOnNode,
  together,
  VERIFICATIONS,
} from "../backup-listing.ts";
import { BACKUP_TASKS, later, readBackupTasks, type TaskEnd } from "../backup-tasks.ts";
import { type PveCollector, pveGauge, type Report, type Round } from "../contract.ts";
import { forEach } from "../each.ts";
import type { ResourceRow } from "../model.ts";
import type { SlowGet } from "../slow.ts";
import { booleanOf } from "../values.ts";

const LABELS = ["id", "storage"] as const;

const LAST = pveGauge(
  "pve_guest_last_backup_timestamp_seconds",
  "When the newest backup of the guest on the storage was made, as Unix time",
  LABELS,
);
const SIZE = pveGauge(
  "pve_guest_last_backup_size_bytes",
  "Size in bytes of the newest backup of the guest on the storage",
  LABELS,
);
const COUNT = pveGauge("pve_guest_backups", "Backups of the guest on the storage", LABELS);
const VERIFICATION = pveGauge(
  "pve_guest_last_backup_verification_state",
  "What a Proxmox Backup Server found in the newest backup, 1 for one of ok, failed and none (not verified), 0 for the others",
  [...LABELS, "state"],
);
const SUCCESS = pveGauge(
  "pve_guest_last_backup_success",
  "Whether the guest's last backup task of its own ended well, with or without warnings",
  ["id"],
);
const TASK_END = pveGauge(
  "pve_backup_task_last_end_timestamp_seconds",
  "When a backup task last ended so on the node within a week, as Unix time",
  ["node", "result"],
);
const LISTED = pveGauge(
  "pve_backup_listing_timestamp_seconds",
  "When the backups on the storage were last listed, as Unix time; node is empty for a shared storage",
  ["node", "storage"],
);

const INTERVAL_MS = 15 * 60_000;

export const BACKUPS: PveCollector = {
  name: "backups",
  help: "Age, size and verification of backups, and how backup tasks ended",
  scope: "node",
  defaults: { pve: undefined, metrics: false },
  descriptors: [LAST, SIZE, COUNT, VERIFICATION, SUCCESS, TASK_END, LISTED],
  always: [],
  async collect(round, report) {
    const [{ rows }, nodes] = await Promise.all([round.resources(), round.nodes()]);
    const guests = rows.filter(({ vmid }) => vmid !== undefined);
    await Promise.all([
      collectListings(round, report, guests, backupStorages(report, rows, nodes)),
      collectTasks(round, report, guests, nodes),
    ]);
  },
};

/** One that is not shared is another on each node. */
interface BackupStorage extends StorageOnNode {
  readonly isShared: boolean;
}

function backupStorages(
  report: Report,
  rows: readonly ResourceRow[],
  nodes: readonly string[],
): BackupStorage[] {
  const storages = new Map<string, BackupStorage>();
  for (const { type, node, fields } of rows) {
    const { storage: name, content, shared, status } = fields;
    if (type !== "storage" || typeof content !== "string" || !content.split(",").includes("backup")) continue;
    if (node === undefined || !nodes.includes(node)) continue;
    if (typeof name !== "string" || !STORAGE_NAME.test(name)) {
      report.lose("invalid");
      continue;
    }
    if (status !== "available") {
      report.leaveOut("unreachable");
      continue;
    }
    const storage = { name, node, isShared: booleanOf(shared) === true };
    const subject = subjectOf(storage);
    if (!storages.has(subject)) storages.set(subject, storage);
  }
  return [...storages.values()];
}

/** As it may stand in a URL. */
const STORAGE_NAME = /^[A-Za-z][A-Za-z0-9._-]*$/;

const subjectOf = ({ name, node, isShared }: BackupStorage): string => `${isShared ? "" : node}/${name}`;

/** Guests of whom the storage also says that there is nothing of them. */
const guestsOf = (
  { node, isShared }: BackupStorage,
  guests: readonly ResourceRow[],
): readonly ResourceRow[] => (isShared ? guests : guests.filter((guest) => guest.node === node));

type StorageListing = BackupListing & { readonly storage: BackupStorage };

async function collectListings(
  { slow }: Round,
  report: Report,
  guests: readonly ResourceRow[],
  storages: readonly BackupStorage[],
): Promise<void> {
  const listings: StorageListing[] = [];
  await forEach(storages, report, async (storage) => {
    const vmids = guestsOf(storage, guests).flatMap(({ vmid }) => vmid ?? []);
    const read = (get: SlowGet) => readBackupListing(get, storage, vmids);
    const request = { intervalMs: INTERVAL_MS, read };
    const listing = await slow.read(BACKUP_LISTING, subjectOf(storage), request, report);
    if (listing === undefined) return;
    tellHidden(report, storage, listing.hidden);
    report.lose("invalid", listing.invalid);
    listings.push({ ...listing, storage });
  });
  for (const [name, ofName] of Map.groupBy(listings, ({ storage }) => storage.name))
    addListings(report, guests, name, ofName);
  for (const { subject, unixSeconds } of slow.made(BACKUP_LISTING)) {
    const [node = "", storage = ""] = subject.split("/");
    report.add(LISTED, { node, storage }, unixSeconds);
  }
}

/** One failure stands for all in the log. */
function tellHidden(report: Report, storage: BackupStorage, [first, ...others]: readonly number[]): void {
  if (first === undefined) return;
  report.failed(backupRightMissing(storage, "VM.Backup", `/vms/${first}`));
  report.lose("forbidden", others.length);
}

/** Backups stay on a local storage when the guest moves on: what lies under one name is counted together. */
function addListings(
  report: Report,
  guests: readonly ResourceRow[],
  storage: string,
  listings: readonly StorageListing[],
): void {
  const found = new Map<number, GuestBackups>();
  for (const backups of listings.flatMap((listing) => listing.guests))
    found.set(backups.vmid, together(found.get(backups.vmid), backups));
  const hidden = new Set(listings.flatMap((listing) => listing.hidden));
  const without = new Set(listings.flatMap((listing) => guestsOf(listing.storage, guests)));

  for (const guest of guests) {
    const { id, vmid = 0 } = guest;
    const backups = found.get(vmid);
    if (backups !== undefined) addBackups(report, { id, storage }, backups);
    else if (without.has(guest) && !hidden.has(vmid)) report.add(COUNT, { id, storage }, 0);
  }
}

const VERIFICATION_STATES = new StateLabel("state", VERIFICATIONS);

function addBackups(
  report: Report,
  labels: { readonly id: string; readonly storage: string },
  { count, ctime, size, verification }: GuestBackups,
): void {
  report.add(COUNT, labels, count);
  report.add(LAST, labels, ctime);
  if (size !== undefined) report.add(SIZE, labels, size);
  if (verification !== undefined)
    report.addStates(VERIFICATION, labels, VERIFICATION_STATES.only(verification));
}

async function collectTasks(
  { slow }: Round,
  report: Report,
  guests: readonly ResourceRow[],
  nodes: readonly string[],
): Promise<void> {
  const ends = new Map<number, TaskEnd>();
  await forEach(nodes, report, async (node) => {
    const read = (get: SlowGet) => readBackupTasks(get, node);
    const tasks = await slow.read(BACKUP_TASKS, node, { intervalMs: INTERVAL_MS, read }, report);
    if (tasks === undefined) return;
    report.lose("invalid", tasks.invalid);
    for (const { result, end } of tasks.last) report.add(TASK_END, { node, result }, end);
    for (const { vmid, ...ended } of tasks.guests) ends.set(vmid, later(ends.get(vmid), ended));
  });
  for (const { id, vmid = 0 } of guests) {
    const result = ends.get(vmid)?.result;
    if (result !== undefined) report.add(SUCCESS, { id }, result === "failed" ? 0 : 1);
  }
}
