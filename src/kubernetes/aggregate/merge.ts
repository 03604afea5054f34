/** Brings together what the exporters say: one HELP and one TYPE a family, and no series twice. */
import { NEWLINE } from "./bytes.ts";
import { type PodExposition, type PodFamily, sampleNames } from "./exposition-parser.ts";

export interface Merged {
  /** Families by name, and of each family the exporters in the order in which they were given. */
  readonly pieces: readonly Uint8Array[];
  /** How many samples of each exporter are in them. */
  readonly samples: ReadonlyMap<PodExposition, number>;
  /** None of their samples are in: a family of theirs has another type than with most that have it. */
  readonly conflicting: ReadonlySet<PodExposition>;
}

export function merge(pods: readonly PodExposition[]): Merged {
  const refused = refusedFamilies(pods);
  const conflicting = new Set(
    pods.filter(({ families }) => refused.size > 0 && families.some((family) => refused.has(keyOf(family)))),
  );
  const taken = pods.filter((pod) => !conflicting.has(pod));
  const repeats = repeatedSamples(taken);
  const families = new Map<string, { help: string | undefined; type: string; parts: Uint8Array[] }>();
  const samples = new Map<PodExposition, number>();
  for (const pod of taken) {
    const repeated = repeats.get(pod);
    samples.set(pod, pod.samples - (repeated?.size ?? 0));
    for (const { name, type, help, start, end, firstSample } of pod.families) {
      let family = families.get(name);
      if (family === undefined) {
        family = { help, type, parts: [] };
        families.set(name, family);
      }
      family.help ??= help;
      const lines = pod.bytes.subarray(start, end);
      if (repeated === undefined) family.parts.push(lines);
      else family.parts.push(...linesBut(repeated, lines, firstSample));
    }
  }
  const pieces: Uint8Array[] = [];
  for (const [name, { help, type, parts }] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const title = help === undefined ? "" : `# HELP ${name} ${help}\n`;
    pieces.push(encoder.encode(`${title}# TYPE ${name} ${type}\n`));
    for (const part of parts) pieces.push(part);
  }
  return { pieces, samples, conflicting };
}

const encoder = new TextEncoder();

const keyOf = ({ name, type }: PodFamily): string => `${name} ${type}`;

/**
 * By name and type. Where exporters are not of one mind, what most say holds: one that sends rubbish, or is of another
 * version, must not take a family from all others by answering first.
 */
function refusedFamilies(pods: readonly PodExposition[]): ReadonlySet<string> {
  const votes = new Map<string, { readonly family: PodFamily; count: number }>();
  for (const { families } of pods) {
    for (const family of families) {
      const key = keyOf(family);
      const vote = votes.get(key);
      if (vote === undefined) votes.set(key, { family, count: 1 });
      else vote.count++;
    }
  }
  const names = new Set<string>();
  const refused = new Set<string>();
  for (const [key, { family }] of [...votes].sort(([, a], [, b]) => b.count - a.count)) {
    // A histogram's samples have names that no other family may have.
    const own = [...new Set([family.name, ...sampleNames(family)])];
    if (own.some((name) => names.has(name))) refused.add(key);
    else for (const name of own) names.add(name);
  }
  return refused;
}

/** By number, of exporters on a node that has several: each series stays with the first of them. */
function repeatedSamples(pods: readonly PodExposition[]): ReadonlyMap<PodExposition, ReadonlySet<number>> {
  const first = new Map<string, PodExposition>();
  const repeats = new Map<PodExposition, Set<number>>();
  for (const pod of pods) {
    const { series } = first.get(pod.node) ?? {};
    if (series === undefined) {
      first.set(pod.node, pod);
      continue;
    }
    const repeated = new Set<number>();
    for (let number = 0; number < pod.samples; number++)
      if (!series.addFrom(pod.series, number)) repeated.add(number);
    if (repeated.size > 0) repeats.set(pod, repeated);
  }
  return repeats;
}

/** `firstSample` is the number of the first line. */
function* linesBut(
  repeated: ReadonlySet<number>,
  lines: Uint8Array,
  firstSample: number,
): Generator<Uint8Array> {
  let sample = firstSample;
  for (let start = 0; start < lines.length; sample++) {
    const end = lines.indexOf(NEWLINE, start) + 1;
    if (!repeated.has(sample)) yield lines.subarray(start, end);
    start = end;
  }
}
