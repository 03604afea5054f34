/** The same for many, side by side: the round keeps to its limits, and one that fails does not take the others along. */
import type { Report, Round } from "./contract.ts";

export async function forEach<Item>(
  items: readonly Item[],
  report: Pick<Report, "failed">,
  collect: (item: Item) => Promise<void>,
): Promise<void> {
  await Promise.all(items.map((item) => collect(item).catch((error: unknown) => report.failed(error))));
}

/** For each of the nodes that collectors of the scope `node` ask. */
export async function forEachNode(
  round: Pick<Round, "nodes">,
  report: Pick<Report, "failed">,
  collect: (node: string) => Promise<void>,
): Promise<void> {
  await forEach(await round.nodes(), report, collect);
}
