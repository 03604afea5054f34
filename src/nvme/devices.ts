/**
 * Asking controllers, within the rules that keep them and the scrape well: one command at a time for each, each page
 * at most once a second, nothing to one that hangs, and no page again that a device said it does not have.
 */
import type { ScrapeContext } from "../metrics/collector.ts";
import { listControllers } from "./listing.ts";
import type { AdminCommand, Answer, Controller, Devices, Page } from "./model.ts";
import type { CommandRequest } from "./worker.ts";
import type { CommandRun, RunResult } from "./worker-pool.ts";

/** As AWS asks of those who read its statistics. */
const PACE_MS = 1_000;

/** How long before the scrape's deadline a command is given up, so that the answer can still be made. */
const RESERVE_MS = 200;

/** Status code type and status code, without More and Do Not Retry. */
const STATUS_MASK = 0x7ff;
/** Invalid Field in Command and Invalid Log Page: NVM Express Base Specification, figure "Status Code". */
const UNSUPPORTED = [0x002, 0x109];

/** A device that does not have some pages. */
export interface Unsupported {
  readonly controller: string;
  readonly serial: string;
  readonly firmware: string;
  readonly pages: readonly Page[];
}

/** A command that its device has not answered, though nobody waits any more. */
export interface HungCommand {
  readonly controller: string;
  readonly serial: string;
  /** On the clock of `DevicesOptions.now`, in ms. */
  readonly sentAt: number;
}

export interface DevicesOptions {
  readonly sysfs: string;
  readonly devfs: string;
  readonly pool: { run(request: CommandRequest): CommandRun };
  /** Paces; a monotonic clock in ms, `performance.now()` where it is left out. */
  readonly now?: () => number;
  readonly unsupported?: readonly Unsupported[];
  /** When an earlier run may have asked last, on the clock of `performance.now()`: within a second of it, asking waits. */
  readonly lastAskedAt?: number;
  /** Whether a command of another process hangs on the controller. */
  readonly hangsElsewhere?: (controller: Controller) => boolean;
}

export class NvmeDevices implements Devices {
  readonly #options: DevicesOptions;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  readonly #lanes = new Map<string, Lane>();
  #listed: Controller[] | undefined;

  constructor(options: DevicesOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    for (const { controller, serial, firmware, pages } of options.unsupported ?? []) {
      this.#known.set(controller, { serial, firmware, unsupported: new Set(pages), readings: new Map() });
    }
  }

  list(): Controller[] {
    if (this.#listed === undefined) {
      this.#listed = listControllers(this.#options.sysfs);
      // The collectors of one scrape start together and see the same; the next turn of the event loop looks anew.
      setImmediate(() => {
        this.#listed = undefined;
      });
      this.#forget(this.#listed);
    }
    return this.#listed;
  }

