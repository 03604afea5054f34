import { describe, expect, test } from "bun:test";
import { linearPattern } from "../../src/config/linear-pattern.ts";

describe("a pattern", () => {
  const PATTERNS = [
    "",
    "node-1",
    "node-\\d+",
    "^node-[a-c]$",
    "a|bc|",
    "(a|b)*c",
    "(?:ab)+",
    "a?b{2}c{1,3}d{2,}",
    "a*?b+?",
    "(a*)*b",
    "(a|)+",
    "[^a]",
    "[\\w.\\-\\]]+",
    "\\S+\\.example\\.com",
    "a\\-b",
    ".",
    "..",
    "\\(\\)\\[\\{\\\\\\^\\$",
  ];
  const TEXTS = [
    ...["", "a", "b", "c", "d", "ab", "abab", "abc", "ababc", "aab", "bbcdd", "abbcccdddd", "abbccccdd"],
    ...[
      "node-1",
      "node-12",
      "xnode-1",
      "node-b",
      "node-d",
      "a-b",
      "a.b-]",
      "n1.example.com",
      "é",
      "😀",
      "\n",
    ],
    ...["n1.example-com", "()[{\\^$", "a".repeat(40)],
  ];

  test.each(PATTERNS)("%p matches whole texts as JavaScript's own would", (pattern) => {
    const matches = linearPattern(pattern);
    const own = new RegExp(`^(?:${pattern.replace("\\-b", "-b")})$`, "su");
    expect(TEXTS.filter((text) => matches?.(text))).toEqual(TEXTS.filter((text) => own.test(text)));
  });

  test.each(["(a+)+", "(a|a)*", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)x", `${"a?".repeat(40)}${"a".repeat(40)}`])(
    "%p, over which others go on for ever, is done at once",
    (pattern) => {
      expect(linearPattern(pattern)?.(`${"a".repeat(1024)}!`)).toBe(false);
    },
  );
});

test.each([
  ...["(", ")", "(a", "a)", "[a", "[]", "[z-a]", "a**", "*", "a{2}{3}", "a{3,2}", "a{", "}", "a\\"],
  ...["\\1", "(a)\\1", "(?=a)", "(?<!a)a", "(?<name>a)", "(?i)a", "\\bnode", "a^b", "a$b", "\\p{L}"],
  ...[
    "a{9999}",
    "(a{99}){99}",
    "((){999}){999}",
    "((a{1,99}){1,99}){1,99}",
    "(".repeat(100_000),
    `${"(".repeat(400)}a${")".repeat(401)}`,
  ],
])("%p is no pattern", (text) => {
  expect(linearPattern(text)).toBeUndefined();
});
