/** What `plumbline check` says of a collector: for each target what it read, and what it could not, with the remedy. */
import type { Finding } from "../metrics/collector.ts";
import { adviceFor } from "./advice.ts";
import type { OfTarget } from "./scrape.ts";

export async function findingsOf(results: readonly OfTarget[]): Promise<Finding[]> {
  const found = results.map(async ({ round, site: { target }, result }): Promise<Finding[]> => {
    const { endpoint } = await round.opening;
    const failures = [...result.failures.values()].filter(({ reason }) => reason !== "gone");
    const subject = `${target.name}, ${result.collector.name}`;
    if (failures.length > 0)
      return failures.map((failure) => {
        const remedy = adviceFor(failure, endpoint);
        return { level: "error", subject, message: failure.message, ...(remedy !== undefined && { remedy }) };
      });
    const left = [...result.skipped].map(([reason, count]) => `${count} × ${reason}`);
    const message = left.length === 0 ? "works" : `left out: ${left.join(", ")}`;
    return [{ level: result.success ? "ok" : "warning", subject, message }];
  });
  return (await Promise.all(found)).flat();
}
