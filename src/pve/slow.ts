/**
 * Slow readings: what takes too long, or costs too much, to be asked in every scrape, such as the health of drives,
 * which wakes them. A target has one `SlowReadings`, which outlives its rounds; it is the stated exception to the rule
 * that a scrape exports what it has read itself, and so a reading says when it was made and does not outlive twice its
 * interval.
 */
import * as v from "valibot";
import { type CallOptions, type Report, type Round, SKIP_REASONS } from "./contract.ts";
import { PveFailure } from "./failure.ts";

/** What is read: "smart", "certificates". Values are JSON, so that a file can keep them; the schema changes nothing. */
export class SlowKind<T extends object> {
  readonly name: string;
  /** A reading that timed out is tried again so soon, once; undefined: as any that failed. */
  readonly afterTimeoutMs: number | undefined;
  readonly #schema: v.GenericSchema<T>;
  readonly #known = new WeakSet<object>();

  constructor(name: string, schema: v.GenericSchema<T>, afterTimeoutMs?: number) {
    this.name = name;
    this.#schema = schema;
    this.afterTimeoutMs = afterTimeoutMs;
  }

  /** Looks into each value once. */
  is(value: object | undefined): value is T {
    if (value === undefined) return false;
    if (!this.#known.has(value) && v.is(this.#schema, value)) this.#known.add(value);
    return this.#known.has(value);
  }
}

export interface SlowRequest<T> {
  readonly intervalMs: number;
  /** What it is about, such as the drives that are there: one that the last try did not know makes it due at once. */
  readonly about?: readonly string[];
  /** All its calls together may take 60 s (30 s in a run of textfile). Rejects with a PveFailure. */
  read(get: SlowGet): Promise<T>;
}

export type SlowGet = (path: string, options?: Omit<CallOptions, "limitMs">) => Promise<unknown>;

/** What collectors have of it in one round, as `round.slow`. */
export interface SlowRound {
  /**
   * The reading of this subject (a node, a storage) that is not older than twice its interval. Where a new one is due,
   * and it is its turn, that is started, and waited for until `round.end`; later it is for the next round. A round
   * starts one at most. `report` is told that the last try failed, or that there is only a reading that is too old
   * (lost as `stale`); that a first one is still to come is no failure.
   */
  read<T extends object>(
    kind: SlowKind<T>,
    subject: string,
    request: SlowRequest<T>,
    report: Pick<Report, "failed" | "lose">,
  ): Promise<T | undefined>;
  /** When the last good reading of each subject was made; also of those that nobody asks for any more. */
  made(kind: SlowKind<object>): readonly { readonly subject: string; readonly unixSeconds: number }[];
}

export interface SlowClock {
  /** Never goes back while this boot lasts; in ms. */
  now(): number;
  unixMs(): number;
}

const PROCESS_CLOCK: SlowClock = { now: () => performance.now(), unixMs: () => Date.now() };
/** A subject whose turn it is and that is not asked for in so many rounds loses it. */
const MISSED_ROUNDS = 3;
/** /proc/uptime has two decimals, so a later process may seem to be a little earlier. */
const CLOCK_STEP_MS = 1000;
/** More subjects than any cluster has nodes and storages; the first one goes first. */
const MAX_SUBJECTS = 10_000;

interface Entry {
  readonly kind: string;
  readonly subject: string;
  /** Of the last good reading. */
  value: object | undefined;
  /** When that was made; undefined: never. */
  made: { readonly at: number; readonly unixMs: number } | undefined;
  /** The last try, where that failed. */
  failed: { readonly at: number; readonly error: unknown; readonly timeouts: number } | undefined;
  /** Of the last try. */
  about: readonly string[];
}

/** One for each target, kept as long as its source is open. */
export class SlowReadings {
  readonly #clock: SlowClock;
  readonly #limitMs: number;
  readonly #entries = new Map<string, Entry>();
  /** Those that are due and could not be started, first come first, with the rounds since they were asked for. */
  readonly #queue = new Map<string, number>();
  #running: { readonly key: string; readonly done: Promise<void> } | undefined;

