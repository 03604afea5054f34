import { describe, expect, test } from "bun:test";
import type { Collection } from "../../src/metrics/collector.ts";
import { counter, histogram } from "../../src/metrics/descriptor.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { FakeCollector, heldCollector, ownMetrics, recordingLog, sampleOf, seriesOf } from "./fakes.ts";

const never = () => new Promise<Collection>(() => {});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function scraperOf(...collectors: FakeCollector[]) {
  const own = ownMetrics();
  const log = recordingLog();
  return { scraper: new Scraper(collectors, own, log), own, log };
}

const verdictsOf = (sets: readonly Samples[]) =>
  seriesOf(sets).filter((line) => line.startsWith("plumbline_collector_success"));
const valuesOf = (sets: readonly Samples[]) => seriesOf(sets).filter((line) => line.startsWith("test_"));
const timeoutsOf = async (own: ReturnType<typeof ownMetrics>) =>
  seriesOf([await own.samples()]).filter((line) => line.startsWith("plumbline_collector_timeout_total"));

describe("a scrape", () => {
  test("has the samples, success and duration of every collector", async () => {
    const { scraper } = scraperOf(new FakeCollector("a"), new FakeCollector("b"));
    const { sets, outcomes } = await scraper.scrape({ timeoutMs: 1000 });
    expect(valuesOf(sets)).toEqual(['test_value{collector="a"} 1', 'test_value{collector="b"} 1']);
    expect(verdictsOf(sets)).toEqual([
      'plumbline_collector_success{collector="a"} 1',
      'plumbline_collector_success{collector="b"} 1',
    ]);
    expect(seriesOf(sets).filter((line) => line.includes("duration_seconds"))).toHaveLength(2);
    expect(outcomes.map(({ collector, success, samples }) => ({ collector, success, samples }))).toEqual([
      { collector: "a", success: true, samples: 1 },
      { collector: "b", success: true, samples: 1 },
    ]);
  });

  test("runs a collector on demand where it is named, and counts and awaits it nowhere else", async () => {
    const [always, onDemand] = [new FakeCollector("a"), new FakeCollector("b")];
    onDemand.isOnDemand = true;
    const { scraper, own } = scraperOf(always, onDemand);
    expect(await timeoutsOf(own)).toEqual(['plumbline_collector_timeout_total{collector="a"} 0']);
    expect(verdictsOf((await scraper.scrape({ timeoutMs: 1000 })).sets)).toHaveLength(1);
    expect(scraper.neverRan()).toEqual([]);
    expect(onDemand.starts).toBe(0);
    const { sets } = await scraper.scrape({ only: ["b"], timeoutMs: 1000 });
    expect(valuesOf(sets)).toEqual(['test_value{collector="b"} 1']);
    expect(scraper.lastOutcomes().map(({ collector }) => collector)).toEqual(["a", "b"]);
  });

  test("starts all collectors before it waits for any", async () => {
    const first = heldCollector("a");
    const second = heldCollector("b");
    const { scraper } = scraperOf(first.collector, second.collector);
    const scrape = scraper.scrape({ timeoutMs: 1000 });
    expect([first.runs.length, second.runs.length]).toEqual([1, 1]);
    second.runs[0]?.finish();
    first.runs[0]?.finish();
    expect(valuesOf((await scrape).sets)).toHaveLength(2);
  });

  test("runs only the collectors asked for, each once, in their own order", async () => {
    const a = new FakeCollector("a");
    const b = new FakeCollector("b");
    const c = new FakeCollector("c");
    const { scraper } = scraperOf(a, b, c);
    const { outcomes } = await scraper.scrape({ only: ["c", "a", "c"], timeoutMs: 1000 });
    expect(outcomes.map(({ collector }) => collector)).toEqual(["a", "c"]);
    expect([a.starts, b.starts, c.starts]).toEqual([1, 0, 1]);
  });

  test("rejects the name of a collector that it does not have", async () => {
    const { scraper } = scraperOf(new FakeCollector("a"));
    expect(scraper.scrape({ only: ["a", "x"], timeoutMs: 1000 })).rejects.toThrow(
      'there is no collector "x"',
    );
  });

  test("of no collectors answers at once", async () => {
    const { scraper } = scraperOf();
    expect(await scraper.scrape({ timeoutMs: 1000 })).toMatchObject({ outcomes: [] });
  });

  test("makes every set of samples anew: what vanished is gone", async () => {
    let present = true;
    const collector = new FakeCollector("a", async () => ({
      samples: present ? sampleOf("a") : new Samples(),
      success: true,
    }));
    const { scraper } = scraperOf(collector);
    expect(valuesOf((await scraper.scrape({ timeoutMs: 1000 })).sets)).toHaveLength(1);
    present = false;
    expect(valuesOf((await scraper.scrape({ timeoutMs: 1000 })).sets)).toEqual([]);
  });

  test("counts the series of histograms too", async () => {
    const seconds = histogram("test_seconds", "Seconds", []);
    const events = counter("test_events_total", "Events", []);
    const { scraper } = scraperOf(
      new FakeCollector("a", async () => {
        const samples = new Samples();
        samples.addHistogram(seconds, {}, { upperBounds: [1, 2], counts: [1, 2], count: 3, sum: 4 });
        samples.add(events, {}, 7n);
        return { samples, success: true };
      }),
    );
    expect((await scraper.scrape({ timeoutMs: 1000 })).outcomes[0]?.samples).toBe(6);
  });

  test("serves the samples of a collector that read a part, with success 0", async () => {
    const { scraper, log } = scraperOf(
      new FakeCollector("a", async () => ({ samples: sampleOf("a"), success: false })),
    );
    const { sets, outcomes } = await scraper.scrape({ timeoutMs: 1000 });
    expect(valuesOf(sets)).toHaveLength(1);
    expect(verdictsOf(sets)).toEqual(['plumbline_collector_success{collector="a"} 0']);
    expect(outcomes[0]?.error).toContain("a part could not be read");
    expect(log.lines).toEqual([]);
  });
});

