/** Who may import whom, what only one folder may name, and which ways out of the type system nobody takes. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { violations } from "./support/imports.ts";

const ROOT = join(import.meta.dir, "..");

function read(...folders: string[]): Map<string, string> {
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => join(folder, path)),
  );
  return new Map(files.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

describe("the architecture", () => {
  test("every source imports only what its place in the flow allows", () => {
    expect(violations(read("src"))).toEqual([]);
  });

  test.each([
    [
      "a source that imports another source",
      "src/nvme/a.ts",
      'import { b } from "../csi/b.ts";',
      "nvme may not import csi",
    ],
    [
      "an import of a command",
      "src/web/a.ts",
      'import { run } from "../commands/serve.ts";',
      "web may not import commands",
    ],
    [
      "an import against the flow",
      "src/metrics/a.ts",
      'import type { S } from "../scrape/scraper.ts";',
      "metrics may not import scrape",
    ],
    [
      "a re-export against the flow",
      "src/host/a.ts",
      'export { s } from "../nvme/s.ts";',
      "host may not import nvme",
    ],
    [
      "a dynamic import against the flow",
      "src/scrape/a.ts",
      'const w = await import("../web/app.ts");',
      "scrape may not import web",
    ],
    [
      "a Worker of the wrong folder",
      "src/nvme/a.ts",
      'new URL("../demo/nvme-worker.ts", import.meta.url)',
      "nvme may not import demo",
    ],
    ["an import of a test", "src/web/a.ts", 'import "../../test/support/x.ts";', "which is not a source"],
    [
      "a folder without a rule",
      "src/util/a.ts",
      'import { x } from "../host/x.ts";',
      "src/util stands in no rule",
    ],
    ["Bun outside of runtime/", "src/web/a.ts", "const file = Bun.file(path);", "only src/runtime may"],
    ["Deno outside of runtime/", "src/web/a.ts", "Deno.exit(1);", "only src/runtime may"],
    [
      "bun:ffi outside of runtime/",
      "src/host/a.ts",
      'import { dlopen } from "bun:ffi";',
      "only src/runtime may",
    ],
    [
      "the environment outside of config/",
      "src/web/a.ts",
      'const home = process.env["HOME"];',
      "only src/config may",
    ],
    ["the environment by destructuring", "src/web/a.ts", "const { env } = process;", "only src/config may"],
  ])("the rules catch %s", (_, path, text, complaint) => {
    expect(violations(new Map([[path, text]])).join("\n")).toContain(complaint);
  });

  test("the rules catch a cycle between folders that may import each other one by one", () => {
    const sources = new Map([
      ["src/host/a.ts", 'import { x } from "../config/x.ts";'],
      ["src/config/x.ts", 'import { y } from "../log/y.ts";'],
      ["src/log/y.ts", 'import { a } from "../host/a.ts";'],
    ]);
    expect(violations(sources)).toEqual(["folders import each other: config → log → host → config"]);
  });

  test("words in comments and strings break no rule", () => {
    const text =
      '/** Bun.serve and process.env */\n// import "../web/app.ts"\nconst help = "Deno.serve is not used";';
    expect(violations(new Map([["src/host/a.ts", text]]))).toEqual([]);
  });
});

describe("the type system", () => {
  // Written so that this file does not hold what it looks for.
  const ESCAPES = [
    "\\bas an[y]\\b(?! [a-z])",
    ": an[y]\\b(?! [a-z])",
    "<an[y]\\b",
    "@ts-ignor[e]",
    "@ts-nochec[k]",
    "@ts-expect-erro[r]",
    "biome-ignor[e]",
  ];
  const FOCUSED = ["\\b(test|it|describe)\\.(skip|only|todo)\\("];

  test.each([...ESCAPES, ...FOCUSED])("no file holds %s", (pattern) => {
    const hits = [...read("src", "test", ".ci")].flatMap(([path, text]) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          new RegExp(pattern).test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
        ),
    );
    expect(hits).toEqual([]);
  });
});
