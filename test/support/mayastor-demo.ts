/** What the demo prints of its Mayastor, which at its beginning is the same each time. */

export const PRINT_MAYASTOR: readonly string[] = [
  ...["demo", "--once", "--collector.disable-defaults", "--collector.mayastor"],
];

/** The lines about Mayastor alone, with 0 for how long that took and for when it was. */
export function ofMayastor(exposition: string): string {
  return exposition
    .split(/(?<=\n)/)
    .filter((line) => /^(# (HELP|TYPE) )?(mayastor|diskpool)_/.test(line))
    .map((line) => line.replace(/^(mayastor_\w*(?:duration|last_fetch)_seconds\S*) \S+$/m, "$1 0"))
    .join("");
}