  /** In a run of textfile `limitMs` is 30 s. */
  constructor({ clock = PROCESS_CLOCK, limitMs = 60_000 }: { clock?: SlowClock; limitMs?: number } = {}) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Once a round, which gives the answer to its collectors as `round.slow`. */
  begin(round: Pick<Round, "getLasting" | "end">): SlowRound {
    for (const [key, missed] of this.#queue) {
      if (missed < MISSED_ROUNDS) this.#queue.set(key, missed + 1);
      else this.#queue.delete(key);
    }
    let hasStarted = false;
    return {
      read: async (kind, subject, request, report) => {
        const entry = this.#entry(kind.name, subject);
        if (this.#isNext(entry, kind, request, hasStarted)) {
          hasStarted = true;
          await untilEnd(this.#start(entry, request, round), round.end);
        }
        return this.#answer(entry, kind, request, report);
      },
      made: ({ name }) =>
        this.#entriesOf(name)
          .flatMap(({ subject, made }) => (made ? { subject, unixSeconds: made.unixMs / 1000 } : []))
          .sort((a, b) => (a.subject < b.subject ? -1 : 1)),
    };
  }

  /** Resolves when no reading is under way: a run of textfile waits for it before it keeps its state. */
  async idle(): Promise<void> {
    await this.#running?.done;
  }

  /** For `restore` in another process with the same clock. Those that wait for their turn come first, in its order. */
  saved(): SavedReadings {
    const waiting = [...this.#queue.keys()].flatMap((key) => this.#entries.get(key) ?? []);
    return [...new Set([...waiting, ...this.#entries.values()])].map(({ failed, about, ...entry }) => ({
      ...entry,
      about: [...about],
      missed: this.#queue.get(keyOf(entry)),
      // Anything but a PveFailure is a bug, which the next run shall meet again.
      ...(failed?.error instanceof PveFailure && {
        failed: savedFailure(failed.at, failed.timeouts, failed.error),
      }),
    }));
  }

  /** Goes on from what another process saved. What lies in the future is of another clock, and is forgotten. */
  restore(saved: SavedReadings): void {
    const now = this.#clock.now();
    for (const { kind, subject, value, made, failed, about, missed } of saved) {
      if (Math.max(made?.at ?? 0, failed?.at ?? 0) > now + CLOCK_STEP_MS) continue;
      if (missed !== undefined) this.#queue.set(keyOf({ kind, subject }), missed);
      const error = failed && new PveFailure(failed.reason, failed.path, failed.message);
      Object.assign(this.#entry(kind, subject), {
        value,
        made,
        about,
        failed: failed && { ...failed, error },
      });
    }
  }

  #entry(kind: string, subject: string): Entry {
    const key = keyOf({ kind, subject });
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    for (const first of this.#entries.keys()) {
      if (this.#entries.size < MAX_SUBJECTS) break;
      this.#entries.delete(first);
    }
    const entry: Entry = { kind, subject, value: undefined, made: undefined, failed: undefined, about: [] };
    this.#entries.set(key, entry);
    return entry;
  }

  #entriesOf(kind: string): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.kind === kind);
  }

  /** Whether the entry is due and it is its turn; where it is not, it waits for that. */
  #isNext(
    entry: Entry,
    kind: SlowKind<object>,
    request: SlowRequest<object>,
    roundHasStarted: boolean,
  ): boolean {
    const key = keyOf(entry);
    if (this.#running?.key === key || !this.#isDue(entry, kind, request)) {
      this.#queue.delete(key);
      return false;
    }
    const [first = key] = this.#queue.keys();
    if (roundHasStarted || this.#running !== undefined || first !== key) {
      this.#queue.set(key, 0);
      return false;
    }
    this.#queue.delete(key);
    return true;
  }

