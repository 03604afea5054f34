import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type DeltaCounters, DeltaStore, SavedDeltasSchema } from "../../src/nvme/delta.ts";

const SERIAL = "vol0123456789abcdef0";

const countersOf = (changes: Partial<DeltaCounters> = {}): DeltaCounters => ({
  readOps: 100n,
  writeOps: 100n,
  readBytes: 100n,
  writeBytes: 100n,
  readTimeUs: 100n,
  writeTimeUs: 100n,
  volumeIopsExceededUs: 1_000_000n,
  volumeThroughputExceededUs: 0n,
  instanceIopsExceededUs: 0n,
  instanceThroughputExceededUs: 0n,
  ...changes,
});

const LATER = countersOf({ volumeIopsExceededUs: 4_000_000n });

/** A store that has seen nvme1 once, at 1 s. */
const seenOnce = () => {
  const deltas = new DeltaStore();
  deltas.observe("nvme1", SERIAL, countersOf(), 1_000);
  return deltas;
};

describe("between two readings", () => {
  test("1000000 to 4000000 µs in 30 s is 10 percent, and the limit was exceeded", () => {
    expect(seenOnce().observe("nvme1", SERIAL, LATER, 31_000)).toEqual({
      intervalSeconds: 30,
      volumeIops: { check: 1, percent: 10 },
      volumeThroughput: { check: 0, percent: 0 },
      instanceIops: { check: 0, percent: 0 },
      instanceThroughput: { check: 0, percent: 0 },
    });
  });

  test.each([
    ["volumeIops", "volumeIopsExceededUs"],
    ["volumeThroughput", "volumeThroughputExceededUs"],
    ["instanceIops", "instanceIopsExceededUs"],
    ["instanceThroughput", "instanceThroughputExceededUs"],
  ] as const)("%s comes from %s alone", (gauge, counter) => {
    const later = countersOf({ [counter]: countersOf()[counter] + 500_000n });
    const deltas = seenOnce().observe("nvme1", SERIAL, later, 2_000);
    expect(deltas).toMatchObject({ [gauge]: { check: 1, percent: 50 } });
    const checks = [
      deltas?.volumeIops,
      deltas?.volumeThroughput,
      deltas?.instanceIops,
      deltas?.instanceThroughput,
    ].map((exceeded) => exceeded?.check);
    expect(checks.filter((check) => check === 1)).toHaveLength(1);
  });

  test("more than the whole time is 100 percent", () => {
    const later = countersOf({ volumeIopsExceededUs: 2n ** 64n - 1n });
    expect(seenOnce().observe("nvme1", SERIAL, later, 2_000)?.volumeIops.percent).toBe(100);
  });

  test("counters beyond 2^53 lose nothing of their difference", () => {
    const deltas = new DeltaStore();
    const base = 2n ** 63n + 1n;
    deltas.observe("nvme1", SERIAL, countersOf({ volumeIopsExceededUs: base }), 0);
    const later = countersOf({ volumeIopsExceededUs: base + 1n });
    expect(deltas.observe("nvme1", SERIAL, later, 1_000)?.volumeIops).toEqual({ check: 1, percent: 0.0001 });
  });

  test("a shared reading gives the same again and moves nothing", () => {
    const deltas = seenOnce();
    const first = deltas.observe("nvme1", SERIAL, LATER, 31_000);
    expect(deltas.observe("nvme1", SERIAL, LATER, 31_000)).toEqual(first);
    expect(deltas.observe("nvme1", SERIAL, LATER, 41_000)?.intervalSeconds).toBe(10);
  });

  test("two servers 10 s apart, 30 s each, get 10 and 20 s in turn", () => {
    const deltas = new DeltaStore();
    const intervals = [0, 10, 30, 40, 60].map(
      (second) => deltas.observe("nvme1", SERIAL, countersOf(), second * 1000)?.intervalSeconds,
    );
    expect(intervals).toEqual([undefined, 10, 20, 10, 20]);
  });
});