describe("a collector that fails", () => {
  const unprintable = {
    toString() {
      throw new Error("no text");
    },
  };
  const failures: [string, () => Promise<Collection>, string][] = [
    ["rejects with an Error", () => Promise.reject(new Error("no such node")), "no such node"],
    ["rejects with an Error without a message", () => Promise.reject(new RangeError()), "RangeError"],
    ["rejects with a string", () => Promise.reject("boom"), "threw boom"],
    ["rejects with undefined", () => Promise.reject(undefined), "threw undefined"],
    ["rejects with null", () => Promise.reject(null), "threw null"],
    ["rejects with a symbol", () => Promise.reject(Symbol("odd")), "threw Symbol(odd)"],
    [
      "rejects with an object without text",
      () => Promise.reject(unprintable),
      "threw something that has no text",
    ],
    ["rejects with a bare object", () => Promise.reject(Object.create(null)), "has no text"],
    [
      "throws before its first await",
      () => {
        throw new Error("at once");
      },
      "at once",
    ],
    [
      "throws a non-Error before its first await",
      () => {
        throw 42;
      },
      "threw 42",
    ],
    ["gives something that is no collection", async () => JSON.parse("null"), "null"],
    ["gives a collection without samples", async () => JSON.parse('{"success":true}'), "undefined"],
    ["has a very long error", () => Promise.reject(new Error("x".repeat(100_000))), "x".repeat(500)],
  ];
  test.each(failures)("because it %s loses only itself", async (_how, collect, message) => {
    const { scraper } = scraperOf(new FakeCollector("bad", collect), new FakeCollector("good"));
    const { sets, outcomes } = await scraper.scrape({ timeoutMs: 1000 });
    expect(valuesOf(sets)).toEqual(['test_value{collector="good"} 1']);
    expect(verdictsOf(sets)).toEqual([
      'plumbline_collector_success{collector="bad"} 0',
      'plumbline_collector_success{collector="good"} 1',
    ]);
    expect(outcomes[0]?.error).toContain(message);
    expect(outcomes[0]?.error?.length).toBeLessThanOrEqual(500);
  });

  test("is one failure, however often it resolves and rejects", async () => {
    const collector = new FakeCollector(
      "a",
      () =>
        new Promise((resolve, reject) => {
          resolve({ samples: sampleOf("a", 1), success: true });
          resolve({ samples: sampleOf("a", 2), success: true });
          reject(new Error("too late"));
        }),
    );
    const { scraper } = scraperOf(collector);
    expect(valuesOf((await scraper.scrape({ timeoutMs: 1000 })).sets)).toEqual([
      'test_value{collector="a"} 1',
    ]);
  });

  test("is logged when it starts and when it works again, not at every scrape", async () => {
    let broken = true;
    const { scraper, log } = scraperOf(
      new FakeCollector("a", async () => {
        if (broken) throw new Error("no such node");
        return { samples: sampleOf("a"), success: true };
      }),
    );
    for (let scrape = 0; scrape < 5; scrape++) await scraper.scrape({ timeoutMs: 1000 });
    expect(log.lines).toEqual([
      { level: "error", message: "collector failed", fields: { collector: "a", err: "no such node" } },
    ]);
    broken = false;
    await scraper.scrape({ timeoutMs: 1000 });
    await scraper.scrape({ timeoutMs: 1000 });
    expect(log.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "error collector failed",
      "info collector works again",
    ]);
  });
});

