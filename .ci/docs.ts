/** Writes the parts of docs/ that are made from the code: `bun run docs`. A test compares them with what stands there. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import { configurationMarkdown } from "../src/config/reference.ts";
import { configSchema } from "../src/config/schema.ts";
import { OPERATOR_METRICS } from "../src/kubernetes/reference.ts";
import { reference, referenceMarkdown } from "../src/metrics/reference.ts";
import { COLLECTORS } from "../src/scrape/sources.ts";
import { manualPage } from "./manual.ts";

export const DOCS = join(import.meta.dirname, "../docs");

/** By file name in docs/. */
export function generatedDocs(): ReadonlyMap<string, string> {
  return new Map([
    ["configuration.md", configurationMarkdown(COLLECTORS)],
    ["plumbline.schema.json", configurationJsonSchema()],
    ["metrics.md", referenceMarkdown(reference(COLLECTORS, OPERATOR_METRICS))],
    ["plumbline.1", manualPage(COLLECTORS)],
  ]);
}

function configurationJsonSchema(): string {
  const schema = toJsonSchema(configSchema(COLLECTORS.map(({ name }) => name)), {
    typeMode: "input",
    // Checks that are written in code (addresses, the ranges of durations) cannot be told to an editor.
    errorMode: "ignore",
  });
  // `about` is what else we know of a setting, and no word of JSON Schema.
  const plain = (key: string, value: unknown) => (key === "about" ? undefined : value);
  return `${JSON.stringify({ ...schema, title: "Configuration of plumbline" }, plain, 2)}\n`;
}

if (import.meta.main) {
  for (const [name, text] of generatedDocs()) writeFileSync(join(DOCS, name), text);
}
