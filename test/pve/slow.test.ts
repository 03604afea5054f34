/** Slow readings: when one is begun, whom it keeps waiting, how long it is good for, and what comes of a failure. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { CallOptions, SkipReason } from "../../src/pve/contract.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { SavedReadingsSchema, type SlowGet, SlowKind, SlowReadings } from "../../src/pve/slow.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SMART = new SlowKind("smart", v.object({ of: v.string() }), 2 * MINUTE);
const CERTIFICATES = new SlowKind("certificates", v.object({ of: v.string() }));

/** A target, its clock, and what was asked of it. */
function target(readings?: SlowReadings) {
  const clock = { ms: 0, now: () => clock.ms, unixMs: () => 1_774_000_000_000 + clock.ms };
  const slow = readings ?? new SlowReadings({ clock });
  const calls: { path: string; options: CallOptions }[] = [];
  const answers = new Map<string, () => Promise<unknown>>();
  const getLasting = async (path: string, options: CallOptions) => {
    calls.push({ path, options });
    return (await answers.get(path)?.()) ?? { of: path };
  };
  /** A scrape that waits until `end`, which asks for each of these. */
  const scrape = async (
    subjects: readonly string[],
    { kind = SMART, intervalMs = HOUR, about = [] as readonly string[], waitMs = 1000 } = {},
  ) => {
    const round = slow.begin({ getLasting, end: performance.now() + waitMs });
    const reasons: SkipReason[] = [];
    const report = {
      lose: (reason: SkipReason) => void reasons.push(reason),
      failed: (error: unknown) => {
        if (!(error instanceof PveFailure)) throw error;
        reasons.push(error.reason);
      },
    };
    const ask = (subject: string) =>
      round.read(kind, subject, { intervalMs, about, read: (get) => readOf(get, subject) }, report);
    const values = await Promise.all(subjects.map(ask));
    return { values: values.map((value) => value?.of), reasons, made: round.made(kind) };
  };
  const paths = () => calls.splice(0).map(({ path }) => path);
  return { clock, slow, calls, answers, scrape, paths };
}

async function readOf(get: SlowGet, subject: string): Promise<{ of: string }> {
  return v.parse(v.object({ of: v.string() }), await get(subject, { node: subject }));
}

const fails = (reason: SkipReason) => async () => {
  throw new PveFailure(reason, "/a", `/a: ${reason}`);
};

describe("when a reading is begun", () => {
  test("a first one is begun by the first scrape, and goes out with it", async () => {
    const { scrape, paths } = target();
    expect(await scrape(["a"])).toEqual({
      values: ["a"],
      reasons: [],
      made: [{ subject: "a", unixSeconds: 1_774_000_000 }],
    });
    expect(paths()).toEqual(["a"]);
  });

  test("the next one is begun when the last is as old as the interval", async () => {
    const { clock, scrape, paths } = target();
    await scrape(["a"]);
    clock.ms = HOUR - 1;
    expect((await scrape(["a"])).values).toEqual(["a"]);
    expect(paths()).toEqual(["a"]);
    clock.ms = HOUR;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
  });

  test("a thing that the last one did not know makes it due at once, one that has gone does not", async () => {
    const { scrape, paths } = target();
    await scrape(["a"], { about: ["sda", "sdb"] });
    await scrape(["a"], { about: ["sdb"] });
    expect(paths()).toEqual(["a"]);
    await scrape(["a"], { about: ["sdb", "sdc"] });
    expect(paths()).toEqual(["a"]);
    await scrape(["a"], { about: ["sdb", "sdc"] });
    expect(paths()).toEqual([]);
  });

  test("what a reading still does not show is not asked for in every scrape", async () => {
    const { answers, scrape, paths } = target();
    answers.set("a", fails("error"));
    await scrape(["a"], { about: ["sda"] });
    await scrape(["a"], { about: ["sda"] });
    expect(paths()).toEqual(["a"]);
  });

  test("a scrape begins one, and those that wait come in turn, of whatever kind", async () => {
    const { scrape, paths, slow } = target();
    await scrape(["a", "b", "c"]);
    expect(paths()).toEqual(["a"]);
    // Asked first, but later than b and c were.
    await scrape(["x"], { kind: CERTIFICATES });
    await scrape(["a", "b", "c"]);
    await scrape(["a", "b", "c"]);
    await scrape(["x"], { kind: CERTIFICATES });
    expect(paths()).toEqual(["b", "c", "x"]);
    await slow.idle();
  });

  test("one whose turn it is and that is not asked for any more holds the others up for three scrapes", async () => {
    const { scrape, paths } = target();
    await scrape(["a", "b"]);
    paths();
    for (let round = 0; round < 3; round++) await scrape(["a", "c"]);
    expect(paths()).toEqual([]);
    await scrape(["a", "c"]);
    expect(paths()).toEqual(["c"]);
  });

  test("one at a time is under way, also in scrapes beside each other", async () => {
    const { answers, scrape, paths } = target();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    answers.set("a", () => promise);
    const first = scrape(["a", "b"]);
    expect((await scrape(["a", "b"])).values).toEqual([undefined, undefined]);
    expect(paths()).toEqual(["a"]);
    resolve({ of: "a" });
    expect((await first).values).toEqual(["a", undefined]);
  });

  test("readings of nodes that were read one right after the other move apart", async () => {
    const { clock, scrape, paths } = target();
    const nodes = ["a", "b", "c", "d"];
    const read = nodes.map((): number[] => []);
    for (; clock.ms < 4 * HOUR; clock.ms += MINUTE) {
      const { values, reasons } = await scrape(nodes);
      expect(reasons).toEqual([]);
      for (const path of paths()) read[nodes.indexOf(path)]?.push(clock.ms / MINUTE);
      if (clock.ms >= 3 * MINUTE) expect(values).toEqual(nodes);
    }
    expect(read).toEqual([
      [0, 60, 120, 180],
      [1, 68, 128, 188],
      [2, 76, 136, 196],
      [3, 84, 144, 204],
    ]);
  });
});

