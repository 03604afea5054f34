/** `plumbline metrics`: the reference of all metrics that this build can export. */
import { reference, referenceJson, referenceMarkdown } from "../metrics/reference.ts";
import { COLLECTORS } from "../scrape/sources.ts";

export async function run(output: "markdown" | "json"): Promise<number> {
  const groups = reference(COLLECTORS);
  const text = output === "json" ? referenceJson(groups) : referenceMarkdown(groups);
  await new Promise<void>((resolve, reject) =>
    process.stdout.write(text, (error) => (error ? reject(error) : resolve())),
  );
  return 0;
}
