/**
 * I/O wait and pressure of each node, averages of a minute that the node itself keeps (/nodes/NODE/rrddata). Its
 * /status measures `wait` and `cpu` from one call of a worker to that worker's next, and says 0 on the first.
 */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { addPercentage } from "../percentage.ts";
import { addNumber, numberOf, type Row, rowsOf } from "../values.ts";

const pressure = (resource: string, meaning: string) =>
  pveGauge(`pve_node_pressure_${resource}_ratio`, `Share of the last minute in which ${meaning}`, ["node"]);

const IOWAIT = pveGauge("pve_node_iowait_ratio", "Share of the node's CPU time that waits for I/O, 0 to 1", [
  "node",
]);
const PRESSURES = {
  pressurecpusome: pressure("cpu_some", "something on the node waits for CPU, 0 to 1"),
  pressureiosome: pressure("io_some", "something on the node waits for I/O, 0 to 1"),
  pressureiofull: pressure("io_full", "all that runs on the node waits for I/O, 0 to 1"),
  pressurememorysome: pressure("memory_some", "something on the node waits for memory, 0 to 1"),
  pressurememoryfull: pressure("memory_full", "all that runs on the node waits for memory, 0 to 1"),
};
const TIMESTAMP = pveGauge(
  "pve_node_rrd_timestamp_seconds",
  "When the node took the newest of its averages, as Unix time",
  ["node"],
);

export const NODE_RRD: PveCollector = {
  name: "node-rrd",
  help: "I/O wait and pressure of nodes, averages of a minute",
  scope: "node",
  defaults: { pve: false, metrics: false },
  descriptors: [IOWAIT, ...Object.values(PRESSURES), TIMESTAMP],
  always: [],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/rrddata`;
      const data = await round.get(`${path}?timeframe=hour&cf=AVERAGE`, { node });
      addNewest(report, node, timedRows(report, rowsOf(data, path, report)));
    }),
};

interface TimedRow {
  /** In Unix seconds. */
  readonly time: number;
  readonly row: Row;
}

function timedRows(report: Report, rows: readonly Row[]): TimedRow[] {
  return rows.flatMap((row) => {
    const time = numberOf(row["time"]);
    if (typeof time === "number") return [{ time, row }];
    report.lose("invalid");
    return [];
  });
}

const MAX_AGE_SECONDS = 180;

/** The newest rows are often still empty, and each value is looked for by itself. */
function addNewest(report: Report, node: string, rows: readonly TimedRow[]): void {
  const newestFirst = rows.toSorted((a, b) => b.time - a.time);
  // The list goes on until now by the node's own clock, also where nothing was measured.
  const now = newestFirst[0]?.time ?? 0;
  const recent = newestFirst.filter(({ time }) => now - time <= MAX_AGE_SECONDS);
  const times: number[] = [];
  const newestOf = (column: string): unknown => {
    const found = recent.find(({ row }) => numberOf(row[column]) !== undefined);
    if (found !== undefined) times.push(found.time);
    return found?.row[column];
  };

  addNumber(report, IOWAIT, { node }, newestOf("iowait"));
  for (const [column, descriptor] of Object.entries(PRESSURES))
    addPercentage(report, descriptor, { node }, newestOf(column));
  if (times.length > 0) report.add(TIMESTAMP, { node }, Math.max(...times));
}
