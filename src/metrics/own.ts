/**
 * The exporter's own counters, gauges and histograms, kept by prom-client in one registry. A scrape takes them out
 * as samples, so that the same writer renders them beside everything else.
 */
import Counter from "prom-client/lib/counter.js";
import Gauge from "prom-client/lib/gauge.js";
import Histogram from "prom-client/lib/histogram.js";
import Registry from "prom-client/lib/registry.js";
import * as v from "valibot";
import type { Descriptor } from "./descriptor.ts";
import { BUILD_INFO } from "./own-descriptors.ts";
import { observeProcess } from "./process.ts";
import { Samples } from "./samples.ts";

export { COLLECTOR_DURATION_SECONDS, COLLECTOR_SUCCESS } from "./own-descriptors.ts";

export interface BuildInfo {
  readonly version: string;
  readonly revision: string;
  readonly runtime: string;
  readonly runtimeVersion: string;
}

/** What goes on from one run of `plumbline textfile` to the next: for each metric name, its series. */
export const SavedValuesSchema = v.record(
  v.string(),
  v.array(
    v.object({
      labels: v.record(v.string(), v.string()),
      value: v.pipe(v.number(), v.finite(), v.minValue(0)),
    }),
  ),
);
export type SavedValues = v.InferOutput<typeof SavedValuesSchema>;

type ScalarDescriptor = Descriptor<string, "counter" | "gauge">;
type HistogramDescriptor = Descriptor<string, "histogram" | "summary">;
type PromLabels = Readonly<Record<string, string | number | undefined>>;

interface Scalar {
  readonly descriptor: ScalarDescriptor;
  readonly metric: Counter | Gauge;
}

interface KeptHistogram {
  readonly descriptor: HistogramDescriptor;
  readonly metric: Histogram;
  readonly upperBounds: readonly number[];
}

export class OwnMetrics {
  readonly #registry = new Registry();
  readonly #scalars = new Map<string, Scalar>();
  readonly #histograms = new Map<string, KeptHistogram>();
  /** Restored series of metrics that are not registered yet. */
  readonly #restored = new Map<string, SavedValues[string]>();

  constructor(build: BuildInfo, options: { readonly processMetrics: boolean }) {
    this.gauge(BUILD_INFO).set(
      {
        version: build.version,
        revision: build.revision,
        runtime: build.runtime,
        runtime_version: build.runtimeVersion,
      },
      1,
    );
    if (options.processMetrics) observeProcess(this);
  }

  /**
   * The counter of this descriptor, registered the first time. `collect` runs before each export. Throws where
   * another descriptor has the same name.
   */
  counter<Label extends string>(
    descriptor: Descriptor<Label, "counter">,
    collect?: (counter: Counter<Label>) => void,
  ): Counter<Label> {
    const known = this.#registered<Label>(descriptor);
    if (known instanceof Counter) return known;
    const metric: Counter<Label> = new Counter<Label>({
      ...this.#configuration(descriptor),
      ...(collect && { collect: () => collect(metric) }),
    });
    this.#scalars.set(descriptor.name, { descriptor, metric });
    this.#resume(descriptor.name);
    return metric;
  }

  /** As `counter`. A gauge without labels has no value, and is not exported, before it is set. */
  gauge<Label extends string>(
    descriptor: Descriptor<Label, "gauge">,
    collect?: (gauge: Gauge<Label>) => void,
  ): Gauge<Label> {
    const known = this.#registered<Label>(descriptor);
    if (known instanceof Gauge) return known;
    const metric: Gauge<Label> = new Gauge<Label>({
      ...this.#configuration(descriptor),
      ...(collect && { collect: () => collect(metric) }),
    });
    if (descriptor.labels.length === 0) metric.remove();
    this.#scalars.set(descriptor.name, { descriptor, metric });
    this.#resume(descriptor.name);
    return metric;
  }

