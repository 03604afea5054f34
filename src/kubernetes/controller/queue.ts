/**
 * A level-triggered queue: it holds names, not events, so that any number of changes of one thing end in one look at
 * how it stands. One name is worked on once at a time; what is added meanwhile brings it one more turn.
 */

export interface QueueTiming {
  /** From the end of one turn of a name to its next; a storm of events costs one turn in this time. */
  readonly minIntervalMs: number;
  /** After the first failure; doubles with each one that follows, with jitter. */
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
}

export const QUEUE_TIMING: QueueTiming = { minIntervalMs: 500, firstBackoffMs: 500, maxBackoffMs: 30_000 };

/** What a turn gives: nothing, a time after which it wants another one, or a failure. */
export type Turn =
  | undefined
  | { readonly againMs: number }
  | { readonly failed: true; readonly retryAfterMs: number | undefined };

interface Entry {
  isRunning: boolean;
  /** Something was added while it ran. */
  isDirty: boolean;
  failures: number;
  /** No turn begins before; on the clock of `performance.now()`. */
  earliestAt: number;
  timer: NodeJS.Timeout | undefined;
  dueAt: number;
}

export class WorkQueue {
  readonly #work: (name: string) => Promise<Turn>;
  readonly #timing: QueueTiming;
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  /** `work` does not reject. */
  constructor(work: (name: string) => Promise<Turn>, timing: QueueTiming = QUEUE_TIMING) {
    this.#work = work;
    this.#timing = timing;
  }

  /** Soon; while the name backs off after a failure, at the end of that. */
  add(name: string): void {
    if (this.#isClosed) return;
    const entry = this.#entry(name);
    if (entry.isRunning) entry.isDirty = true;
    else this.#schedule(name, entry, performance.now());
  }

  /** No turn begins any more; resolves when those that run have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { timer } of this.#entries.values()) clearTimeout(timer);
    this.#entries.clear();
    await Promise.all(this.#running);
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry: Entry = {
      isRunning: false,
      isDirty: false,
      failures: 0,
      earliestAt: Number.NEGATIVE_INFINITY,
      timer: undefined,
      dueAt: Number.POSITIVE_INFINITY,
    };
    this.#entries.set(name, entry);
    return entry;
  }

  /** The earlier of two times counts. */
  #schedule(name: string, entry: Entry, at: number): void {
    const dueAt = Math.max(at, entry.earliestAt);
    if (dueAt >= entry.dueAt) return;
    clearTimeout(entry.timer);
    entry.dueAt = dueAt;
    entry.timer = setTimeout(() => this.#begin(name, entry), Math.max(0, dueAt - performance.now()));
  }

  #begin(name: string, entry: Entry): void {
    entry.timer = undefined;
    entry.dueAt = Number.POSITIVE_INFINITY;
    const running = this.#run(name, entry).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #run(name: string, entry: Entry): Promise<void> {
    entry.isRunning = true;
    entry.isDirty = false;
    const turn = await this.#work(name);
    entry.isRunning = false;
    if (this.#isClosed) return;
    const now = performance.now();
    if (turn !== undefined && "failed" in turn) {
      entry.failures++;
      entry.earliestAt = now + Math.max(this.#backoffMs(entry.failures), turn.retryAfterMs ?? 0);
      this.#schedule(name, entry, now);
      return;
    }
    entry.failures = 0;
    entry.earliestAt = now + this.#timing.minIntervalMs;
    if (entry.isDirty) this.#schedule(name, entry, now);
    if (turn !== undefined) this.#schedule(name, entry, now + turn.againMs);
  }

  #backoffMs(failures: number): number {
    const { firstBackoffMs, maxBackoffMs } = this.#timing;
    return Math.min(maxBackoffMs, firstBackoffMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  }
}
