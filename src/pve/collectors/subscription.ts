/** Each node's subscription, its level and when it is due: /nodes/NODE/subscription. */
import { type PveCollector, pveGauge, type Report } from "../contract.ts";
import { forEachNode } from "../each.ts";
import { ListedStates } from "../listed-states.ts";
import { labelOf, type Row, rowOf } from "../values.ts";

const INFO = pveGauge("pve_subscription_info", "Proxmox VE subscription info (1 if present)", [
  "id",
  "level",
]);
const STATUS = pveGauge("pve_subscription_status", "Proxmox VE subscription status (1 if matches status)", [
  "id",
  "status",
]);
const NEXT_DUE = pveGauge(
  "pve_subscription_next_due_timestamp_seconds",
  "Subscription next due date as Unix timestamp",
  ["id"],
);

export const SUBSCRIPTION: PveCollector = {
  name: "subscription",
  help: "Each node's subscription and when it is due",
  scope: "node",
  defaults: { pve: true, metrics: true },
  descriptors: [INFO, STATUS, NEXT_DUE],
  always: [INFO, STATUS, NEXT_DUE],
  collect: (round, report) =>
    forEachNode(round, report, async (node) => {
      const path = `/nodes/${node}/subscription`;
      addSubscription(report, `node/${node}`, rowOf(await round.get(path, { node }), path));
    }),
};

const STATUSES = new ListedStates("status", ["new", "notfound", "active", "invalid", "expired", "suspended"]);

function addSubscription(report: Report, id: string, { level, status, nextduedate }: Row): void {
  report.add(INFO, { id, level: labelOf(report, level) || "unknown" }, 1);
  report.addStates(STATUS, { id }, STATUSES.of(status));
  const nextDue = midnightOf(nextduedate);
  if (nextDue === "invalid") report.leaveOut("invalid");
  else if (nextDue !== undefined) report.add(NEXT_DUE, { id }, nextDue);
}

/** Unix time at which the day, "2027-01-01", begins in this process's time zone. */
function midnightOf(day: unknown): number | undefined | "invalid" {
  if (day === undefined || day === null || day === "") return undefined;
  const [, year, month, date] = (typeof day === "string" && DAY.exec(day)) || [];
  const midnight = new Date(Number(year), Number(month) - 1, Number(date));
  return midnight.getDate() === Number(date) ? midnight.getTime() / 1000 : "invalid";
}

const DAY = /^(\d{4})-(\d\d)-(\d\d)$/;
