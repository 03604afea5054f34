/**
 * Brings the samples of all collectors together: one family a name, each series once. Prometheus refuses a whole
 * answer in which a family or a series stands twice, so the first in the collectors' order is kept.
 */
import type { Descriptor } from "./descriptor.ts";
import type { Samples, SampleValue } from "./samples.ts";
import type { States } from "./states.ts";

export type Labels = Readonly<Record<string, string | undefined>>;

export interface Family {
  readonly descriptor: Descriptor;
  /** The descriptor's labels, then those that only a later descriptor of the same name has. */
  readonly labelNames: readonly string[];
  readonly labels: readonly Labels[];
  readonly values: readonly SampleValue[];
}

/** Counts series that were left out, and describes the first of them. */
export class Duplicates {
  static readonly #MOST_DESCRIBED = 20;
  static readonly #LONGEST_DESCRIPTION = 300;

  readonly described: string[] = [];
  count = 0;

  add(series: number, describe: () => string): void {
    this.count += series;
    if (this.described.length < Duplicates.#MOST_DESCRIBED)
      this.described.push(describe().slice(0, Duplicates.#LONGEST_DESCRIPTION).toWellFormed());
  }
}

/** Families by name, in no order; their series as the collectors gave them. */
export function mergeFamilies(sets: readonly Samples[], duplicates: Duplicates): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const set of sets) {
    for (const { descriptor, labels, values } of set.families.values()) {
      const { name, type } = descriptor;
      const known = families.get(name);
      if (known !== undefined && values.length === 0) continue;
      if (known === undefined)
        families.set(name, { descriptor, labelNames: descriptor.labels, labels, values });
      else if (known.descriptor.type === type) families.set(name, joined(known, descriptor, labels, values));
      else
        duplicates.add(
          values.length,
          () => `${name} as a ${type}: it is already there as a ${known.descriptor.type}`,
        );
    }
  }
  dropHistogramClashes(families, duplicates);
  return families;
}

/** The family in the order of its label values, without series that are there already. */
export function sortFamily(unsorted: Family, duplicates: Duplicates): Family {
  const family = withoutStates(unsorted);
  const { descriptor, labelNames, values } = family;
  // Two values that differ in a lone surrogate alone are the same U+FFFD in the answer.
  const labels = family.labels.every(isWellFormed) ? family.labels : family.labels.map(wellFormed);
  const order = labels
    .map((_, index) => index)
    .sort((a, b) => compareSeries(labelNames, labels[a] ?? {}, labels[b] ?? {}) || a - b);
  const sorted: { labels: Labels[]; values: SampleValue[] } = { labels: [], values: [] };
  for (const index of order) {
    const series = labels[index];
    const value = values[index];
    if (series === undefined || value === undefined) continue;
    const before = sorted.labels.at(-1);
    if (before !== undefined && compareSeries(labelNames, before, series) === 0)
      duplicates.add(1, () => `${describeSeries(descriptor.name, labelNames, series)}: it is already there`);
    else {
      sorted.labels.push(series);
      sorted.values.push(value);
    }
  }
  return { descriptor, labelNames, ...sorted };
}

/** Each state as a series of its own, which may be there already. */
function withoutStates(family: Family): Family {
  if (!family.values.some(isStates)) return family;
  const labels: Labels[] = [];
  const values: SampleValue[] = [];
  for (const [index, value] of family.values.entries()) {
    const series = family.labels[index] ?? {};
    if (!isStates(value)) {
      labels.push(series);
      values.push(value);
      continue;
    }
    for (const [state, name] of value.names.entries()) {
      labels.push({ ...series, [value.label]: name });
      values.push(value.values[state] ?? 0);
    }
  }
  return { ...family, labels, values };
}

export const isStates = (value: SampleValue): value is States =>
  typeof value === "object" && "names" in value;

/** By label values, in the order of the names. A label that is empty and one that is missing are the same. */
export function compareSeries(labelNames: readonly string[], a: Labels, b: Labels): number {
  for (const name of labelNames) {
    const left = a[name] ?? "";
    const right = b[name] ?? "";
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

function joined(
  known: Family,
  descriptor: Descriptor,
  labels: Family["labels"],
  values: Family["values"],
): Family {
  return {
    descriptor: known.descriptor,
    labelNames:
      descriptor === known.descriptor
        ? known.labelNames
        : [...new Set([...known.labelNames, ...descriptor.labels])],
    labels: [...known.labels, ...labels],
    values: [...known.values, ...values],
  };
}

/** The lines of a histogram or a summary have names of their own, which no other family may have. */
function dropHistogramClashes(families: Map<string, Family>, duplicates: Duplicates): void {
  for (const { descriptor } of [...families.values()]) {
    const { type } = descriptor;
    if (type !== "histogram" && type !== "summary") continue;
    for (const suffix of type === "summary" ? ["_count", "_sum"] : ["_bucket", "_count", "_sum"]) {
      const name = descriptor.name + suffix;
      const clashing = families.get(name);
      if (clashing === undefined) continue;
      families.delete(name);
      duplicates.add(clashing.values.length, () => `${name}: it is part of the ${type} ${descriptor.name}`);
    }
  }
}

function isWellFormed(labels: Labels): boolean {
  return Object.values(labels).every((value) => value?.isWellFormed() ?? true);
}

function wellFormed(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, value?.toWellFormed()]));
}

function describeSeries(name: string, labelNames: readonly string[], labels: Labels): string {
  const pairs = labelNames.flatMap((label) => {
    const value = labels[label];
    return value === undefined ? [] : `${label}=${JSON.stringify(value.slice(0, 100))}`;
  });
  return `${name}{${pairs.join(",")}}`;
}
