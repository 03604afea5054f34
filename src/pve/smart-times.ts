/**
 * How long nodes take to ask their disks for their health: a scrape does not wait for that, and so `check` measures
 * it. It wakes disks that sleep, as the collector does.
 */
import type { Finding } from "../metrics/collector.ts";
import { MAX_BYTES, type Opening } from "./endpoints.ts";
import { PveFailure } from "./failure.ts";
import type { Site } from "./site.ts";

/** A node waits 30 s for the answer of another one. */
const NEAR_LIMIT_MS = 20_000;

/** `deadline`: on the clock of `performance.now()`. What fails otherwise than by time, the collector tells. */
export async function smartFindings(
  site: Site,
  { connection, status }: Opening,
  deadline: number,
): Promise<Finding[]> {
  const { name, physicalDisks } = site.target;
  const { smartIntervalMs, excludeNodes } = physicalDisks;
  // At 0 each scrape waits for it, and the collector tells that it is late.
  if (smartIntervalMs === "never" || smartIntervalMs === 0 || status instanceof PveFailure) return [];
  const nodes = status.nodes.filter((node) => node.isOnline && !excludeNodes.includes(node.name));
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(LATE), Math.max(0, deadline - performance.now()));
  const late: string[] = [];
  const slow: string[] = [];
  const measure = async (node: string): Promise<void> => {
    const path = `/nodes/${node}/disks/list`;
    const turn = { node, signal: over.signal, isLasting: true };
    const tookMs = await site.schedule.run(turn, async () => {
      const askedAt = performance.now();
      await connection.get(path, { signal: over.signal, deadline, maxBytes: MAX_BYTES });
      return performance.now() - askedAt;
    });
    if (tookMs > NEAR_LIMIT_MS) slow.push(node);
  };
  const measured = nodes.map(({ name: node }) =>
    measure(node).catch((error: unknown) => {
      if (!(error instanceof PveFailure)) throw error;
      if (isLate(error)) late.push(node);
    }),
  );
  await Promise.all(measured).finally(() => clearTimeout(timer));

  const subject = `${name}, physical-disks`;
  const findings: Finding[] = [];
  if (late.length > 0)
    findings.push({
      level: "warning",
      subject,
      message: `the health of the disks of ${late.sort().join(", ")} did not come in the time of this check`,
      remedy: `give the check longer with --scrape.timeout=60s; ${REMEDY}`,
    });
  if (slow.length > 0)
    findings.push({
      level: "warning",
      subject,
      message: `the health of the disks of ${slow.sort().join(", ")} took more than ${NEAR_LIMIT_MS / 1000} s, of the 30 s that another node waits for it`,
      remedy: REMEDY,
    });
  return findings;
}

const REMEDY =
  "where it takes near 30 s, make that node a target of its own, or set exclude_nodes or smart_interval: never of physical-disks";

const LATE = new PveFailure("timeout", "/", "the time of the check was over");

/** 596: the queried node itself gave up to wait. */
const isLate = ({ reason, status }: PveFailure): boolean => reason === "timeout" || status === 596;
