/**
 * Speaks of a fault when it starts, every ten minutes while it lasts, and when it ends: never once a scrape. A fault
 * that comes and goes, or keeps changing its reason, gets a few lines in ten minutes and is counted after that.
 */
import * as v from "valibot";
import type { Log, LogFields, LogLevel } from "./log.ts";

const REPEAT_MS = 10 * 60_000;
/** How many lines one key may write within `REPEAT_MS`; what is left unsaid is in the next line's count. */
const LINES_PER_WINDOW = 6;
/** A key that nobody has spoken of for so long has vanished with its device; scrapes come more often than this. */
const FORGET_MS = 60 * 60_000;
/** More keys than any host has things that fail; the one not heard of for the longest goes first. */
const MAX_KEYS = 10_000;

interface Fault {
  failing: boolean;
  /** What the last line said: a recovery is owed as long as it said "failing". */
  announced: boolean;
  reason: LogFields[string];
  /** Failures since the fault started. */
  count: number;
  startedAt: number;
  /** Of the last line that said "failing". */
  announcedAt: number;
  heardAt: number;
  windowStart: number;
  windowLines: number;
}

/** What one process remembers for the next, where both have the same clock. */
export const SavedFaultsSchema = v.array(
  v.tuple([
    v.string(),
    v.object({
      failing: v.boolean(),
      announced: v.boolean(),
      reason: v.optional(v.union([v.string(), v.number(), v.boolean()])),
      count: v.number(),
      startedAt: v.number(),
      announcedAt: v.number(),
      heardAt: v.number(),
      windowStart: v.number(),
      windowLines: v.number(),
    }),
  ]),
);
export type SavedFaults = v.InferOutput<typeof SavedFaultsSchema>;

export class FaultLog {
  readonly #log: Log;
  readonly #now: () => number;
  /** The one heard of least recently stands first. */
  readonly #faults = new Map<string, Fault>();

  /** `now` is a monotonic clock in ms. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** Goes on from what another process saved. */
  restore(saved: SavedFaults): void {
    for (const [key, fault] of saved) this.#faults.set(key, { ...fault, reason: fault.reason });
  }

  saved(): SavedFaults {
    return [...this.#faults].map(([key, { reason, ...fault }]) => [
      key,
      { ...fault, reason: typeof reason === "bigint" ? String(reason) : reason },
    ]);
  }

  /** The keys that failed when they were last heard of. */
  failing(): string[] {
    return [...this.#faults].filter(([, { failing }]) => failing).map(([key]) => key);
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#faults.size;
  }

  /** `fields.reason` tells faults of one key apart: a new reason is logged at once, a new message alone is not. */
  fail(key: string, message: string, fields: LogFields = {}, level: LogLevel = "error"): void {
    const now = this.#now();
    const fault = this.#hear(key, now);
    const starts = !fault.failing && !fault.announced;
    if (starts) {
      fault.count = 0;
      fault.startedAt = now;
    }
    fault.failing = true;
    fault.count++;
    const { reason } = fields;
    const changed = fault.reason !== reason;
    const due = now - fault.announcedAt >= REPEAT_MS;
    if (!(starts || changed || due) || !this.#mayWrite(fault, now)) return;
    fault.reason = reason;
    fault.announced = true;
    fault.announcedAt = now;
    this.#log[level](message, fault.count > 1 ? { ...fields, count: fault.count } : fields);
  }

  recover(key: string, message: string, fields: LogFields = {}): void {
    const fault = this.#faults.get(key);
    if (fault === undefined) return;
    const now = this.#now();
    this.#hear(key, now);
    fault.failing = false;
    if (!fault.announced || !this.#mayWrite(fault, now)) return;
    fault.announced = false;
    const lasted = Math.round((now - fault.startedAt) / 1000);
    this.#log.info(message, { ...fields, count: fault.count, lasted_seconds: lasted });
  }

  #hear(key: string, now: number): Fault {
    const fault = this.#faults.get(key) ?? {
      failing: false,
      announced: false,
      reason: undefined,
      count: 0,
      startedAt: now,
      announcedAt: now,
      heardAt: now,
      windowStart: now,
      windowLines: 0,
    };
    fault.heardAt = now;
    this.#faults.delete(key);
    this.#faults.set(key, fault);
    this.#forget(now);
    return fault;
  }

  #forget(now: number): void {
    for (const [key, fault] of this.#faults) {
      if (now - fault.heardAt < FORGET_MS && this.#faults.size <= MAX_KEYS) return;
      this.#faults.delete(key);
    }
  }

  #mayWrite(fault: Fault, now: number): boolean {
    if (now - fault.windowStart >= REPEAT_MS) {
      fault.windowStart = now;
      fault.windowLines = 0;
    }
    if (fault.windowLines >= LINES_PER_WINDOW) return false;
    fault.windowLines++;
    return true;
  }
}
