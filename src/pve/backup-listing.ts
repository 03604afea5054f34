/** The backups that lie on one storage, by guest: /nodes/NODE/storage/STORAGE/content, less what need not be kept. */
import * as v from "valibot";
import { PveFailure } from "./failure.ts";
import { InvalidCount } from "./invalid-count.ts";
import { PERMISSIONS_PATH, Permissions } from "./permissions.ts";
import { type SlowGet, SlowKind } from "./slow.ts";
import { isRow, numberOf, type Row, rowsOf, vmidOf } from "./values.ts";

/** What there is of one guest on one storage. `size` and `verification` are those of the newest. */
export interface GuestBackups {
  readonly vmid: number;
  readonly count: number;
  /** Of the newest, in Unix seconds. */
  readonly ctime: number;
  readonly size?: number | undefined;
  /** Only a Proxmox Backup Server verifies. */
  readonly verification?: Verification | undefined;
}

export const VERIFICATIONS = ["ok", "failed", "none"] as const;
export type Verification = (typeof VERIFICATIONS)[number];

export interface BackupListing {
  readonly guests: readonly GuestBackups[];
  /** Guests whose backups are not shown to who asks. */
  readonly hidden: readonly number[];
  readonly invalid: number;
}

/** Who is asked for what. */
export interface StorageOnNode {
  readonly node: string;
  readonly name: string;
}

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const BACKUP_LISTING: SlowKind<BackupListing> = new SlowKind(
  "backup-listing",
  v.object({
    guests: v.array(
      v.object({
        vmid: v.number(),
        count: Count,
        ctime: v.number(),
        size: v.optional(v.number()),
        verification: v.optional(v.picklist(VERIFICATIONS)),
      }),
    ),
    hidden: v.array(v.number()),
    invalid: Count,
  }),
);

const MAX_BYTES = 32 * 1024 ** 2;

/**
 * What is not allowed is left out of the list without a word, so that rights are looked up: without them nothing there
 * says nothing. `vmids` are the guests that there are.
 */
export async function readBackupListing(
  get: SlowGet,
  storage: StorageOnNode,
  vmids: readonly number[],
): Promise<BackupListing> {
  const permissions = new Permissions(await get(PERMISSIONS_PATH));
  const onStorage = `/storage/${storage.name}`;
  if (!permissions.allows("Datastore.AllocateSpace", onStorage))
    throw backupRightMissing(storage, "Datastore.AllocateSpace", onStorage);
  const hidden = vmids.filter((vmid) => !permissions.allows("VM.Backup", `/vms/${vmid}`));
  if (hidden.length > 0 && hidden.length === vmids.length)
    throw backupRightMissing(storage, "VM.Backup", "/vms");

  const path = contentPath(storage);
  const options = { node: storage.node, maxBytes: MAX_BYTES };
  const invalid = new InvalidCount();
  const rows = rowsOf(await get(`${path}?content=backup`, options), path, invalid);
  const guests = new Map<number, GuestBackups>();
  for (const row of rows) {
    const backup = backupOf(row);
    if (backup === "invalid") invalid.lose("invalid");
    else if (backup !== undefined) guests.set(backup.vmid, together(guests.get(backup.vmid), backup));
  }
  return { guests: [...guests.values()], hidden, invalid: invalid.count };
}

export function backupRightMissing(
  { node, name }: StorageOnNode,
  privilege: string,
  path: string,
): PveFailure {
  const message = `${privilege} on ${path} is missing: backups are not listed without`;
  return new PveFailure("forbidden", contentPath({ node, name }), message, { missing: { privilege, path } });
}

const contentPath = ({ node, name }: StorageOnNode): string => `/nodes/${node}/storage/${name}/content`;

/** Undefined for one of no guest. */
function backupOf(row: Row): GuestBackups | undefined | "invalid" {
  if (row["vmid"] === undefined || row["vmid"] === null || row["vmid"] === "") return undefined;
  const [vmid, ctime, size] = [vmidOf(row["vmid"]), numberOf(row["ctime"]), numberOf(row["size"])];
  if (vmid === undefined || typeof ctime !== "number") return "invalid";
  const isVerifiable = typeof row["format"] === "string" && row["format"].startsWith("pbs-");
  return {
    vmid,
    count: 1,
    ctime,
    ...(typeof size === "number" && { size }),
    ...(isVerifiable && { verification: verificationOf(row["verification"]) }),
  };
}

function verificationOf(verification: unknown): Verification {
  const state = isRow(verification) ? verification["state"] : undefined;
  return state === "ok" || state === "failed" ? state : "none";
}

export function together(known: GuestBackups | undefined, more: GuestBackups): GuestBackups {
  if (known === undefined) return more;
  return { ...(more.ctime > known.ctime ? more : known), count: known.count + more.count };
}
