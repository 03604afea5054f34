/** `plumbline metrics`: the reference of all metrics that this build can export. */
import { OPERATOR_METRICS } from "../kubernetes/reference.ts";
import { reference, referenceJson, referenceMarkdown } from "../metrics/reference.ts";
import { COLLECTORS } from "../scrape/sources.ts";
import { print } from "./print.ts";

export async function run(output: "markdown" | "json"): Promise<number> {
  const groups = reference(COLLECTORS, OPERATOR_METRICS);
  print(output === "json" ? referenceJson(groups) : referenceMarkdown(groups));
  return 0;
}