describe("at the deadline", () => {
  test("what has arrived is served, and the rest is aborted and counted", async () => {
    const hanging = new FakeCollector("hanging", never);
    const { scraper, own } = scraperOf(hanging, new FakeCollector("quick"));
    const { sets, outcomes } = await scraper.scrape({ timeoutMs: 30 });
    expect(valuesOf(sets)).toEqual(['test_value{collector="quick"} 1']);
    expect(verdictsOf(sets)).toEqual([
      'plumbline_collector_success{collector="hanging"} 0',
      'plumbline_collector_success{collector="quick"} 1',
    ]);
    expect(outcomes[0]?.error).toBe("not done after 0.0 s");
    expect(hanging.contexts[0]?.signal.aborted).toBe(true);
    expect(await timeoutsOf(own)).toEqual([
      'plumbline_collector_timeout_total{collector="hanging"} 1',
      'plumbline_collector_timeout_total{collector="quick"} 0',
    ]);
  });

  test("the signal of a collector that was in time stays as it is", async () => {
    const quick = new FakeCollector("quick");
    const { scraper } = scraperOf(new FakeCollector("hanging", never), quick);
    await scraper.scrape({ timeoutMs: 20 });
    expect(quick.contexts[0]?.signal.aborted).toBe(false);
  });

  test("the collector knows when it is, on the monotonic clock", async () => {
    const collector = new FakeCollector("a");
    const { scraper } = scraperOf(collector);
    const before = performance.now();
    await scraper.scrape({ timeoutMs: 5000 });
    const deadline = collector.contexts[0]?.deadline ?? 0;
    expect(deadline).toBeGreaterThanOrEqual(before + 5000);
    expect(deadline).toBeLessThanOrEqual(performance.now() + 5000);
  });

  test("a clock that jumps back changes nothing", async () => {
    const clock = Date.now;
    const { scraper, own } = scraperOf(new FakeCollector("hanging", never), new FakeCollector("quick"));
    try {
      Date.now = () => clock() - 86_400_000;
      const { sets } = await scraper.scrape({ timeoutMs: 20 });
      expect(valuesOf(sets)).toHaveLength(1);
      expect(seriesOf(sets).filter((line) => /duration_seconds.* -/.test(line))).toEqual([]);
      expect((await timeoutsOf(own))[0]).toEndWith(" 1");
    } finally {
      Date.now = clock;
    }
  });

  test("a time too long for a timer is no time that is over", async () => {
    const held = heldCollector("a");
    const { scraper } = scraperOf(held.collector);
    const scrape = scraper.scrape({ timeoutMs: 1e12 });
    await pause(10);
    held.runs[0]?.finish();
    expect(valuesOf((await scrape).sets)).toHaveLength(1);
  });

  test("a late result is thrown away, also for the next scrape", async () => {
    const held = heldCollector("a");
    const { scraper } = scraperOf(held.collector);
    const late = await scraper.scrape({ timeoutMs: 10 });
    held.runs[0]?.finish(111);
    await pause(0);
    expect(valuesOf(late.sets)).toEqual([]);
    expect(scraper.lastOutcomes()[0]?.success).toBe(false);
    const next = scraper.scrape({ timeoutMs: 1000 });
    held.runs[1]?.finish(222);
    expect(valuesOf((await next).sets)).toEqual(['test_value{collector="a"} 222']);
  });

  test("a late error is thrown away too", async () => {
    const held = heldCollector("a");
    const { scraper, log } = scraperOf(held.collector);
    await scraper.scrape({ timeoutMs: 10 });
    held.runs[0]?.fail(new Error("aborted"));
    await pause(0);
    expect(log.lines.map(({ fields }) => fields["err"])).toEqual(["not done after 0.0 s"]);
  });

  test("a collector that still hangs is not started a second time", async () => {
    const held = heldCollector("a");
    const { scraper, own } = scraperOf(held.collector, new FakeCollector("b"));
    await scraper.scrape({ timeoutMs: 10 });
    for (let scrape = 0; scrape < 20; scrape++) {
      const { sets, outcomes } = await scraper.scrape({ timeoutMs: 10_000 });
      expect(valuesOf(sets)).toEqual(['test_value{collector="b"} 1']);
      expect(outcomes[0]?.error).toContain("still running from an earlier scrape");
      expect(outcomes[0]?.success).toBe(false);
    }
    expect(held.collector.starts).toBe(1);
    expect(await timeoutsOf(own)).toContain('plumbline_collector_timeout_total{collector="a"} 1');
    held.runs[0]?.finish();
    await pause(0);
    const next = scraper.scrape({ timeoutMs: 1000 });
    held.runs[1]?.finish(3);
    expect(valuesOf((await next).sets)).toContain('test_value{collector="a"} 3');
  });
});

