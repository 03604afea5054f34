import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { DOCS, generatedDocs } from "../../.ci/docs.ts";
import { parseConfig } from "../../src/config/file.ts";
import { configSchema } from "../../src/config/schema.ts";
import { fileProblems } from "../../src/config/validate.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";

const document = (name: string) => generatedDocs().get(name) ?? "";

describe("the generated documents", () => {
  test.each([...generatedDocs().keys()])("docs/%s is what `bun run docs` writes", (name) => {
    expect(readFileSync(join(DOCS, name), "utf8")).toBe(document(name));
  });

  test("the example file holds exactly the defaults", () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(document("configuration.md"))?.[1] ?? "";
    const schema = configSchema(COLLECTORS.map(({ name }) => name));
    expect(fileProblems(parseConfig("example.yaml", example), schema)).toEqual([]);
    expect(parse(example)).toHaveProperty("web.listen_addresses", [":9847"]);
  });

  test("the JSON Schema knows each key of the file, describes it and allows no other", () => {
    const schema = JSON.parse(document("plumbline.schema.json"));
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties.web.additionalProperties).toBe(false);
    expect(schema.properties.web.properties.max_requests).toEqual({
      type: "integer",
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: "Scrapes that run at a time; more are answered 503 with Retry-After. 0: no limit",
      default: 40,
    });
    expect(Object.keys(schema.properties.collectors.properties)).toEqual([
      "disable_defaults",
      ...COLLECTORS.map(({ name }) => name),
    ]);
  });
});
