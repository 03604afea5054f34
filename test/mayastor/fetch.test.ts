/** One resource, scrape after scrape: how long it may take, what is counted, and what the log says. */
import { describe, expect, test } from "bun:test";
import { FaultLog } from "../../src/log/faults.ts";
import { type Read, ResourceFetch } from "../../src/mayastor/fetch.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { RestFailure } from "../../src/rest/failure.ts";
import { ownMetrics } from "../support/csi-node.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";
import { seriesOfExposition } from "../support/series.ts";

interface Fetching {
  readonly log: RecordedLog;
  /** What was read, and the series that the scrape gave, the exporter's own included. */
  scrape(about?: { readonly leftMs?: number; readonly signal?: AbortSignal }): Promise<{
    readonly found: string | undefined;
    readonly series: ReadonlyMap<string, number>;
  }>;
}

function fetching(read: Read<string>, timeoutMs = 10_000, own = ownMetrics()): Fetching {
  const log = new RecordedLog();
  const fetch = new ResourceFetch("nodes", read, timeoutMs, own, new FaultLog(log));
  return {
    log,
    async scrape({ leftMs = 10_000, signal = new AbortController().signal } = {}) {
      const samples = new Samples();
      const found = await fetch.run({ signal, deadline: performance.now() + leftMs }, samples);
      const { body } = expose([samples, await own.samples()], "text");
      return { found, series: seriesOfExposition(new TextDecoder().decode(body)) };
    },
  };
}

const FAILURE = new RestFailure("http_5xx", "it answered an error", { status: 503, kind: "Unavailable" });
const SUCCESS = "mayastor_node_status_fetch_success{}";
const LAST = "mayastor_node_status_last_fetch_seconds{}";
const ERRORS = 'mayastor_node_status_fetch_errors_total{reason="http_5xx"}';
const MALFORMED = 'mayastor_items_skipped_total{reason="malformed",resource="nodes"}';

describe("the time that a fetch may take", () => {
  const allowed = async (leftMs: number, timeoutMs: number): Promise<number> => {
    let ms = 0;
    const read: Read<string> = async ({ deadline }) => {
      ms = deadline - performance.now();
      return "";
    };
    await fetching(read, timeoutMs).scrape({ leftMs });
    return ms;
  };

  test("is the setting's where the scrape has longer", async () => {
    expect(await allowed(60_000, 3000)).toBeWithin(2500, 3001);
  });

  test("ends 0.2 s before the scrape does where that is sooner", async () => {
    expect(await allowed(5000, 10_000)).toBeWithin(4300, 4801);
  });

  test("is half of a scrape's that has hardly any", async () => {
    expect(await allowed(100, 10_000)).toBeWithin(0, 51);
  });
});

