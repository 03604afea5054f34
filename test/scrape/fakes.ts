/** Collectors that behave as a test says, and a log that keeps its lines. */
import type { Log, LogFields } from "../../src/log/log.ts";
import type { Collection, Collector, ScrapeContext } from "../../src/metrics/collector.ts";
import { gauge } from "../../src/metrics/descriptor.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { Samples } from "../../src/metrics/samples.ts";

export const VALUE = gauge("test_value", "What the fake collector of this name read", ["collector"]);

export function sampleOf(collector: string, value = 1): Samples {
  const samples = new Samples();
  samples.add(VALUE, { collector }, value);
  return samples;
}

export class FakeCollector implements Collector {
  readonly name: string;
  isOnDemand?: boolean;
  readonly contexts: ScrapeContext[] = [];
  readonly #collect: (context: ScrapeContext) => Promise<Collection>;

  constructor(name: string, collect?: (context: ScrapeContext) => Promise<Collection>) {
    this.name = name;
    this.#collect = collect ?? (async () => ({ samples: sampleOf(name), success: true }));
  }

  /** How often it was started. */
  get starts(): number {
    return this.contexts.length;
  }

  collect(context: ScrapeContext): Promise<Collection> {
    this.contexts.push(context);
    return this.#collect(context);
  }

  check(): Promise<[]> {
    return Promise.resolve([]);
  }
}

/** One whose run ends when the test says so; it takes no notice of its signal. */
export function heldCollector(name: string) {
  const runs: { finish(value?: number): void; fail(error: unknown): void }[] = [];
  const collector = new FakeCollector(
    name,
    () =>
      new Promise((resolve, reject) =>
        runs.push({
          finish: (value) => resolve({ samples: sampleOf(name, value), success: true }),
          fail: reject,
        }),
      ),
  );
  return { collector, runs };
}

export interface LoggedLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

export function recordingLog(): Log & { readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = [];
  const at =
    (level: LoggedLine["level"]) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const ownMetrics = (): OwnMetrics =>
  new OwnMetrics(
    { version: "0.0.0", revision: "test", runtime: "test", runtimeVersion: "0" },
    { processMetrics: false },
  );

/** `name{label="value"} value` of every scalar series, sorted. */
export function seriesOf(sets: readonly Samples[]): string[] {
  const lines: string[] = [];
  for (const { families } of sets) {
    for (const { descriptor, labels, values } of families.values()) {
      for (const [index, value] of values.entries()) {
        const pairs = Object.entries(labels[index] ?? {}).map(([label, text]) => `${label}="${text}"`);
        lines.push(`${descriptor.name}{${pairs.join(",")}} ${value}`);
      }
    }
  }
  return lines.sort();
}
