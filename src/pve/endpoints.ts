/** Which of a cluster's endpoints a scrape asks: the first that answers and is part of the majority. */
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { PveClient } from "./client.ts";
import type { PveEndpoint } from "./endpoint.ts";
import { PveFailure } from "./failure.ts";
import type { ClusterStatus } from "./model.ts";
import type { Schedule } from "./schedule.ts";
import { clusterStatusOf, STATUS_PATH } from "./shared-calls.ts";
import type { PveTarget } from "./target.ts";

export type Connection = Pick<PveClient, "get" | "serverDate" | "close">;
export type Connect = (endpoint: PveEndpoint) => Connection;

export const connectWith =
  (own: OwnMetrics, log: Log): Connect =>
  (endpoint) =>
    new PveClient(endpoint, own, log);

/** An endpoint, and what came of the first call of a scrape. */
export interface Opening {
  readonly endpoint: PveEndpoint;
  readonly connection: Connection;
  /** `silent`: no connection, no TLS or no answer in time. */
  readonly state: "answered" | "silent";
  /** What /cluster/status said, or why it did not. */
  readonly status: ClusterStatus | PveFailure;
}

export interface Limits {
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  readonly end: number;
}

export const MAX_BYTES = 8 * 1024 * 1024;

type Door = Pick<Opening, "endpoint" | "connection">;

export class Endpoints {
  readonly #doors: readonly Door[];
  readonly #schedule: Schedule;
  #lastGood: Door | undefined;

  constructor({ endpoints, module }: PveTarget, schedule: Schedule, connect: Connect) {
    this.#schedule = schedule;
    this.#doors = endpoints.map((url) => {
      const endpoint = { url, ...module };
      return { endpoint, connection: connect(endpoint) };
    });
  }

  /**
   * Asks one after another for /cluster/status, the last good one first, until one answers. Where that one has lost its
   * majority the others are asked too. Rejects only with the signal's reason.
   */
  async open(limits: Limits): Promise<Opening> {
    const untried = [...new Set([this.#lastGood, ...this.#doors])].filter((door) => door !== undefined);
    let silent: Opening | undefined;
    for (let door = untried.shift(); door !== undefined; door = untried.shift()) {
      const opening = await this.#knock(door, limits, untried.length + 1);
      if (opening.state === "answered") {
        const found = (lacksQuorum(opening) && (await this.#quorate(untried, limits))) || opening;
        this.#lastGood = this.#doors.find(({ connection }) => connection === found.connection);
        return found;
      }
      silent ??= opening;
    }
    if (silent === undefined) throw new Error("the target has no endpoint");
    return silent;
  }

  close(): void {
    for (const { connection } of this.#doors) connection.close();
  }

  /** The first to say that it has a majority; those that have not said anything by then are not waited for. */
  async #quorate(doors: readonly Door[], { signal, end }: Limits): Promise<Opening | undefined> {
    const found = new AbortController();
    const limits = { signal: AbortSignal.any([signal, found.signal]), end };
    const asked = doors.map(async (door) => {
      const opening = await this.#knock(door, limits, 2);
      const { status } = opening;
      if (status instanceof PveFailure || lacksQuorum(opening)) throw new Error("has no majority");
      return opening;
    });
    try {
      return await Promise.any(asked);
    } catch {
      signal.throwIfAborted();
      return undefined;
    } finally {
      found.abort();
    }
  }

  /** `shares`: in how many parts the time that is left is divided, so that something is left for the others. */
  async #knock(door: Door, { signal, end }: Limits, shares: number): Promise<Opening> {
    try {
      const data = await this.#schedule.run({ node: undefined, signal }, () => {
        const now = performance.now();
        const deadline = now + Math.min(door.endpoint.timeoutMs, (end - now) / shares);
        return door.connection.get(STATUS_PATH, { signal, deadline, maxBytes: MAX_BYTES });
      });
      return { ...door, state: "answered", status: clusterStatusOf(data) };
    } catch (error) {
      if (!(error instanceof PveFailure)) throw error;
      return { ...door, state: isSilence(error) ? "silent" : "answered", status: error };
    }
  }
}

const isSilence = ({ reason, network }: PveFailure): boolean => network !== undefined || reason === "timeout";

const lacksQuorum = ({ status }: Opening): boolean =>
  !(status instanceof PveFailure) && status.cluster?.quorate === false;