  #isDue(entry: Entry, kind: SlowKind<object>, { intervalMs, about = [] }: SlowRequest<object>): boolean {
    const { value, made, failed } = entry;
    if (about.some((thing) => !entry.about.includes(thing))) return true;
    const now = this.#clock.now();
    if (failed !== undefined) return now - failed.at >= retryMs(kind, intervalMs, failed.timeouts);
    if (made === undefined || !kind.is(value)) return true;
    return now - made.at >= intervalMs && this.#isItsTime(kind, intervalMs, now);
  }

  /** Those that were first read one right after the other move apart, until they are spread over half the interval. */
  #isItsTime({ name }: SlowKind<object>, intervalMs: number, now: number): boolean {
    const entries = this.#entriesOf(name);
    const lastAt = Math.max(...entries.map(({ made }) => made?.at ?? Number.NEGATIVE_INFINITY));
    return now - lastAt >= intervalMs / 2 / entries.length;
  }

  #start<T extends object>(
    entry: Entry,
    request: SlowRequest<T>,
    round: Pick<Round, "getLasting">,
  ): Promise<void> {
    entry.about = request.about ?? [];
    const done = this.#run(entry, request, round).finally(() => {
      this.#running = undefined;
    });
    this.#running = { key: keyOf(entry), done };
    return done;
  }

  /** Never rejects. */
  async #run<T extends object>(
    entry: Entry,
    request: SlowRequest<T>,
    round: Pick<Round, "getLasting">,
  ): Promise<void> {
    const deadline = performance.now() + this.#limitMs;
    try {
      entry.value = await request.read((path, options) =>
        round.getLasting(path, { ...options, limitMs: Math.max(0, deadline - performance.now()) }),
      );
      entry.made = { at: this.#clock.now(), unixMs: this.#clock.unixMs() };
      entry.failed = undefined;
    } catch (error) {
      const isTimeout = error instanceof PveFailure && error.reason === "timeout";
      const timeouts = isTimeout ? (entry.failed?.timeouts ?? 0) + 1 : 0;
      entry.failed = { at: this.#clock.now(), error, timeouts };
    }
  }

  #answer<T extends object>(
    { value, made, failed }: Entry,
    kind: SlowKind<T>,
    { intervalMs }: SlowRequest<T>,
    report: Pick<Report, "failed" | "lose">,
  ): T | undefined {
    const isFresh = made !== undefined && this.#clock.now() - made.at < 2 * intervalMs;
    if (failed !== undefined) report.failed(failed.error);
    else if (made !== undefined && !isFresh) report.lose("stale");
    return isFresh && kind.is(value) ? value : undefined;
  }
}

const keyOf = ({ kind, subject }: Pick<Entry, "kind" | "subject">): string => `${kind} ${subject}`;

/** A reading that timed out again does not get quicker by more haste. */
function retryMs({ afterTimeoutMs }: SlowKind<object>, intervalMs: number, timeouts: number): number {
  return timeouts === 1 && afterTimeoutMs !== undefined
    ? Math.min(afterTimeoutMs, intervalMs / 4)
    : intervalMs / 4;
}

/** Resolves with `done`, or at `end`. */
function untilEnd(done: Promise<void>, end: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, end - performance.now()));
    void done.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const At = v.pipe(v.number(), v.finite());
const SavedFailureSchema = v.object({
  at: At,
  timeouts: v.number(),
  reason: v.picklist(SKIP_REASONS),
  path: v.string(),
  message: v.string(),
});

export const SavedReadingsSchema = v.array(
  v.object({
    kind: v.string(),
    subject: v.string(),
    value: v.optional(v.custom<object>((value) => typeof value === "object" && value !== null)),
    made: v.optional(v.object({ at: At, unixMs: At })),
    failed: v.optional(SavedFailureSchema),
    about: v.array(v.string()),
    /** Of one that waits for its turn: the rounds since it was asked for. */
    missed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  }),
);
export type SavedReadings = v.InferOutput<typeof SavedReadingsSchema>;

const savedFailure = (
  at: number,
  timeouts: number,
  { reason, path, message }: PveFailure,
): v.InferOutput<typeof SavedFailureSchema> => ({ at, timeouts, reason, path, message });