  async ask(controller: Controller, command: AdminCommand, context: ScrapeContext): Promise<Answer> {
    if (controller.state !== "live") return { kind: "not_live" };
    const { dev } = controller;
    if (dev === undefined) return { kind: "not_a_device" };
    if (context.signal.aborted) return TIMEOUT;

    const known = this.#knownOf(controller);
    if (known.unsupported.has(command.page)) return { kind: "known_unsupported" };
    const key = `${command.page} ${command.nsid}`;
    const reading = known.readings.get(key);
    if (reading !== undefined && this.#now() - reading.at < PACE_MS) return reading.answer;

    let lane = this.#lanes.get(controller.name);
    if (lane === undefined) {
      lane = new Lane((request) => this.#options.pool.run(request), this.#now);
      this.#lanes.set(controller.name, lane);
    }
    if (lane.hungSince !== undefined || this.#options.hangsElsewhere?.(controller) === true) return BUSY;

    const earlyMs = (this.#options.lastAskedAt ?? Number.NEGATIVE_INFINITY) + PACE_MS - performance.now();
    if (earlyMs > 0) {
      if (earlyMs > limitMs(context)) return BUSY;
      await new Promise((resolve) => setTimeout(resolve, earlyMs));
      return this.ask(controller, command, context);
    }

    const path = `${this.#options.devfs}/${controller.name}`;
    const { bytes, length } = command;
    const pending = lane.ask(
      `${controller.serial} ${key}`,
      { path, dev, command: bytes, length },
      (result) => {
        const answer = this.#answerOf(result, known, command.page);
        if (answer.kind !== "timeout" && answer.kind !== "busy")
          known.readings.set(key, { answer, at: this.#now() });
        return answer;
      },
    );
    pending.onLate = (sentAt) => known.readings.set(key, { answer: BUSY, at: sentAt });
    return pending.wait(limitMs(context));
  }

  /** What is remembered of devices that lack pages. */
  unsupported(): Unsupported[] {
    return [...this.#known].flatMap(([controller, { serial, firmware, unsupported }]) =>
      unsupported.size === 0 ? [] : [{ controller, serial, firmware, pages: [...unsupported] }],
    );
  }

  hung(): HungCommand[] {
    return [...this.#lanes].flatMap(([controller, { hungSince }]) => {
      const serial = this.#known.get(controller)?.serial ?? "";
      return hungSince === undefined ? [] : [{ controller, serial, sentAt: hungSince }];
    });
  }

  #answerOf(run: RunResult, known: Known, page: Page): Answer {
    const { result } = run;
    if (result.kind === "page") return { ...result, readAt: this.#now() - ("ageMs" in run ? run.ageMs : 0) };
    if (result.kind !== "status" || !UNSUPPORTED.includes(result.status & STATUS_MASK)) return result;
    known.unsupported.add(page);
    return { kind: "unsupported_page", status: result.status };
  }

  /** What was learned of this very device: not of another one that now has its name, nor before new firmware. */
  #knownOf({ name, serial, firmware }: Controller): Known {
    const known = this.#known.get(name);
    if (known !== undefined && known.serial === serial && known.firmware === firmware) return known;
    const fresh: Known = { serial, firmware, unsupported: new Set(), readings: new Map() };
    this.#known.set(name, fresh);
    return fresh;
  }

  #forget(listed: readonly Controller[]): void {
    const names = new Set(listed.map(({ name }) => name));
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name);
    for (const [name, lane] of this.#lanes) if (!names.has(name) && lane.isFree) this.#lanes.delete(name);
    const now = this.#now();
    for (const { readings } of this.#known.values()) {
      for (const [key, { at }] of readings) if (now - at >= PACE_MS) readings.delete(key);
    }
  }
}

const TIMEOUT: Answer = { kind: "timeout" };
const BUSY: Answer = { kind: "busy" };

/** What is remembered of one device. */
interface Known {
  readonly serial: string;
  readonly firmware: string;
  readonly unsupported: Set<Page>;
  /** By page and nsid; those of the last second are shared. */
  readonly readings: Map<string, { readonly answer: Answer; readonly at: number }>;
}

/** Of a scrape that has very little time left, half of it. */
function limitMs({ deadline }: ScrapeContext): number {
  const leftMs = deadline - performance.now();
  return leftMs > 2 * RESERVE_MS ? leftMs - RESERVE_MS : Math.max(leftMs / 2, 0);
}

/** The commands to one controller: one under way, the others in line. */
class Lane {
  readonly #run: (request: CommandRequest) => CommandRun;
  readonly #now: () => number;
  readonly #waiting: Pending[] = [];
  readonly #pending = new Map<string, Pending>();
  #current: Pending | undefined;
  /** When the command was sent that hangs; while it does, nothing else is. */
  hungSince: number | undefined;

  constructor(run: (request: CommandRequest) => CommandRun, now: () => number) {
    this.#run = run;
    this.#now = now;
  }

  get isFree(): boolean {
    return this.#current === undefined && this.#waiting.length === 0;
  }

  /** Joins the same question where it is on its way. `conclude` sees the result once. */
  ask(key: string, request: CommandRequest, conclude: (result: RunResult) => Answer): Pending {
    const same = this.#pending.get(key);
    if (same !== undefined) return same;
    const pending = new Pending(request, (result) => {
      this.#pending.delete(key);
      return conclude(result);
    });
    this.#pending.set(key, pending);
    this.#waiting.push(pending);
    this.#next();
    return pending;
  }

  #next(): void {
    while (this.#current === undefined) {
      const pending = this.#waiting.shift();
      if (pending === undefined) return;
      if (!pending.isWanted) continue;
      this.#current = pending;
      void this.#see(pending, this.#run(pending.request));
    }
  }

  async #see(pending: Pending, run: CommandRun): Promise<void> {
    const sentAt = this.#now();
    pending.onItsWay = true;
    pending.giveUp = () => run.giveUp();
    const answered = await run.answered;
    pending.conclude(answered);
    if (answered.result.kind === "timeout" && run.sent) {
      this.hungSince = sentAt;
      for (const other of this.#waiting.splice(0)) other.conclude({ result: { kind: "busy" } });
      await run.returned;
      this.hungSince = undefined;
      // Its page, if one came after all, is of a time that nobody asked for.
      pending.onLate(sentAt);
    }
    this.#current = undefined;
    this.#next();
  }
}

/** One question, asked once for all who want to know. */
class Pending {
  readonly request: CommandRequest;
  readonly #conclude: (result: RunResult) => Answer;
  readonly #answer: Promise<Answer>;
  readonly #resolve: (answer: Answer) => void;
  #waiters = 0;
  #concluded = false;
  /** Until it is on its way, the command waits behind another one that its device has not answered. */
  onItsWay = false;
  /** Takes the command back, or leaves it to itself. */
  giveUp: () => void = () => this.conclude({ result: { kind: "busy" } });
  /** Called when the command has returned after all. */
  onLate: (sentAt: number) => void = () => {};

  constructor(request: CommandRequest, conclude: (result: RunResult) => Answer) {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.request = request;
    this.#conclude = conclude;
    this.#answer = promise;
    this.#resolve = resolve;
  }

  get isWanted(): boolean {
    return !this.#concluded;
  }

  conclude(result: RunResult): void {
    if (this.#concluded) return;
    this.#concluded = true;
    this.#resolve(this.#conclude(result));
  }

  /** Answers after the limit at the latest; when the last one who waits has left, the question is given up. */
  async wait(limitMs: number): Promise<Answer> {
    this.#waiters++;
    const { promise: late, resolve: leave } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => {
      this.#waiters--;
      leave(this.onItsWay ? TIMEOUT : BUSY);
      if (this.#waiters === 0) this.giveUp();
    }, limitMs);
    try {
      return await Promise.race([this.#answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