describe("a reading that outlasts its scrape", () => {
  test("is not waited for after the end, and goes out with the next scrape", async () => {
    const { answers, scrape, slow } = target();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    answers.set("a", () => promise);
    expect(await scrape(["a"], { waitMs: 0 })).toEqual({ values: [undefined], reasons: [], made: [] });
    // It is still under way: nobody waits for it once more.
    expect(await scrape(["a"])).toEqual({ values: [undefined], reasons: [], made: [] });
    resolve({ of: "a" });
    await slow.idle();
    expect((await scrape(["a"])).values).toEqual(["a"]);
  });

  test("has 60 s for all its calls together", async () => {
    const { calls, scrape } = target();
    await scrape(["a"]);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.options.node).toBe("a");
    expect(calls[0]?.options.limitMs).toBeGreaterThan(50_000);
    expect(calls[0]?.options.limitMs).toBeLessThanOrEqual(60_000);
  });

  test("has 30 s where that is what it is given", async () => {
    const { calls, scrape } = target(new SlowReadings({ limitMs: 30_000 }));
    await scrape(["a"]);
    expect(calls[0]?.options.limitMs).toBeLessThanOrEqual(30_000);
  });
});

describe("how long a reading is good for", () => {
  test("values vanish twice the interval after it and are counted as stale, its time stays", async () => {
    const { answers, clock, scrape } = target();
    await scrape(["a"]);
    answers.set("b", () => new Promise(() => {}));
    await scrape(["b"], { waitMs: 0 });
    const made = [{ subject: "a", unixSeconds: 1_774_000_000 }];
    clock.ms = 2 * HOUR - 1;
    expect(await scrape(["a"])).toEqual({ values: ["a"], reasons: [], made });
    clock.ms = 2 * HOUR;
    expect(await scrape(["a"])).toEqual({ values: [undefined], reasons: ["stale"], made });
    clock.ms = 200 * HOUR;
    expect((await scrape([])).made).toEqual(made);
  });

  test("a failure is told as long as no other reading was made, and the old values are good for their time", async () => {
    const { answers, clock, scrape } = target();
    await scrape(["a"]);
    answers.set("a", fails("forbidden"));
    clock.ms = HOUR;
    expect(await scrape(["a"])).toMatchObject({ values: ["a"], reasons: ["forbidden"] });
    expect(await scrape(["a"])).toMatchObject({ values: ["a"], reasons: ["forbidden"] });
    answers.delete("a");
    clock.ms = HOUR + HOUR / 4;
    expect(await scrape(["a"])).toMatchObject({ values: ["a"], reasons: [] });
  });
});

