/** The reference of all metrics, made from their descriptors: `docs/metrics.md` and `plumbline metrics`. */
import type { CollectorDescription } from "./collector.ts";
import type { Descriptor } from "./descriptor.ts";
import { OWN_DESCRIPTORS } from "./own-descriptors.ts";
import { PEER_NAMES } from "./peer-names.ts";

export interface ReferenceGroup {
  /** Undefined where it is none that tells them. */
  readonly collector: string | undefined;
  /** As a heading in Markdown. */
  readonly title: string;
  readonly help: string;
  /** By name. */
  readonly metrics: readonly Descriptor[];
}

/**
 * One group a collector and one for the exporter itself, where also stands what several collectors emit; then `others`,
 * sorted. Throws where two descriptors have the same name.
 */
export function reference(
  collectors: readonly CollectorDescription[],
  others: readonly ReferenceGroup[] = [],
): readonly ReferenceGroup[] {
  refuseSameNames([
    ...OWN_DESCRIPTORS,
    ...[...collectors.map(({ descriptors }) => descriptors), ...others.map(({ metrics }) => metrics)].flat(),
  ]);
  const uses = Map.groupBy(
    collectors.flatMap(({ descriptors }) => [...new Set(descriptors)]),
    (descriptor) => descriptor,
  );
  const isOwn = (descriptor: Descriptor) =>
    OWN_DESCRIPTORS.includes(descriptor) || (uses.get(descriptor)?.length ?? 0) > 1;
  return [
    ...collectors.map(({ name, help, descriptors }) => ({
      collector: name,
      title: `Collector \`${name}\``,
      help,
      metrics: byName(descriptors.filter((descriptor) => !isOwn(descriptor))),
    })),
    {
      collector: undefined,
      title: "The exporter itself",
      help: "What plumbline tells about itself",
      metrics: byName([...new Set([...OWN_DESCRIPTORS, ...[...uses.keys()].filter(isOwn)])]),
    },
    ...others.map((group) => ({ ...group, metrics: byName(group.metrics) })),
  ];
}

export function referenceMarkdown(groups: readonly ReferenceGroup[]): string {
  const sections = groups.map(({ title, help, metrics }) =>
    [
      `## ${title}`,
      `${help}.`,
      [
        "| name | type | labels | meaning |",
        "|---|---|---|---|",
        ...metrics.map(
          ({ name, type, labels, help: meaning }) =>
            `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${cell(meaning)} |`,
        ),
      ].join("\n"),
    ].join("\n\n"),
  );
  const emitted = new Set(groups.flatMap(({ metrics }) => metrics.map(({ name }) => name)));
  const kept = PEER_NAMES.filter(({ name }) => emitted.has(name)).map(
    ({ name, objection, reason }) => `- \`${name}\`: ${reason}. promtool says: ${objection}.`,
  );
  return `${[
    "# Metrics",
    "All metrics that plumbline can export. This file is generated: `bun src/main.ts metrics > docs/metrics.md`.",
    ...sections,
    "## Names kept for drop-in's sake",
    "`promtool check metrics` objects to these names, and to no others. They stay, because dashboards and rules have them already.",
    kept.join("\n"),
  ].join("\n\n")}\n`;
}

export function referenceJson(groups: readonly ReferenceGroup[]): string {
  return `${JSON.stringify(
    groups.map(({ collector, help, metrics }) => ({ collector: collector ?? null, help, metrics })),
    undefined,
    2,
  )}\n`;
}

function refuseSameNames(descriptors: readonly Descriptor[]): void {
  const known = new Map<string, Descriptor>();
  for (const descriptor of descriptors) {
    const other = known.get(descriptor.name);
    if (other !== undefined && other !== descriptor)
      throw new Error(`two descriptors are called ${descriptor.name}`);
    known.set(descriptor.name, descriptor);
  }
}

function byName(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Set(descriptors)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
