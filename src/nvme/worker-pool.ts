/**
 * The threads in which commands block. None exists before the first command; a second one is started only when
 * commands have to wait, because a healthy controller answers in less time than a thread takes to start. A thread
 * whose command hangs is left behind, with another one in its place: the kernel lets it go after a minute or so.
 */
import { constants } from "node:os";
import type { FaultLog } from "../log/faults.ts";
import {
  type CommandRequest,
  type CommandResult,
  OFFERED,
  type PoolMessage,
  REVOKED,
  type WorkerMessage,
} from "./worker.ts";

/**
 * Threads that answer, at most; those that are slow or left behind do not count. One is enough for 24 controllers that
 * answer at once: each further one would cost 10 MB and, by waking more cores, more CPU than it saves.
 */
const SIZE = 4;
/** Commands that a thread has at a time, so that it need not sleep and be woken between two. */
const DEPTH = 4;
/** How many slow threads are replaced by others. */
const MAX_REPLACED = 16;
/** A thread whose command takes longer is replaced, in case it hangs. */
const SLOW_MS = 100;
/** How long commands wait before another thread is started. */
const GROW_AFTER_MS = 50;
/** How long a thread has nothing to do before it is ended, if it is not the last. */
const IDLE_MS = 5 * 60_000;
/** The longest that anyone waits for a command. */
const COMMAND_LIMIT_MS = 5_000;
/** After a thread could not be started. */
const RETRY_START_MS = 1_000;

export type RunResult =
  /** `ageMs`: how long ago the command returned. */
  | { readonly result: CommandResult; readonly ageMs: number }
  /** Given up, by whoever waited or after 5 s. */
  | { readonly result: { readonly kind: "timeout" } }
  /** Every thread hangs: the command was not sent. */
  | { readonly result: { readonly kind: "busy" } };

export interface CommandRun {
  /** Never rejects. */
  readonly answered: Promise<RunResult>;
  /** Resolves once no thread works on the command any more; with an answer that came too late if there was one. */
  readonly returned: Promise<void>;
  /** Whether a thread works, or has worked, on it; known once it was answered or given up. */
  readonly sent: boolean;
  giveUp(): void;
}