  /** As `counter`; `upperBounds` ascend, without +Inf. */
  histogram<Label extends string>(
    descriptor: Descriptor<Label, "histogram">,
    upperBounds: readonly number[],
  ): Histogram<Label> {
    const known = this.#registered<Label>(descriptor);
    if (known instanceof Histogram) return known;
    const metric = new Histogram<Label>({ ...this.#configuration(descriptor), buckets: [...upperBounds] });
    this.#histograms.set(descriptor.name, { descriptor, metric, upperBounds });
    return metric;
  }

  /** As `histogram`, without buckets. */
  summary<Label extends string>(descriptor: Descriptor<Label, "summary">): Histogram<Label> {
    const known = this.#registered<Label>(descriptor);
    if (known instanceof Histogram) return known;
    const metric = new Histogram<Label>({ ...this.#configuration(descriptor), buckets: [] });
    this.#histograms.set(descriptor.name, { descriptor, metric, upperBounds: [] });
    return metric;
  }

  /** All series as they stand now. */
  async samples(): Promise<Samples> {
    const samples = new Samples();
    for (const { descriptor, metric } of this.#scalars.values()) {
      for (const { labels, value } of (await metric.get()).values)
        samples.add(descriptor, labelsOf(descriptor, labels), value);
    }
    for (const { descriptor, metric, upperBounds } of this.#histograms.values())
      addHistogram(samples, descriptor, upperBounds, (await metric.get()).values);
    return samples;
  }

  /** Counters and times of last events, for the state of textfile mode. */
  saved(which: (descriptor: Descriptor) => boolean = goesOnFromRunToRun): SavedValues {
    const saved: SavedValues = {};
    for (const { descriptor, metric } of this.#scalars.values()) {
      if (!which(descriptor)) continue;
      saved[descriptor.name] = Object.values(metric.hashMap).map(({ labels, value }) => ({
        labels: Object.fromEntries(Object.entries(labels).map(([name, text]) => [name, String(text)])),
        value,
      }));
    }
    return saved;
  }

  /**
   * Lets counters go on from saved values and sets times of last events; also for metrics that are registered later.
   * What no longer fits its descriptor is forgotten.
   */
  restore(saved: SavedValues): void {
    for (const [name, series] of Object.entries(saved)) {
      this.#restored.set(name, series);
      this.#resume(name);
    }
  }

  #registered<Label extends string>(descriptor: Descriptor<Label>) {
    const known = this.#scalars.get(descriptor.name) ?? this.#histograms.get(descriptor.name);
    return known?.descriptor === descriptor
      ? this.#registry.getSingleMetric<Label>(descriptor.name)
      : undefined;
  }

  #configuration<Label extends string>(descriptor: Descriptor<Label>) {
    const { name, help, labels } = descriptor;
    return { name, help, labelNames: labels, registers: [this.#registry] };
  }

  #resume(name: string): void {
    const kept = this.#scalars.get(name);
    if (kept === undefined) return;
    const names = new Set(kept.descriptor.labels);
    for (const { labels, value } of this.#restored.get(name) ?? []) {
      const given = Object.keys(labels);
      if (given.length !== names.size || !given.every((label) => names.has(label))) continue;
      if (kept.metric instanceof Counter) kept.metric.inc(labels, value);
      else kept.metric.set(labels, value);
    }
    this.#restored.delete(name);
  }
}

/** Counters, and gauges that tell when something last happened; what the process itself counts starts anew. */
function goesOnFromRunToRun({ name, type }: Descriptor): boolean {
  if (name.startsWith("process_")) return false;
  return type === "counter" || (type === "gauge" && /_last_.*_(?:timestamp_)?seconds$/.test(name));
}

function labelsOf(descriptor: Descriptor, labels: PromLabels): Record<string, string | undefined> {
  return Object.fromEntries(
    descriptor.labels.map((name) => {
      const value = labels[name];
      return [name, value === undefined ? undefined : String(value)];
    }),
  );
}

/** prom-client gives each series as its buckets, `le` ascending to "+Inf", then the sum and the count. */
function addHistogram(
  samples: Samples,
  descriptor: HistogramDescriptor,
  upperBounds: readonly number[],
  values: readonly { readonly value: number; readonly labels: PromLabels }[],
): void {
  const size = upperBounds.length + 3;
  for (let start = 0; start + size <= values.length; start += size) {
    const series = values.slice(start, start + size);
    const sum = series[size - 2];
    const count = series[size - 1];
    if (sum === undefined || count === undefined) return;
    samples.addHistogram(descriptor, labelsOf(descriptor, count.labels), {
      upperBounds,
      counts: series.slice(0, upperBounds.length).map(({ value }) => value),
      count: count.value,
      sum: sum.value,
    });
  }
}