describe("overlapping scrapes", () => {
  test("of the same collectors share one run and its result", async () => {
    const held = heldCollector("a");
    const quick = new FakeCollector("b");
    const { scraper } = scraperOf(held.collector, quick);
    const scrapes = [1, 2, 3].map(() => scraper.scrape({ timeoutMs: 1000 }));
    await pause(5);
    scrapes.push(scraper.scrape({ only: ["b", "a"], timeoutMs: 1000 }));
    held.runs[0]?.finish(7);
    for (const { sets } of await Promise.all(scrapes)) {
      expect(valuesOf(sets)).toEqual(['test_value{collector="a"} 7', 'test_value{collector="b"} 1']);
    }
    expect([held.collector.starts, quick.starts]).toEqual([1, 1]);
  });

  test("end: the next scrape reads anew", async () => {
    const collector = new FakeCollector("a");
    const { scraper } = scraperOf(collector);
    await scraper.scrape({ timeoutMs: 1000 });
    await scraper.scrape({ timeoutMs: 1000 });
    expect(collector.starts).toBe(2);
  });

  test("share the run of a collector also where they ask for different ones", async () => {
    const held = heldCollector("a");
    const quick = new FakeCollector("b");
    const { scraper } = scraperOf(held.collector, quick);
    const both = scraper.scrape({ timeoutMs: 1000 });
    const one = scraper.scrape({ only: ["a"], timeoutMs: 1000 });
    held.runs[0]?.finish(7);
    expect(valuesOf((await one).sets)).toEqual(['test_value{collector="a"} 7']);
    expect(valuesOf((await both).sets)).toHaveLength(2);
    expect(held.collector.starts).toBe(1);
  });

  test("each answer by their own deadline: who has less time leaves with what has arrived", async () => {
    const held = heldCollector("a");
    const { scraper, own } = scraperOf(held.collector, new FakeCollector("b"));
    const patient = scraper.scrape({ timeoutMs: 5000 });
    const hurried = await scraper.scrape({ timeoutMs: 20 });
    expect(valuesOf(hurried.sets)).toEqual(['test_value{collector="b"} 1']);
    expect(verdictsOf(hurried.sets)).toContain('plumbline_collector_success{collector="a"} 0');
    expect(held.collector.contexts[0]?.signal.aborted).toBe(false);
    held.runs[0]?.finish(7);
    expect(valuesOf((await patient).sets)).toContain('test_value{collector="a"} 7');
    expect(await timeoutsOf(own)).toContain('plumbline_collector_timeout_total{collector="a"} 1');
  });

  test("are late together: who has more time gets the same answer at the first one's deadline", async () => {
    const hanging = new FakeCollector("a", never);
    const { scraper, own } = scraperOf(hanging, new FakeCollector("b"));
    const hurried = scraper.scrape({ timeoutMs: 30 });
    const patient = scraper.scrape({ timeoutMs: 60_000 });
    for (const { sets } of await Promise.all([hurried, patient])) {
      expect(verdictsOf(sets)).toEqual([
        'plumbline_collector_success{collector="a"} 0',
        'plumbline_collector_success{collector="b"} 1',
      ]);
    }
    expect(await timeoutsOf(own)).toContain('plumbline_collector_timeout_total{collector="a"} 1');
  });
});

