import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { counter, gauge, histogram } from "../../src/metrics/descriptor.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics, SavedValuesSchema } from "../../src/metrics/own.ts";
import { observeProcess } from "../../src/metrics/process.ts";
import { parseExposition } from "../support/exposition-parser.ts";

const BUILD = { version: "1.2.3", revision: "abc", runtime: "bun", runtimeVersion: "1.4.5" };
const ERRORS = counter("x_errors_total", "Errors", ["device", "reason"]);
const RUNS = counter("x_runs_total", "Runs", []);
const LAST = gauge("x_last_run_timestamp_seconds", "Unix time of the last run in seconds", []);
const DEPTH = gauge("x_depth", "Depth", ["queue"]);
const SECONDS = histogram("x_seconds", "Seconds", ["kind"]);

function own(): OwnMetrics {
  return new OwnMetrics(BUILD, { processMetrics: false });
}

async function lines(metrics: OwnMetrics): Promise<readonly string[]> {
  const { body } = expose([await metrics.samples()], "text");
  const samples = parseExposition(body, "text").flatMap(({ samples }) => samples);
  return samples
    .filter(({ name }) => name !== "plumbline_build_info")
    .map(({ name, labels, value }) => `${name} ${JSON.stringify(labels)} ${value}`);
}

describe("the exporter's own metrics", () => {
  test("name the build", async () => {
    expect(new TextDecoder().decode(expose([await own().samples()], "text").body)).toEndWith(
      'plumbline_build_info{version="1.2.3",revision="abc",runtime="bun",runtime_version="1.4.5"} 1\n',
    );
  });

  test("of all three types come out as samples", async () => {
    const metrics = own();
    metrics.counter(ERRORS).inc({ device: "nvme0", reason: "timeout" });
    metrics.counter(ERRORS).inc({ device: "nvme0", reason: "timeout" }, 2);
    metrics.gauge(DEPTH).set({ queue: "a" }, 4);
    metrics.histogram(SECONDS, [0.1, 1]).observe({ kind: "k" }, 0.5);
    metrics.histogram(SECONDS, [0.1, 1]).observe({ kind: "k" }, 5);
    metrics.histogram(SECONDS, [0.1, 1]).observe({ kind: "l" }, 0.05);
    expect(await lines(metrics)).toEqual([
      'x_depth {"queue":"a"} 4',
      'x_errors_total {"device":"nvme0","reason":"timeout"} 3',
      'x_seconds_bucket {"kind":"k","le":"0.1"} 0',
      'x_seconds_bucket {"kind":"k","le":"1"} 1',
      'x_seconds_bucket {"kind":"k","le":"+Inf"} 2',
      'x_seconds_sum {"kind":"k"} 5.5',
      'x_seconds_count {"kind":"k"} 2',
      'x_seconds_bucket {"kind":"l","le":"0.1"} 1',
      'x_seconds_bucket {"kind":"l","le":"1"} 1',
      'x_seconds_bucket {"kind":"l","le":"+Inf"} 1',
      'x_seconds_sum {"kind":"l"} 0.05',
      'x_seconds_count {"kind":"l"} 1',
    ]);
  });

  test("without labels: a counter begins at 0, a gauge is missing until it is set", async () => {
    const metrics = own();
    metrics.counter(RUNS);
    metrics.gauge(LAST);
    expect(await lines(metrics)).toEqual(["x_runs_total {} 0"]);
    metrics.gauge(LAST).set(17);
    expect(await lines(metrics)).toEqual(["x_last_run_timestamp_seconds {} 17", "x_runs_total {} 0"]);
  });

  test("are the same for the same descriptor, and two descriptors of one name are refused", () => {
    const metrics = own();
    expect(metrics.counter(RUNS)).toBe(metrics.counter(RUNS));
    expect(() => metrics.counter(counter("x_runs_total", "Runs", []))).toThrow("x_runs_total");
    expect(() => metrics.gauge(gauge("x_runs_total", "Runs", []))).toThrow("x_runs_total");
    expect(() => metrics.histogram(histogram("x_runs_total", "Runs", []), [1])).toThrow("x_runs_total");
  });

  test("are each instance's own", async () => {
    own().counter(RUNS).inc();
    const other = own();
    other.counter(RUNS);
    expect(await lines(other)).toEqual(["x_runs_total {} 0"]);
  });
});

