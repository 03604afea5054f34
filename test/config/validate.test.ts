import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { parseConfig } from "../../src/config/file.ts";
import { setting } from "../../src/config/setting.ts";
import { fileProblems } from "../../src/config/validate.ts";

/** Lists of sections, as sources with several targets have them. */
const SCHEMA = v.strictObject({
  pve: v.optional(
    v.strictObject({
      targets: v.optional(
        v.array(
          v.strictObject({
            token: v.optional(
              setting(v.pipe(v.string(), v.minLength(8)), {
                description: "A token",
                expected: "a token",
                secret: true,
              }),
            ),
            token_file: v.optional(
              setting(v.string(), { description: "A file", expected: "the path of a file" }),
            ),
          }),
        ),
      ),
    }),
  ),
});

const problems = (text: string) =>
  fileProblems(parseConfig("p.yaml", text), SCHEMA).map(
    ({ file, line, column, text }) => `${file}:${line}:${column}: ${text}`,
  );

describe("a list of sections", () => {
  test("an unknown key is told with its item and the key that may be meant", () => {
    expect(problems("pve:\n  targets:\n    - token: 12345678\n      tocken_file: /a\n")).toEqual([
      "p.yaml:3:7: pve.targets[0].token must be a token; it is <set>",
      "p.yaml:4:7: unknown key `tocken_file` in pve.targets[0]; did you mean `token_file`?",
    ]);
  });

  test("an item that is no section is told with its number", () => {
    expect(problems("pve: {targets: [{token_file: a}, b]}")).toEqual([
      'p.yaml:1:34: pve.targets[1] must be a mapping of keys to values; it is "b"',
    ]);
  });

  test("what should be a list is told", () => {
    expect(problems("pve: {targets: {token_file: a}}")).toEqual([
      "p.yaml:1:7: pve.targets must be a list; it is a mapping",
    ]);
  });
});

test("a wrong secret is never shown", () => {
  expect(problems("pve: {targets: [{token: hunter2}]}")).toEqual([
    "p.yaml:1:18: pve.targets[0].token must be a token; it is <set>",
  ]);
});

test("a long value is cut and kept on one line", () => {
  const [problem = ""] = problems(`pve: "${"x\\n".repeat(1000)}"`);
  expect(problem.length).toBeLessThan(150);
  expect(problem).not.toContain("\n");
});
