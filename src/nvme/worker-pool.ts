/**
 * The threads in which commands block. None exists before the first command; a second one is started only when
 * commands have to wait, because a healthy controller answers in less time than a thread takes to start. A thread
 * whose command hangs is left behind, with another one in its place: the kernel lets it go after a minute or so.
 */
import { constants } from "node:os";
import type { FaultLog } from "../log/faults.ts";
import type { CommandRequest, CommandResult, WorkerMessage } from "./worker.ts";

/**
 * Threads that answer, at most; those that are slow or left behind do not count. One is enough for 24 controllers that
 * answer at once: each further one would cost 10 MB and, by waking more cores, more CPU than it saves.
 */
const SIZE = 4;
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
  /** Whether a thread has taken it. */
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
    const leftBehind = [...this.#members].filter(({ task }) => task?.given === true).length;
    return { threads: this.#members.size, leftBehind };
  }

  run(request: CommandRequest): CommandRun {
    const task = new Task(request, () => this.#dequeue(task));
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
      member.task?.giveUp();
      member.task?.lose();
    }
    this.#members.clear();
    for (const task of this.#queue.splice(0)) task.giveUp();
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const idle = [...this.#members].find((member) => member.ready && member.task === undefined);
      if (idle === undefined) break;
      const task = this.#queue.shift();
      if (task !== undefined) this.#send(idle, task);
    }
    if (this.#queue.length === 0) return;
    if (this.#members.size === 0) this.#start();
    else this.#growth ??= setTimeout(() => this.#grow(), GROW_AFTER_MS);
  }

  #send(member: Member, task: Task): void {
    member.task = task;
    task.send(COMMAND_LIMIT_MS);
    member.worker.postMessage(task.request);
  }

  #grow(): void {
    this.#growth = undefined;
    const [first] = this.#queue;
    if (first === undefined) return;
    const earlyMs = first.queuedAt + GROW_AFTER_MS - performance.now();
    if (earlyMs > 1) {
      this.#growth = setTimeout(() => this.#grow(), earlyMs);
      return;
    }
    const starting = [...this.#members].some(({ ready }) => !ready);
    if (!starting && this.#serving() < SIZE) this.#start();
    this.#dispatch();
  }

  /** How many threads count: all but the slow ones, as far as those are replaced. */
  #serving(): number {
    const members = [...this.#members];
    const slow = members.filter(({ task }) => task !== undefined && task.ageMs > SLOW_MS).length;
    return members.length - Math.min(slow, MAX_REPLACED);
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
    const member: Member = {
      worker,
      ready: false,
      task: undefined,
      idleSince: performance.now(),
      offsetMs: Number.POSITIVE_INFINITY,
    };
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
    // Each thread's clock has another zero. The fastest message tells best how far they are apart.
    member.offsetMs = Math.min(member.offsetMs, now - message.now);
    member.idleSince = now;
    if (message.kind === "ready") {
      member.ready = true;
      this.#faults.recover(START, "the Worker for NVMe devices starts again");
    } else {
      const { task } = member;
      member.task = undefined;
      task?.finish({ result: message.result, ageMs: now - message.now - member.offsetMs });
    }
    this.#dispatch();
    if (this.#members.size > 1) this.#retireIdle(now);
  }

  /** The first thread that is free gets the next command, so that the later ones are idle when one is enough. */
  #retireIdle(now: number): void {
    for (const member of this.#members) {
      if (!member.ready || member.task !== undefined || now - member.idleSince < this.#idleMs) continue;
      this.#members.delete(member);
      member.worker.terminate();
    }
  }

  #died(member: Member, reason: string): void {
    if (!this.#members.delete(member)) return;
    const { task, ready } = member;
    if (!ready) this.#cannotStart(reason);
    else this.#faults.fail(DEATH, "a Worker for NVMe devices died", { err: reason });
    task?.lose();
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

  #dequeue(task: Task): void {
    const index = this.#queue.indexOf(task);
    if (index >= 0) this.#queue.splice(index, 1);
  }
}

/** `smol` lets Bun collect garbage early: there is little of it, and nobody waits for this thread's speed. */
const OPTIONS = { type: "module", smol: true } as const;

const START = "nvme worker start";
const DEATH = "nvme worker death";

/** A thread. */
interface Member {
  readonly worker: Worker;
  /** It listens. */
  ready: boolean;
  /** What it works on. */
  task: Task | undefined;
  /** When it last had something to say. */
  idleSince: number;
  /** What to add to its clock to get ours; too much by the time that a message takes. */
  offsetMs: number;
}

/** A command on its way: queued, sent, and in the end answered, given up or lost with its thread. */
class Task implements CommandRun {
  readonly request: CommandRequest;
  readonly queuedAt = performance.now();
  readonly answered: Promise<RunResult>;
  readonly returned: Promise<void>;
  readonly #answer: (result: RunResult) => void;
  readonly #return: () => void;
  readonly #dequeue: () => void;
  #sentAt: number | undefined;
  #limit: ReturnType<typeof setTimeout> | undefined;
  #given = false;

  constructor(request: CommandRequest, dequeue: () => void) {
    const answered = Promise.withResolvers<RunResult>();
    const returned = Promise.withResolvers<void>();
    this.request = request;
    this.answered = answered.promise;
    this.returned = returned.promise;
    this.#answer = answered.resolve;
    this.#return = returned.resolve;
    this.#dequeue = dequeue;
  }

  get sent(): boolean {
    return this.#sentAt !== undefined;
  }

  /** Since it was sent. */
  get ageMs(): number {
    return this.#sentAt === undefined ? 0 : performance.now() - this.#sentAt;
  }

  /** Nobody waits for it any more. */
  get given(): boolean {
    return this.#given;
  }

  send(limitMs: number): void {
    this.#sentAt = performance.now();
    this.#limit = setTimeout(() => this.giveUp(), limitMs);
  }

  finish(result: RunResult): void {
    clearTimeout(this.#limit);
    this.#answer(result);
    this.#return();
  }

  giveUp(): void {
    clearTimeout(this.#limit);
    this.#given = true;
    this.#answer({ result: { kind: "timeout" } });
    if (this.sent) return;
    this.#dequeue();
    this.#return();
  }

  refuse(): void {
    this.finish({ result: { kind: "busy" } });
  }

  /** Its thread is gone. */
  lose(): void {
    this.finish({ result: { kind: "ioctl", errno: constants.errno.EIO }, ageMs: 0 });
  }
}