describe("what is counted", () => {
  test("starts with every reason at 0, and without a last success", async () => {
    const { series } = await fetching(() => Promise.reject(FAILURE)).scrape();
    expect(series.get(ERRORS)).toBe(1);
    expect(series.get(ERRORS.replace("http_5xx", "timeout"))).toBe(0);
    expect(series.get(MALFORMED)).toBe(0);
    expect(series.get('mayastor_unrecognized_values_total{field="cordon_state"}')).toBe(0);
    expect(series.get(SUCCESS)).toBe(0);
    expect(series.has(LAST)).toBe(false);
  });

  test("goes on from what an earlier process saved, the last success as well", async () => {
    const before = ownMetrics();
    await fetching(async () => "", 10_000, before).scrape();
    await fetching(() => Promise.reject(FAILURE), 10_000, before).scrape();
    const own = ownMetrics();
    own.restore(before.saved());
    const { series } = await fetching(() => Promise.reject(FAILURE), 10_000, own).scrape();
    expect(series.get(ERRORS)).toBe(2);
    expect(series.get(LAST)).toBeWithin(Date.now() / 1000 - 60, Date.now() / 1000 + 1);
  });

  test("is what a reading left out, scrape after scrape, and nothing of a reading that failed", async () => {
    let fails = false;
    const { scrape } = fetching(async (_, tally) => {
      tally.skip("malformed");
      tally.skip("malformed");
      tally.skip("ignored");
      tally.unknown("node_status");
      if (fails) throw FAILURE;
      return "";
    });
    await scrape();
    fails = true;
    await scrape();
    fails = false;
    const { series } = await scrape();
    expect(series.get(MALFORMED)).toBe(4);
    expect(series.get(MALFORMED.replace("malformed", "ignored"))).toBe(2);
    expect(series.get('mayastor_unrecognized_values_total{field="node_status"}')).toBe(2);
  });

  test("is nothing where whoever asked has gone: nothing has failed", async () => {
    const asker = new AbortController();
    const { scrape, log } = fetching(({ signal }) => {
      asker.abort(new Error("gone"));
      return Promise.reject(signal.reason);
    });
    await expect(scrape({ signal: asker.signal })).rejects.toThrow("gone");
    expect(log.lines).toEqual([]);
    const { series } = await fetching(async () => "").scrape();
    expect(series.get(ERRORS)).toBe(0);
  });
});

describe("the log", () => {
  const LEFT_OUT = "something of Mayastor's nodes is left out: malformed";

  test("names resource, reason, status and the service's own word, once, and the end with the count", async () => {
    let fails = true;
    const { scrape, log } = fetching(() => (fails ? Promise.reject(FAILURE) : Promise.resolve("")));
    for (let scrapes = 0; scrapes < 3; scrapes++) await scrape();
    fails = false;
    await scrape();
    await scrape();
    const fields = { collector: "mayastor", resource: "nodes" };
    const answer = { reason: "http_5xx", status: 503, kind: "Unavailable", err: "it answered an error" };
    expect(log.lines).toEqual([
      { level: "warn", message: "cannot fetch Mayastor's nodes", fields: { ...fields, ...answer } },
      {
        level: "info",
        message: "Mayastor's nodes can be fetched again",
        fields: { ...fields, count: 3, lasted_seconds: 0 },
      },
    ]);
  });

  test("tells once of entries that are left out and of words that are new, and of the end", async () => {
    let isOdd = true;
    const { scrape, log } = fetching(async (_, tally) => {
      if (!isOdd) return "";
      tally.skip("malformed");
      tally.unknown("cordon_state");
      return "";
    });
    await scrape();
    await scrape();
    isOdd = false;
    await scrape();
    expect(log.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      `warn: ${LEFT_OUT}`,
      "warn: Mayastor's nodes have a cordon_state that plumbline does not know",
      "info: nothing of Mayastor's nodes is left out any more: malformed",
      "info: every cordon_state of Mayastor's nodes is known again",
    ]);
  });

  test("says nothing of entries that the configuration has ignored", async () => {
    const { scrape, log } = fetching(async (_, tally) => {
      tally.skip("ignored");
      return "";
    });
    await scrape();
    expect(log.lines).toEqual([]);
  });
});

test("what is no failure of the request is no failure of the fetch, and reaches the scraper", async () => {
  const { scrape } = fetching(() => Promise.reject(new TypeError("a defect")));
  await expect(scrape()).rejects.toThrow("a defect");
});

test("an open circuit takes no time and makes no attempt", async () => {
  let attempts = 0;
  const { scrape } = fetching(() => {
    attempts++;
    return Promise.reject(new RestFailure("connect", "refused"));
  });
  for (let scrapes = 0; scrapes < 3; scrapes++) await scrape();
  const { series } = await scrape();
  expect(attempts).toBe(3);
  expect(series.get("mayastor_node_status_fetch_duration_seconds{}")).toBe(0);
  expect(series.get(ERRORS.replace("http_5xx", "circuit_open"))).toBe(1);
});
