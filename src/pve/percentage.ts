/** Percentages as the API gives them, exported as ratios. */
import type { Descriptor } from "../metrics/descriptor.ts";
import type { LabelValues } from "../metrics/samples.ts";
import type { Report } from "./contract.ts";
import { numberOf } from "./values.ts";

/** Adds `value` / 100; counts it as invalid if it is there and no number of 0 to 100. */
export function addPercentage<Label extends string>(
  report: Pick<Report, "add" | "leaveOut">,
  descriptor: Descriptor<Label | "cluster", "gauge">,
  labels: LabelValues<Exclude<Label, "cluster">>,
  value: unknown,
): void {
  const percent = numberOf(value);
  if (percent === undefined) return;
  if (percent === "invalid" || percent < 0 || percent > 100) report.leaveOut("invalid");
  else report.add(descriptor, labels, percent / 100);
}
