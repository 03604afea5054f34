/** What lies on the storages of a simulated cluster: how full they are, backups, and the tasks that made those. */
import { chance } from "./pve-chance.ts";
import type { PveState } from "./pve-cluster.ts";
import type { GuestPlan, StoragePlan } from "./pve-inventory.ts";

const DAY = 24 * 3600;

export function storageOn(state: PveState, node: string, { id, usedShare, sizeBytes }: StoragePlan) {
  const now = state.storages.get(`${node}/${id}`);
  const share = now?.usedShare ?? usedShare + state.nowMs / 1000 / DAY / 1000;
  return { available: now?.available ?? true, usedBytes: Math.floor(sizeBytes * Math.min(1, share)) };
}

export interface Backup {
  readonly guest: GuestPlan;
  /** In Unix seconds. */
  readonly ctime: number;
  readonly sizeBytes: number;
  /** Undefined: nobody has verified it yet. */
  readonly verified: "ok" | "failed" | undefined;
}

/** How many each guest keeps. */
const KEPT = 3;
const VERIFIED_AFTER = 6 * 3600;

/** Each guest that a job covers is backed up at its own time every night, to the first storage for that. */
export function backupsOn(state: PveState, storage: string): Backup[] {
  const target = backupTarget(state);
  if (target?.id !== storage) return [];
  const { seed = 1 } = state.size;
  return state.inventory.guests.flatMap((guest) =>
    attempts(state, guest)
      .filter(({ failed }) => !failed)
      .slice(-KEPT)
      .map(({ ctime }) => ({
        guest,
        ctime,
        sizeBytes: Math.floor(guest.diskBytes * (0.3 + 0.1 * chance(seed, "backup", guest.vmid, ctime))),
        verified: verification(state, guest, ctime),
      })),
  );
}

/** PBS where there is one. */
export const backupTarget = ({ inventory }: PveState): StoragePlan | undefined =>
  inventory.storages.find(({ type }) => type === "pbs") ??
  inventory.storages.find(({ content }) => content.includes("backup"));

/** Of one guest all backups are broken that were verified. */
const verification = ({ unix }: PveState, { vmid }: GuestPlan, ctime: number): Backup["verified"] =>
  unix - ctime < VERIFIED_AFTER ? undefined : vmid % 50 === 7 ? "failed" : "ok";

interface Attempt {
  readonly ctime: number;
  readonly failed: boolean;
}

/** The nightly attempts that can still matter, oldest first: those of 30 days. */
function attempts(state: PveState, guest: GuestPlan): Attempt[] {
  if (!guest.covered) return [];
  const failures = state.failingBackups.get(guest.vmid) ?? [];
  const failedAt = (ctime: number) => {
    const ms = (ctime - state.sinceUnix) * 1000;
    return failures.some(({ fromMs, toMs }) => ms >= fromMs && ms < toMs);
  };
  const last = lastNight(state.unix, guest.vmid);
  const nights = failures.length > 0 ? 30 : KEPT;
  return Array.from({ length: nights }, (_, i) => last - (nights - 1 - i) * DAY).map((ctime) => {
    return { ctime, failed: failedAt(ctime) };
  });
}

/** From 01:00 UTC on. */
function lastNight(unix: number, vmid: number): number {
  const second = 3600 + ((vmid * 37) % (3 * 3600));
  return Math.floor((unix - second) / DAY) * DAY + second;
}

export interface BackupTask {
  /** Undefined: of a job for many guests. */
  readonly vmid: number | undefined;
  readonly starttime: number;
  /** Undefined: it runs. */
  readonly endtime: number | undefined;
  readonly status: string;
}

const JOB_SECONDS = 4 * 3600;

/** Of the vzdump tasks of a node those of the last week, newest first. */
export function backupTasksOn(state: PveState, node: string): BackupTask[] {
  const guests = [...state.guests.values()].filter((guest) => guest.node === node && guest.plan.covered);
  const [own, common] = [true, false].map((alone) => guests.filter(({ plan }) => plan.ownJob === alone));
  const failed = (vmid: number, atUnix: number) => {
    const ms = (atUnix - state.sinceUnix) * 1000;
    return (state.failingBackups.get(vmid) ?? []).some(({ fromMs, toMs }) => ms >= fromMs && ms < toMs);
  };
  const week = [0, 1, 2, 3, 4, 5, 6];
  const single = (own ?? []).flatMap(({ plan: { vmid } }) =>
    week.map((day): BackupTask => {
      const starttime = lastNight(state.unix, vmid) - day * DAY;
      const status = failed(vmid, starttime) ? "command 'vzdump' failed: exit code 1" : oddStatus(vmid, day);
      return taskOf(state, vmid, starttime, 60 + (vmid % 300), status);
    }),
  );
  const night = Math.floor((state.unix - 3600) / DAY) * DAY + 3600;
  const job = week.map((day): BackupTask => {
    const starttime = night - day * DAY;
    const broken = (common ?? []).some(({ plan: { vmid } }) => failed(vmid, starttime + JOB_SECONDS / 2));
    return taskOf(state, undefined, starttime, JOB_SECONDS, broken ? "job errors" : "OK");
  });
  const jobs = common === undefined || common.length === 0 ? [] : job;
  return [...single, ...jobs].toSorted((a, b) => b.starttime - a.starttime);
}

const oddStatus = (vmid: number, day: number): string =>
  vmid % 16 === 3 && day === 0 ? "WARNINGS: 1" : "OK";

function taskOf(
  { unix }: PveState,
  vmid: number | undefined,
  starttime: number,
  lasts: number,
  status: string,
): BackupTask {
  const endtime = starttime + lasts;
  return { vmid, starttime, endtime: endtime <= unix ? endtime : undefined, status };
}
