/** How the backups of the last week ended on one node: its vzdump tasks, less what need not be kept. */
import * as v from "valibot";
import { InvalidCount } from "./invalid-count.ts";
import { type SlowGet, SlowKind } from "./slow.ts";
import { numberOf, type Row, rowsOf, vmidOf } from "./values.ts";

export const TASK_RESULTS = ["ok", "warnings", "failed"] as const;
export type TaskResult = (typeof TASK_RESULTS)[number];

export interface TaskEnd {
  readonly result: TaskResult;
  /** In Unix seconds. */
  readonly end: number;
}

export interface BackupTasks {
  /** The last task of each result. */
  readonly last: readonly TaskEnd[];
  /** The last task of each guest that had one to itself. */
  readonly guests: readonly (TaskEnd & { readonly vmid: number })[];
  readonly invalid: number;
}

const END = { result: v.picklist(TASK_RESULTS), end: v.number() };

export const BACKUP_TASKS: SlowKind<BackupTasks> = new SlowKind(
  "backup-tasks",
  v.object({
    last: v.array(v.object(END)),
    guests: v.array(v.object({ ...END, vmid: v.number() })),
    invalid: v.number(),
  }),
);

const WEEK_SECONDS = 7 * 24 * 3600;

export async function readBackupTasks(get: SlowGet, node: string): Promise<BackupTasks> {
  const path = `/nodes/${node}/tasks`;
  const since = Math.floor(Date.now() / 1000) - WEEK_SECONDS;
  const invalid = new InvalidCount();
  const rows = rowsOf(
    await get(`${path}?typefilter=vzdump&since=${since}&limit=500`, { node }),
    path,
    invalid,
  );
  const last = new Map<TaskResult, TaskEnd>();
  const guests = new Map<number, TaskEnd & { readonly vmid: number }>();
  for (const row of rows) {
    const ended = endOf(row);
    if (ended === "invalid") invalid.lose("invalid");
    if (ended === undefined || ended === "invalid") continue;
    last.set(ended.result, later(last.get(ended.result), ended));
    // A task over many guests has no id, and only its log says how each fared.
    const vmid = vmidOf(row["id"]);
    if (vmid !== undefined) guests.set(vmid, later(guests.get(vmid), { ...ended, vmid }));
  }
  return { last: [...last.values()], guests: [...guests.values()], invalid: invalid.count };
}

/** Undefined for a task that runs. */
function endOf({ endtime, status }: Row): TaskEnd | undefined | "invalid" {
  const end = numberOf(endtime);
  if (end === undefined) return undefined;
  if (end === "invalid" || typeof status !== "string" || status === "") return "invalid";
  if (status === "OK") return { result: "ok", end };
  return { result: /^WARNINGS: \d+$/.test(status) ? "warnings" : "failed", end };
}

export const later = <End extends TaskEnd>(known: End | undefined, more: End): End =>
  known !== undefined && known.end >= more.end ? known : more;