describe("after a failure", () => {
  test("the next try is made when a quarter of the interval has passed", async () => {
    const { answers, clock, scrape, paths } = target();
    answers.set("a", fails("unreachable"));
    await scrape(["a"]);
    clock.ms = HOUR / 4 - 1;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
    clock.ms = HOUR / 4;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
  });

  test("the next try for a kind that is quicker then is made 2 min after it timed out", async () => {
    const { answers, clock, scrape, paths } = target();
    answers.set("a", fails("timeout"));
    await scrape(["a"]);
    clock.ms = 2 * MINUTE - 1;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
    clock.ms = 2 * MINUTE;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
  });

  test("one that timed out then as well has a quarter of the interval to wait", async () => {
    const { answers, clock, scrape, paths } = target();
    answers.set("a", fails("timeout"));
    await scrape(["a"]);
    clock.ms = 2 * MINUTE;
    await scrape(["a"]);
    paths();
    clock.ms = 4 * MINUTE;
    await scrape(["a"]);
    expect(paths()).toEqual([]);
    clock.ms = 2 * MINUTE + HOUR / 4;
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
  });

  test("one that fails again and again keeps no other from its turn", async () => {
    const { answers, clock, scrape, paths } = target();
    await scrape(["b"]);
    answers.set("a", fails("timeout"));
    for (; clock.ms <= HOUR + 2 * MINUTE; clock.ms += MINUTE) await scrape(["a", "b"]);
    expect(paths().filter((path) => path === "b")).toHaveLength(2);
  });

  test("a bug comes out where it is asked for, and takes nothing else along", async () => {
    const { answers, scrape } = target();
    answers.set("a", async () => {
      throw new TypeError("a bug");
    });
    await expect(scrape(["a"])).rejects.toThrow("a bug");
    expect((await scrape(["b"])).values).toEqual(["b"]);
  });
});

describe("readings that go on in another process", () => {
  const reborn = (saved: unknown, ms: number) => {
    const clock = { now: () => ms, unixMs: () => 1_774_000_000_000 + ms };
    const slow = new SlowReadings({ clock });
    slow.restore(v.parse(SavedReadingsSchema, JSON.parse(JSON.stringify(saved))));
    return target(slow);
  };

  test("are known there, with what they were about and when they were made", async () => {
    const first = target();
    await first.scrape(["a"], { about: ["sda"] });
    const { scrape, paths } = reborn(first.slow.saved(), MINUTE);
    expect(await scrape(["a"], { about: ["sda"] })).toEqual({
      values: ["a"],
      reasons: [],
      made: [{ subject: "a", unixSeconds: 1_774_000_000 }],
    });
    expect(paths()).toEqual([]);
  });

  test("have failed there too, and wait as long", async () => {
    const first = target();
    first.answers.set("a", fails("forbidden"));
    await first.scrape(["a"]);
    const { scrape, paths } = reborn(first.slow.saved(), HOUR / 4 - 1);
    expect((await scrape(["a"])).reasons).toEqual(["forbidden"]);
    expect(paths()).toEqual([]);
  });

  test("take turns there too, whatever is asked for first, and whatever is not asked for any more", async () => {
    const asked: string[] = [];
    let saved: unknown = [];
    for (const subjects of ["abc", "abc", "ac", "ac", "abc", "c", "c", "c", "c", "c"]) {
      const { slow, scrape, paths } = reborn(saved, asked.length * MINUTE);
      await scrape([...subjects], { intervalMs: MINUTE });
      asked.push(paths().join());
      saved = slow.saved();
    }
    // In the end a and b wait, and hold c up for three runs.
    expect(asked).toEqual(["a", "b", "c", "a", "c", "", "", "", "c", "c"]);
  });

  test("are forgotten where they come from the future of another clock", async () => {
    const first = target();
    first.clock.ms = HOUR;
    await first.scrape(["a"]);
    const { scrape, paths } = reborn(first.slow.saved(), MINUTE);
    await scrape(["a"]);
    expect(paths()).toEqual(["a"]);
  });

  test("are made anew where another release of this program kept them in another form", async () => {
    const first = target();
    await first.scrape(["a"]);
    const saved = first.slow.saved().map((entry) => ({ ...entry, value: { other: 1 } }));
    const { scrape, paths } = reborn(saved, MINUTE);
    expect((await scrape(["a"])).values).toEqual(["a"]);
    expect(paths()).toEqual(["a"]);
  });
});