describe("a client that disconnects", () => {
  test("ends the collectors that only it waited for, without a failure", async () => {
    const hanging = new FakeCollector("a", never);
    const { scraper, log, own } = scraperOf(hanging);
    const client = new AbortController();
    const scrape = scraper.scrape({ timeoutMs: 60_000, signal: client.signal });
    client.abort(new Error("client has gone"));
    expect(scrape).rejects.toThrow("client has gone");
    await scrape.catch(() => {});
    expect(hanging.contexts[0]?.signal.aborted).toBe(true);
    expect(log.lines).toEqual([]);
    expect(scraper.lastOutcomes()).toEqual([]);
    expect(await timeoutsOf(own)).toEqual(['plumbline_collector_timeout_total{collector="a"} 0']);
  });

  test("takes nothing from the others who wait", async () => {
    const held = heldCollector("a");
    const { scraper } = scraperOf(held.collector);
    const client = new AbortController();
    const gone = scraper.scrape({ timeoutMs: 60_000, signal: client.signal });
    const other = scraper.scrape({ timeoutMs: 60_000 });
    client.abort();
    await gone.catch(() => {});
    expect(held.collector.contexts[0]?.signal.aborted).toBe(false);
    held.runs[0]?.finish(7);
    expect(valuesOf((await other).sets)).toEqual(['test_value{collector="a"} 7']);
  });

  test("before its scrape begins starts nothing", async () => {
    const collector = new FakeCollector("a");
    const { scraper } = scraperOf(collector);
    const scrape = scraper.scrape({ timeoutMs: 1000, signal: AbortSignal.abort(new Error("gone")) });
    expect(scrape).rejects.toThrow("gone");
    await scrape.catch(() => {});
    expect(collector.starts).toBe(0);
  });
});

describe("the scraper", () => {
  test("tells how each collector ended last, and which never ran", async () => {
    const { scraper } = scraperOf(
      new FakeCollector("a"),
      new FakeCollector("b", () => Promise.reject(new Error("no"))),
    );
    expect(scraper.neverRan()).toEqual(["a", "b"]);
    await scraper.scrape({ only: ["b"], timeoutMs: 1000 });
    expect(scraper.neverRan()).toEqual(["a"]);
    await scraper.scrape({ timeoutMs: 1000 });
    expect(scraper.neverRan()).toEqual([]);
    expect(scraper.lastOutcomes().map(({ collector, error }) => [collector, error])).toEqual([
      ["a", undefined],
      ["b", "no"],
    ]);
    expect(scraper.lastOutcomes()[0]?.at).toBeInstanceOf(Date);
  });

  test("is idle once the running scrapes have their results", async () => {
    const held = heldCollector("a");
    const { scraper } = scraperOf(held.collector);
    await scraper.idle();
    const events: string[] = [];
    const scrape = scraper.scrape({ timeoutMs: 60_000 }).then(() => events.push("result"));
    const idle = scraper.idle().then(() => events.push("idle"));
    await pause(5);
    expect(events).toEqual([]);
    held.runs[0]?.finish();
    await Promise.all([scrape, idle]);
    expect(events).toEqual(["result", "idle"]);
  });

  test("refuses two collectors of one name", () => {
    expect(() => scraperOf(new FakeCollector("a"), new FakeCollector("a"))).toThrow("the same name");
  });
});