export class WorkerPool {
  readonly #entry: URL;
  readonly #faults: FaultLog;
  readonly #idleMs: number;
  readonly #members = new Set<Member>();
  readonly #queue: Task[] = [];
  #growth: ReturnType<typeof setTimeout> | undefined;
  #noStartBefore = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(entry: URL, faults: FaultLog, { idleMs = IDLE_MS }: { readonly idleMs?: number } = {}) {
    this.#entry = entry;
    this.#faults = faults;
    this.#idleMs = idleMs;
  }

  /** How many threads there are, and how many of them are left behind. */
  get size(): { readonly threads: number; readonly leftBehind: number } {
    const leftBehind = [...this.#members].filter((member) => member.isLeftBehind).length;
    return { threads: this.#members.size, leftBehind };
  }

  run(request: CommandRequest): CommandRun {
    const task = new Task(request, () => this.#takeBack(task));
    if (this.#closed || this.#isStuck()) task.refuse();
    else {
      this.#queue.push(task);
      this.#dispatch();
    }
    return task;
  }

  /** Ends all threads; returns at once. Those in a system call end after it. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#growth);
    for (const member of this.#members) {
      member.worker.terminate();
      for (const task of member.tasks.values()) {
        task.giveUp();
        task.lose();
      }
    }
    this.#members.clear();
    for (const task of this.#queue.splice(0)) task.giveUp();
  }

  #dispatch(): void {
    const now = performance.now();
    for (const member of this.#members) {
      while (member.canTake(now)) {
        const task = this.#queue.shift();
        if (task === undefined) break;
        member.offer(task, now);
      }
    }
    if (this.#queue.length > 0 && this.#members.size === 0) this.#start();
    const waits = this.#queue.length > 0 || [...this.#members].some(({ tasks }) => tasks.size > 1);
    if (waits) this.#growth ??= setTimeout(() => this.#grow(), GROW_AFTER_MS);
  }

  /** Takes what a silent thread has not begun with, and starts another one where something has waited for long. */
  #grow(): void {
    this.#growth = undefined;
    const now = performance.now();
    for (const member of this.#members) {
      if (member.silentMs(now) >= GROW_AFTER_MS) this.#queue.unshift(...member.revokeAll());
    }
    const [first] = this.#queue;
    // A timer may fire a little early.
    const isLate = first !== undefined && now - first.queuedAt >= GROW_AFTER_MS - 1;
    const starting = [...this.#members].some(({ ready }) => !ready);
    if (isLate && !starting && this.#serving(now) < SIZE) this.#start();
    this.#dispatch();
  }

  /** How many threads count: all but the slow ones, as far as those are replaced. */
  #serving(now: number): number {
    const slow = [...this.#members].filter((member) => member.silentMs(now) > SLOW_MS).length;
    return this.#members.size - Math.min(slow, MAX_REPLACED);
  }

  /** Nothing will be free before a thread comes back that was given up. */
  #isStuck(): boolean {
    const { threads, leftBehind } = this.size;
    return leftBehind === threads && threads >= SIZE + MAX_REPLACED;
  }

  #start(): void {
    if (performance.now() < this.#noStartBefore) {
      if (this.#members.size === 0) this.#failQueue();
      return;
    }
    let worker: Worker;
    try {
      worker = new Worker(this.#entry, OPTIONS);
    } catch (error) {
      this.#cannotStart(error instanceof Error ? error.message : String(error));
      return;
    }
    // Under Bun a Worker would keep the process alive; Deno has no such call, there `close` does it.
    if ("unref" in worker && typeof worker.unref === "function") worker.unref();
    const member = new Member(worker);
    this.#members.add(member);
    worker.addEventListener("message", ({ data }: MessageEvent<WorkerMessage>) =>
      this.#receive(member, data),
    );
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#died(member, event.message);
    });
    worker.addEventListener("close", () => this.#died(member, "it ended"));
  }

  #receive(member: Member, message: WorkerMessage): void {
    const now = performance.now();
    member.hear(message.now, now);
    if (message.kind === "ready") {
      member.begin();
      this.#faults.recover(START, "the Worker for NVMe devices starts again");
    } else {
      const task = member.free(message.slot);
      if (message.kind === "done") {
        task?.finish({ result: message.result, ageMs: now - message.now - member.offsetMs });
      }
    }
    this.#dispatch();
    if (this.#members.size > 1) this.#retireIdle(now);
  }

  /** The first thread that is free gets the next command, so that the later ones are idle when one is enough. */
  #retireIdle(now: number): void {
    for (const member of this.#members) {
      if (!member.ready || !member.isFree || now - member.heardAt < this.#idleMs) continue;
      this.#members.delete(member);
      member.worker.terminate();
    }
  }

  #died(member: Member, reason: string): void {
    if (!this.#members.delete(member)) return;
    // What it had not begun with is for another one.
    this.#queue.unshift(...member.revokeAll());
    if (!member.ready) this.#cannotStart(reason);
    else this.#faults.fail(DEATH, "a Worker for NVMe devices died", { err: reason });
    for (const task of member.tasks.values()) task.lose();
    this.#dispatch();
  }

  #cannotStart(reason: string): void {
    this.#noStartBefore = performance.now() + RETRY_START_MS;
    this.#faults.fail(START, "cannot start the Worker for NVMe devices", { err: reason });
    if (this.#members.size === 0) this.#failQueue();
  }

  #failQueue(): void {
    const result = { kind: "open", errno: constants.errno.ENOSYS } as const;
    for (const task of this.#queue.splice(0)) task.finish({ result, ageMs: 0 });
  }

  /** False where a thread works on it. */
  #takeBack(task: Task): boolean {
    const index = this.#queue.indexOf(task);
    if (index >= 0) {
      this.#queue.splice(index, 1);
      return true;
    }
    for (const member of this.#members) if (member.revoke(task)) return true;
    return false;
  }
}

/** `smol` lets Bun collect garbage early: there is little of it, and nobody waits for this thread's speed. */
const OPTIONS = { type: "module", smol: true } as const;

const START = "nvme worker start";
const DEATH = "nvme worker death";

/** A thread, and the commands that it has. */
class Member {
  readonly worker: Worker;
  /** By slot. */
  readonly tasks = new Map<number, Task>();
  readonly #slots = new Int32Array(new SharedArrayBuffer(4 * DEPTH));
  readonly #free = Array.from({ length: DEPTH }, (_, slot) => slot);
  /** It listens. */
  ready = false;
  /** When it last had something to say, or got something to do after nothing. */
  heardAt = performance.now();
  /** What to add to its clock to get ours; too much by the time that a message takes. */
  offsetMs = Number.POSITIVE_INFINITY;

  constructor(worker: Worker) {
    this.worker = worker;
  }

  get isFree(): boolean {
    return this.#free.length === DEPTH;
  }

  /** It works on a command that nobody waits for. */
  get isLeftBehind(): boolean {
    for (const task of this.tasks.values()) if (task.given) return true;
    return false;
  }

  canTake(now: number): boolean {
    return this.ready && this.#free.length > 0 && !this.isLeftBehind && this.silentMs(now) < GROW_AFTER_MS;
  }

  /** How long it has had something to do without a word. */
  silentMs(now: number): number {
    return this.tasks.size === 0 ? 0 : now - this.heardAt;
  }

  /** Each thread's clock has another zero. The fastest message tells best how far they are apart. */
  hear(itsNow: number, now: number): void {
    this.offsetMs = Math.min(this.offsetMs, now - itsNow);
    this.heardAt = now;
  }

  begin(): void {
    this.ready = true;
    this.#post({ kind: "slots", slots: this.#slots });
  }

  offer(task: Task, now: number): void {
    const slot = this.#free.pop();
    if (slot === undefined) throw new Error("a thread was offered more commands than it has slots");
    if (this.tasks.size === 0) this.heardAt = now;
    this.tasks.set(slot, task);
    task.limit(COMMAND_LIMIT_MS);
    Atomics.store(this.#slots, slot, OFFERED);
    this.#post({ kind: "command", slot, request: task.request });
  }

  /** The thread is done with a slot, be its task done or revoked. */
  free(slot: number): Task | undefined {
    const task = this.tasks.get(slot);
    this.tasks.delete(slot);
    this.#free.push(slot);
    return task;
  }

  /** False where it does not have the task, or has begun with it. */
  revoke(task: Task): boolean {
    for (const [slot, held] of this.tasks) {
      if (held !== task) continue;
      if (Atomics.compareExchange(this.#slots, slot, OFFERED, REVOKED) !== OFFERED) return false;
      this.tasks.delete(slot);
      return true;
    }
    return false;
  }

  revokeAll(): Task[] {
    return [...this.tasks.values()].filter((task) => this.revoke(task));
  }

  #post(message: PoolMessage): void {
    this.worker.postMessage(message);
  }
}

/** A command on its way: queued, sent, and in the end answered, given up or lost with its thread. */
class Task implements CommandRun {
  readonly request: CommandRequest;
  readonly queuedAt = performance.now();
  readonly answered: Promise<RunResult>;
  readonly returned: Promise<void>;
  readonly #answer: (result: RunResult) => void;
  readonly #return: () => void;
  readonly #takeBack: () => boolean;
  #sent = false;
  #limit: ReturnType<typeof setTimeout> | undefined;
  #given = false;

  constructor(request: CommandRequest, takeBack: () => boolean) {
    const answered = Promise.withResolvers<RunResult>();
    const returned = Promise.withResolvers<void>();
    this.request = request;
    this.answered = answered.promise;
    this.returned = returned.promise;
    this.#answer = answered.resolve;
    this.#return = returned.resolve;
    this.#takeBack = takeBack;
  }

  get sent(): boolean {
    return this.#sent;
  }

  /** Nobody waits for it any more. */
  get given(): boolean {
    return this.#given;
  }

  /** Gives it so much time. */
  limit(ms: number): void {
    clearTimeout(this.#limit);
    this.#limit = setTimeout(() => this.giveUp(), ms);
  }

  finish(result: RunResult): void {
    clearTimeout(this.#limit);
    this.#sent = true;
    this.#answer(result);
    this.#return();
  }

  giveUp(): void {
    if (this.#given) return;
    clearTimeout(this.#limit);
    this.#given = true;
    this.#sent = !this.#takeBack();
    this.#answer({ result: { kind: "timeout" } });
    if (!this.#sent) this.#return();
  }

  refuse(): void {
    this.#answer({ result: { kind: "busy" } });
    this.#return();
  }

  /** Its thread is gone. */
  lose(): void {
    this.finish({ result: { kind: "ioctl", errno: constants.errno.EIO }, ageMs: 0 });
  }
}