describe("nothing is said", () => {
  test("of a first reading", () => {
    expect(new DeltaStore().observe("nvme1", SERIAL, countersOf(), 0)).toBeUndefined();
  });

  test("of a first reading that is shared", () => {
    expect(seenOnce().observe("nvme1", SERIAL, countersOf(), 1_000)).toBeUndefined();
  });

  test.each(Object.keys(countersOf()))("when %s fell; the new reading is the next base", (name) => {
    const deltas = new DeltaStore();
    const before = countersOf({
      volumeThroughputExceededUs: 5n,
      instanceIopsExceededUs: 5n,
      instanceThroughputExceededUs: 5n,
    });
    const fallen = { ...before, [name]: 1n };
    deltas.observe("nvme1", SERIAL, before, 2_000);
    expect(deltas.observe("nvme1", SERIAL, fallen, 3_000)).toBeUndefined();
    expect(deltas.observe("nvme1", SERIAL, before, 4_000)?.intervalSeconds).toBe(1);
  });

  test("after a scrape without the controller", () => {
    const deltas = seenOnce();
    deltas.retain(new Set(["nvme0"]));
    expect(deltas.observe("nvme1", SERIAL, LATER, 31_000)).toBeUndefined();
  });

  test("after the serial number changed", () => {
    const deltas = seenOnce();
    expect(deltas.observe("nvme1", "vol0fedcba9876543210", LATER, 31_000)).toBeUndefined();
    expect(deltas.observe("nvme1", "vol0fedcba9876543210", LATER, 61_000)?.intervalSeconds).toBe(30);
  });
});

describe("from run to run", () => {
  /** As in textfile mode: each process has its own clock, /proc/uptime goes on. */
  const saved = () => {
    const json = JSON.stringify(seenOnce().save({ monotonicMs: 1_500, uptimeMs: 100_500 }));
    return v.parse(SavedDeltasSchema, JSON.parse(json));
  };

  test("the saved state is plain JSON with times since boot and decimal strings", () => {
    expect(saved()).toEqual({
      nvme1: {
        serial: SERIAL,
        uptimeMs: 100_000,
        counters: {
          readOps: "100",
          writeOps: "100",
          readBytes: "100",
          writeBytes: "100",
          readTimeUs: "100",
          writeTimeUs: "100",
          volumeIopsExceededUs: "1000000",
          volumeThroughputExceededUs: "0",
          instanceIopsExceededUs: "0",
          instanceThroughputExceededUs: "0",
        },
      },
    });
  });

  test("the next run goes on from it", () => {
    const deltas = new DeltaStore();
    deltas.load(saved(), { monotonicMs: 50, uptimeMs: 129_980 });
    expect(deltas.observe("nvme1", SERIAL, LATER, 70)).toMatchObject({
      intervalSeconds: 30,
      volumeIops: { check: 1, percent: 10 },
    });
  });

  test("64-bit counters survive with all digits", () => {
    const deltas = new DeltaStore();
    const clock = { monotonicMs: 0, uptimeMs: 1_000 };
    deltas.observe("nvme1", SERIAL, countersOf({ readBytes: 2n ** 64n - 1n }), 0);
    const next = new DeltaStore();
    next.load(deltas.save(clock), clock);
    expect(next.save(clock)["nvme1"]?.counters.readBytes).toBe("18446744073709551615");
  });

  test("a reading of the future is none", () => {
    const deltas = new DeltaStore();
    deltas.load(saved(), { monotonicMs: 50, uptimeMs: 99_999 });
    expect(deltas.observe("nvme1", SERIAL, LATER, 70)).toBeUndefined();
  });

  test("another serial number begins anew", () => {
    const deltas = new DeltaStore();
    deltas.load(saved(), { monotonicMs: 50, uptimeMs: 130_000 });
    expect(deltas.observe("nvme1", "vol0fedcba9876543210", LATER, 70)).toBeUndefined();
  });

  test("what this run did not list is not saved", () => {
    const deltas = seenOnce();
    deltas.retain(new Set());
    expect(deltas.save({ monotonicMs: 0, uptimeMs: 0 })).toEqual({});
  });

  test.each([
    ["a counter that is no decimal number", { readOps: "0x10" }],
    ["a counter that is a number", { readOps: 16 }],
    ["a missing counter", { readOps: undefined }],
  ])("the schema refuses %s", (_, wrong) => {
    const state = saved();
    const spoilt = { nvme1: { ...state["nvme1"], counters: { ...state["nvme1"]?.counters, ...wrong } } };
    expect(v.safeParse(SavedDeltasSchema, spoilt).success).toBe(false);
  });
});
