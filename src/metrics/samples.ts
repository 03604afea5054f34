/** The samples of one collection: what a collector emits and the exposition renders. */
import type { Descriptor } from "./descriptor.ts";
import type { States } from "./states.ts";

/** Every label of the family must be given; one that is `undefined` is left out of the series. */
export type LabelValues<Label extends string> = Readonly<Record<Label, string | undefined>>;

/** A bigint keeps all digits of a 64- or 128-bit counter. */
export type Value = number | bigint;

/**
 * `counts` are cumulative, one for each of `upperBounds` (ascending, without +Inf); `count` is the +Inf bucket. A
 * summary has no bounds and shows no bucket.
 */
export interface HistogramValue {
  readonly upperBounds: readonly number[];
  readonly counts: readonly Value[];
  readonly count: Value;
  /** Left out where the source keeps no sum: then there is no `_sum`, and in OpenMetrics no `_count` either. */
  readonly sum?: Value;
}

export type SampleValue = Value | HistogramValue | States;

export interface FamilySamples<V = SampleValue> {
  readonly descriptor: Descriptor;
  readonly labels: Readonly<Record<string, string | undefined>>[];
  readonly values: V[];
}

export class Samples {
  readonly families = new Map<Descriptor, FamilySamples>();

  /** The family is exported with its HELP and TYPE also when nothing is added to it. */
  declare(descriptor: Descriptor): void {
    if (!this.families.has(descriptor)) this.families.set(descriptor, { descriptor, labels: [], values: [] });
  }

  add<Label extends string>(
    descriptor: Descriptor<Label, "counter" | "gauge">,
    labels: LabelValues<Label>,
    value: Value,
  ): void {
    this.push(descriptor, labels, value);
  }

  /** Nothing where the value is undefined. */
  addKnown<Label extends string>(
    descriptor: Descriptor<Label, "counter" | "gauge">,
    labels: LabelValues<Label>,
    value: Value | undefined,
  ): void {
    if (value !== undefined) this.push(descriptor, labels, value);
  }

  addHistogram<Label extends string>(
    descriptor: Descriptor<Label, "histogram" | "summary">,
    labels: LabelValues<Label>,
    value: HistogramValue,
  ): void {
    this.push(descriptor, labels, value);
  }

  /** One series for each state; the family's last label is that of `states`. */
  addStates<Label extends string, State extends Label>(
    descriptor: Descriptor<Label, "gauge">,
    labels: LabelValues<Exclude<Label, State>>,
    states: States<State>,
  ): void {
    const { name, labels: names } = descriptor;
    if (names[names.length - 1] !== states.label)
      throw new Error(`the last label of ${name} is not "${states.label}"`);
    this.push(descriptor, labels, states);
  }

  /** As the others, for who has checked the labels otherwise: those that are missing are left out of the series. */
  push(
    descriptor: Descriptor,
    labels: Readonly<Record<string, string | undefined>>,
    value: SampleValue,
  ): void {
    let family = this.families.get(descriptor);
    if (family === undefined) {
      family = { descriptor, labels: [], values: [] };
      this.families.set(descriptor, family);
    }
    family.labels.push(labels);
    family.values.push(value);
  }
}
