/**
 * What happened between the last two readings of an EBS volume: the base of the delta gauges. Pure: readings and
 * times come from the caller, in serve mode from one process and in textfile mode from run to run.
 */
import * as v from "valibot";
import type { AmazonStatistics } from "./pages/amazon.ts";

/** The counters @8 to @80: where one of them falls, the device began anew and nothing can be said. */
const COUNTERS = [
  "readOps",
  "writeOps",
  "readBytes",
  "writeBytes",
  "readTimeUs",
  "writeTimeUs",
  "volumeIopsExceededUs",
  "volumeThroughputExceededUs",
  "instanceIopsExceededUs",
  "instanceThroughputExceededUs",
] as const;

export type DeltaCounters = Readonly<Pick<AmazonStatistics, (typeof COUNTERS)[number]>>;

/** A limit between two readings. */
export interface Exceeded {
  /** Whether it was exceeded at all. */
  readonly check: 0 | 1;
  /** Share of the time in which it was exceeded, 0 to 100. */
  readonly percent: number;
}

export interface Deltas {
  readonly intervalSeconds: number;
  readonly volumeIops: Exceeded;
  readonly volumeThroughput: Exceeded;
  readonly instanceIops: Exceeded;
  readonly instanceThroughput: Exceeded;
}

/** Counters as decimal strings, because JSON has no 64-bit integers; times in ms since boot. */
export const SavedDeltasSchema = v.record(
  v.string(),
  v.object({
    serial: v.string(),
    uptimeMs: v.pipe(v.number(), v.finite()),
    counters: v.object(
      v.entriesFromList(COUNTERS, v.pipe(v.string(), v.regex(/^\d{1,20}$/, "must be a decimal number"))),
    ),
  }),
);
export type SavedDeltas = v.InferOutput<typeof SavedDeltasSchema>;

/** Relates `performance.now()`, which begins with each process, to /proc/uptime, which outlives it. Both in ms. */
export interface BootClock {
  /** `performance.now()` */
  readonly monotonicMs: number;
  /** /proc/uptime at the same moment */
  readonly uptimeMs: number;
}

interface State {
  readonly serial: string;
  /** `performance.now()` at the ioctl's return. */
  readonly readAt: number;
  readonly counters: DeltaCounters;
  readonly deltas: Deltas | undefined;
}

export class DeltaStore {
  /** By the name of the controller. */
  readonly #states = new Map<string, State>();

  /**
   * Takes a reading and gives what happened since the one before; undefined on the first one of a controller and
   * serial number, and after a reset. A reading that was shared (the same `readAt`) gives the same again.
   */
  observe(controller: string, serial: string, counters: DeltaCounters, readAt: number): Deltas | undefined {
    const last = this.#states.get(controller);
    if (last !== undefined && last.serial === serial && readAt <= last.readAt) return last.deltas;
    const deltas = last !== undefined && last.serial === serial ? between(last, counters, readAt) : undefined;
    this.#states.set(controller, { serial, readAt, counters: onlyCounters(counters), deltas });
    return deltas;
  }

  /** Forgets every controller that this scrape did not list. */
  retain(controllers: ReadonlySet<string>): void {
    for (const controller of this.#states.keys()) {
      if (!controllers.has(controller)) this.#states.delete(controller);
    }
  }

  /** The last readings as plain JSON. */
  save(clock: BootClock): SavedDeltas {
    const saved: SavedDeltas = {};
    for (const [controller, { serial, readAt, counters }] of this.#states) {
      saved[controller] = {
        serial,
        uptimeMs: readAt - clock.monotonicMs + clock.uptimeMs,
        counters: mapCounters((name) => counters[name].toString()),
      };
    }
    return saved;
  }

  /** Takes up the readings of an earlier run of this boot; one of the future is left out. */
  load(saved: SavedDeltas, clock: BootClock): void {
    for (const [controller, { serial, uptimeMs, counters }] of Object.entries(saved)) {
      if (uptimeMs > clock.uptimeMs) continue;
      this.#states.set(controller, {
        serial,
        readAt: uptimeMs - clock.uptimeMs + clock.monotonicMs,
        counters: mapCounters((name) => BigInt(counters[name])),
        deltas: undefined,
      });
    }
  }
}

function between(last: State, counters: DeltaCounters, readAt: number): Deltas | undefined {
  if (COUNTERS.some((name) => counters[name] < last.counters[name])) return undefined;
  const intervalMs = readAt - last.readAt;
  const exceeded = (name: keyof DeltaCounters): Exceeded => {
    const us = Number(counters[name] - last.counters[name]);
    return { check: us > 0 ? 1 : 0, percent: Math.min(100, (100 * us) / (intervalMs * 1000)) };
  };
  return {
    intervalSeconds: intervalMs / 1000,
    volumeIops: exceeded("volumeIopsExceededUs"),
    volumeThroughput: exceeded("volumeThroughputExceededUs"),
    instanceIops: exceeded("instanceIopsExceededUs"),
    instanceThroughput: exceeded("instanceThroughputExceededUs"),
  };
}

/** Without the rest of the page, which would be kept alive for nothing. */
const onlyCounters = (counters: DeltaCounters): DeltaCounters => mapCounters((name) => counters[name]);

const mapCounters = <Value>(
  value: (name: keyof DeltaCounters) => Value,
): Record<keyof DeltaCounters, Value> => ({
  readOps: value("readOps"),
  writeOps: value("writeOps"),
  readBytes: value("readBytes"),
  writeBytes: value("writeBytes"),
  readTimeUs: value("readTimeUs"),
  writeTimeUs: value("writeTimeUs"),
  volumeIopsExceededUs: value("volumeIopsExceededUs"),
  volumeThroughputExceededUs: value("volumeThroughputExceededUs"),
  instanceIopsExceededUs: value("instanceIopsExceededUs"),
  instanceThroughputExceededUs: value("instanceThroughputExceededUs"),
});