describe("saved values", () => {
  function used(): OwnMetrics {
    const metrics = own();
    metrics.counter(ERRORS).inc({ device: 'nvme"0', reason: "timeout" }, 3);
    metrics.counter(RUNS).inc(7);
    metrics.gauge(LAST).set(1_700_000_000);
    metrics.gauge(DEPTH).set({ queue: "a" }, 4);
    return metrics;
  }

  test("hold counters and times of last events, and nothing else", () => {
    expect(used().saved()).toEqual({
      x_errors_total: [{ labels: { device: 'nvme"0', reason: "timeout" }, value: 3 }],
      x_runs_total: [{ labels: {}, value: 7 }],
      x_last_run_timestamp_seconds: [{ labels: {}, value: 1_700_000_000 }],
    });
  });

  test("hold what is asked for", () => {
    expect(Object.keys(used().saved((descriptor) => descriptor === RUNS))).toEqual(["x_runs_total"]);
  });

  test("go through JSON and the schema, and are gone on from", async () => {
    const text = JSON.stringify(used().saved());
    const metrics = own();
    metrics.counter(ERRORS);
    metrics.restore(v.parse(SavedValuesSchema, JSON.parse(text)));
    metrics.gauge(LAST);
    metrics.counter(ERRORS).inc({ device: 'nvme"0', reason: "timeout" });
    metrics.counter(RUNS).inc();
    expect(await lines(metrics)).toEqual([
      'x_errors_total {"device":"nvme\\"0","reason":"timeout"} 4',
      "x_last_run_timestamp_seconds {} 1700000000",
      "x_runs_total {} 8",
    ]);
  });

  test("that do not fit the descriptor any more are forgotten", async () => {
    const metrics = own();
    metrics.restore({
      x_errors_total: [
        { labels: { device: "a" }, value: 1 },
        { labels: { device: "a", cause: "b" }, value: 1 },
        { labels: { device: "a", reason: "b", more: "c" }, value: 1 },
      ],
      x_unknown_total: [{ labels: {}, value: 1 }],
    });
    metrics.counter(ERRORS);
    expect(await lines(metrics)).toEqual([]);
  });

  test.each([
    ["a negative counter", { x: [{ labels: {}, value: -1 }] }],
    ["a value that is no number", { x: [{ labels: {}, value: "1" }] }],
    ["a label that is no text", { x: [{ labels: { a: 1 }, value: 1 }] }],
  ])("with %s are refused by the schema", (_, saved) => {
    expect(v.is(SavedValuesSchema, saved)).toBe(false);
  });
});

describe("process metrics", () => {
  const NAMES = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
  ];

  async function values(metrics: OwnMetrics): Promise<ReadonlyMap<string, number>> {
    const families = parseExposition(expose([await metrics.samples()], "openmetrics").body, "openmetrics");
    return new Map(
      families.flatMap(({ samples }) => samples.map(({ name, value }) => [name, Number(value)] as const)),
    );
  }

  test("tell of this process", async () => {
    const metrics = new OwnMetrics(BUILD, { processMetrics: true });
    const read = await values(metrics);
    expect([...read.keys()].filter((name) => name !== "plumbline_build_info")).toEqual(NAMES);
    expect(read.get("process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
    expect(read.get("process_virtual_memory_bytes")).toBeGreaterThan(
      read.get("process_resident_memory_bytes") ?? 0,
    );
    expect(read.get("process_open_fds")).toBeGreaterThan(2);
    expect(read.get("process_max_fds")).toBeGreaterThan(read.get("process_open_fds") ?? 0);
    expect(
      Math.abs((read.get("process_start_time_seconds") ?? 0) - performance.timeOrigin / 1000),
    ).toBeLessThan(1);
    expect(read.get("process_cpu_seconds_total")).toBeGreaterThan(0);
  });

  test("count CPU time from the process' start, and never backwards", async () => {
    const metrics = new OwnMetrics(BUILD, { processMetrics: true });
    const first = (await values(metrics)).get("process_cpu_seconds_total") ?? 0;
    const second = (await values(metrics)).get("process_cpu_seconds_total") ?? 0;
    expect(second).toBeGreaterThanOrEqual(first);
    const { user, system } = process.cpuUsage();
    expect(second).toBeLessThanOrEqual((user + system) / 1e6);
  });

  test("are left out where /proc cannot be read, and as soon as it no longer can", async () => {
    const self = mkdtempSync(join(tmpdir(), "plumbline-proc-"));
    mkdirSync(join(self, "fd"));
    writeFileSync(join(self, "status"), "VmSize:\t    2048 kB\nVmRSS:\t    1024 kB\n");
    const metrics = own();
    observeProcess(metrics, self);
    const before = await values(metrics);
    expect(before.get("process_resident_memory_bytes")).toBe(1024 * 1024);
    expect(before.get("process_virtual_memory_bytes")).toBe(2048 * 1024);
    expect(before.has("process_max_fds")).toBe(false);
    rmSync(self, { recursive: true });
    expect([...(await values(metrics)).keys()]).toEqual([
      "plumbline_build_info",
      "process_cpu_seconds_total",
      "process_start_time_seconds",
    ]);
  });

  test("and no other metrics of the runtime are there", async () => {
    const names = [...(await values(new OwnMetrics(BUILD, { processMetrics: true }))).keys()];
    expect(names.filter((name) => !/^(process|plumbline)_/.test(name))).toEqual([]);
  });
});
