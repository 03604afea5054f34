import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ExpositionParser, type PodExposition } from "../../../src/kubernetes/aggregate/exposition-parser.ts";
import { AskFailure } from "../../../src/kubernetes/aggregate/failure.ts";
import { merge } from "../../../src/kubernetes/aggregate/merge.ts";
import { KnownMetadata } from "../../../src/kubernetes/aggregate/metadata.ts";
import { parseExposition } from "../../support/exposition-parser.ts";
import { seriesKey } from "../../support/series.ts";

const metadata = new KnownMetadata();
const encoder = new TextEncoder();

function parser(
  options: {
    keeps?: (family: string) => boolean;
    isKnownNode?: boolean;
    clusterId?: string | undefined;
  } = {},
): ExpositionParser {
  const { keeps = () => true, isKnownNode = false } = options;
  const clusterId = "clusterId" in options ? options.clusterId : "c-1";
  return new ExpositionParser({ node: "node-a", clusterId, keeps, isKnownNode, metadata });
}

function parsed(text: string | Uint8Array, options: Parameters<typeof parser>[0] = {}): PodExposition {
  const one = parser(options);
  one.push(typeof text === "string" ? encoder.encode(text) : text);
  return one.end();
}

const textOf = (...pods: PodExposition[]): string => Buffer.concat(merge(pods).pieces).toString();
const kept = (text: string, options: Parameters<typeof parser>[0] = {}): string =>
  textOf(parsed(text, options));

function failure(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof AskFailure) return `${error.reason}: ${error.message}`;
    throw error;
  }
  return "nothing failed";
}

describe("what an exporter says", () => {
  test("gets the labels cluster_id and node where it lacks them", () => {
    expect(kept('# HELP a A\n# TYPE a gauge\na{device="x"} 1\n')).toBe(
      '# HELP a A\n# TYPE a gauge\na{device="x",cluster_id="c-1",node="node-a"} 1\n',
    );
    expect(kept("a 1\n")).toBe('# TYPE a untyped\na{cluster_id="c-1",node="node-a"} 1\n');
    expect(kept("a 1\n", { clusterId: undefined })).toContain('a{node="node-a"} 1');
  });

  test("keeps a cluster_id and a node that it has already", () => {
    const line = 'a{cluster_id="other",node="node-a"} 1\n';
    expect(kept(line)).toContain(line);
  });

  test("gets them in place of empty ones", () => {
    expect(kept('a{cluster_id="",x="1",node=""} 1\n')).toContain(
      'a{x="1",cluster_id="c-1",node="node-a"} 1\n',
    );
  });

  test("has nothing but the families that are chosen", () => {
    const keeps = (family: string) => family.startsWith("ebs_");
    const text = "# TYPE go_a gauge\ngo_a 1\n# TYPE ebs_a gauge\nebs_a 2\nebs 3\n";
    expect(kept(text, { keeps })).toBe('# TYPE ebs_a gauge\nebs_a{cluster_id="c-1",node="node-a"} 2\n');
  });

  test("has its histograms as a whole, where the name of the family is chosen", () => {
    const text =
      '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n# TYPE other gauge\nother 1\n';
    const samples = kept(text, { keeps: (family) => family === "h" }).match(/^h\w*(?=\{)/gm);
    expect(samples).toEqual(["h_bucket", "h_bucket", "h_sum", "h_count"]);
  });

  test("keeps values and times as they were written", () => {
    const values = [
      "0",
      "-1",
      "1.5e-07",
      "18446744073709551615",
      "+Inf",
      "-Inf",
      "NaN",
      ".5",
      "5.",
      "1 1700000000000",
    ];
    const lines = values.map((value, index) => `a{i="${index}"} ${value}\n`).join("");
    for (const value of values) expect(kept(lines)).toContain(`"} ${value}\n`);
  });

  test("loses blanks and commas that the format allows", () => {
    expect(kept(' \ta { x = "1" , y="2", }  7\t\n')).toContain(
      'a{x="1",y="2",cluster_id="c-1",node="node-a"} 7\n',
    );
  });

  test("keeps what is escaped, and what is not ASCII", () => {
    const line = 'a{x="\\\\ \\" \\n é 😀"} 1\n';
    expect(kept(line)).toContain('x="\\\\ \\" \\n é 😀"');
  });

  test("may have comments, empty lines and families without samples", () => {
    const text = "# a comment\n\n# HELP a Nothing\n# TYPE a counter\n   \n#\n";
    expect(kept(text)).toBe("# HELP a Nothing\n# TYPE a counter\n");
  });

  test("is served without the series that are in it twice, in whatever order their labels stand", () => {
    const exposition = parsed(
      'a{x="1",y="2"} 1\na{y="2",x="1"} 2\na{x="1",y="2",z=""} 3\na{x="2",y="1"} 4\n',
    );
    expect(textOf(exposition).match(/ \d$/gm)).toEqual([" 1", " 4"]);
    expect(exposition.leftOut).toBe(2);
  });

  test("is recognised in series that are the same in each family, and those that a family lacks or has more", () => {
    const series = (name: string, disks: readonly number[]) =>
      `# TYPE ${name} gauge\n${disks.map((disk) => `${name}{disk="${disk}",node="node-a"} ${disk}\n`).join("")}`;
    const text =
      series("a", [1, 2, 3, 4, 5, 6]) + series("b", [1, 3, 9, 5, 6, 4]) + series("c", [6, 6, 1, 2]);
    const disks = (name: string) =>
      [
        ...kept(text).matchAll(
          new RegExp(`^${name}\\{disk="(\\d)",node="node-a",cluster_id="c-1"\\} \\1$`, "gm"),
        ),
      ].map(([, disk]) => Number(disk));
    expect([disks("a"), disks("b"), disks("c")]).toEqual([
      [1, 2, 3, 4, 5, 6],
      [1, 3, 9, 5, 6, 4],
      [6, 1, 2],
    ]);
  });
});

describe("an answer is refused as a whole", () => {
  test.each([
    ["HTML", "<!doctype html>\n<html>\n"],
    ["JSON", '{"status":"ok"}\n'],
    ["no value", "a\n"],
    ["no value behind labels", 'a{x="1"}\n'],
    ["no number", "a one\n"],
    ["a hexadecimal number", "a 0x10\n"],
    ["a number with an underscore", "a 1_000\n"],
    ["something behind the time", "a 1 2 3\n"],
    ["a time that is none", "a 1 soon\n"],
    ["a label without quotes", "a{x=1} 1\n"],
    ["a label without an end", 'a{x="1} 1\n'],
    ["a label without a name", 'a{="1"} 1\n'],
    ["a label whose name begins with a digit", 'a{1x="1"} 1\n'],
    ["no comma between labels", 'a{x="1"y="2"} 1\n'],
    ["two commas between labels", 'a{x="1",,y="2"} 1\n'],
    ["a label twice", 'a{x="1",x="2"} 1\n'],
    ["an escape that is none", 'a{x="\\t"} 1\n'],
    ["a name with a digit before it", "1a 1\n"],
    ["a bucket without a bound", '# TYPE h histogram\nh_bucket{x="1"} 1\n'],
    ["a histogram's name as a sample", "# TYPE h histogram\nh 1\n"],
    ["an unknown type", "# TYPE a enum\na 1\n"],
    ["a TYPE without a name", "# TYPE\n"],
    ["two TYPE lines", "# TYPE a gauge\n# TYPE a gauge\na 1\n"],
    ["two HELP lines", "# HELP a A\n# HELP a B\na 1\n"],
    ["a TYPE behind the samples", "a 1\n# TYPE a gauge\n"],
    ["a family in two places", "a 1\nb 1\na 2\n"],
    ["an end within a line", "a 1\nb 1"],
  ])("for %s", (_, text) => {
    expect(failure(() => parsed(text))).toStartWith("parse: ");
  });

  test("for two types of one family", () => {
    expect(failure(() => parsed("# TYPE a gauge\n# TYPE a counter\na 1\n"))).toBe(
      "conflict: a has two types",
    );
  });

  test.each([
    ["a label", 'a{x="\xff"} 1\n'],
    ["a HELP", "# HELP a \xc3\x28\na 1\n"],
    ["a surrogate", 'a{x="\xed\xa0\x80"} 1\n'],
  ])("for %s that is not UTF-8", (_, text) => {
    expect(failure(() => parsed(Buffer.from(text, "latin1")))).toStartWith("parse: ");
  });

  test("for samples of another node, where nothing else says whose exporter it is", () => {
    expect(failure(() => parsed('a{node="node-b"} 1\n'))).toStartWith("conflict: ");
    const known = parsed('a{node="node-b"} 1\na{node="node-a"} 2\n', { isKnownNode: true });
    expect(known.leftOut).toBe(1);
    expect(textOf(known)).not.toContain("node-b");
  });

  test("for a line of 50 MB, before it is kept in memory", () => {
    const one = parser();
    const piece = new Uint8Array(60_000).fill(0x61);
    let pieces = 0;
    const end = failure(() => {
      for (; pieces < 800; pieces++) one.push(piece);
    });
    expect(end).toStartWith("too_large: ");
    expect(pieces).toBeLessThan(3);
  });

  test("for a million label sets", () => {
    const one = parser();
    const end = failure(() => {
      for (let i = 0; i < 1_000_000; i++) one.push(encoder.encode(`a{i="${i}"} 1\n`));
    });
    expect(end).toStartWith("too_large: it has more than 100000 series");
  });

  test("for a body that is too large, also of families that nobody wants", () => {
    const one = parser({ keeps: () => false });
    const piece = encoder.encode('a{x="1"} 1\n'.repeat(10_000));
    expect(
      failure(() => {
        for (let i = 0; i < 500; i++) one.push(piece);
      }),
    ).toStartWith("too_large: ");
  });

  test("for families without end", () => {
    const text = Array.from({ length: 10_001 }, (_, index) => `f${index} 1\n`).join("");
    expect(failure(() => parsed(text))).toStartWith("too_large: ");
  });
});

/** None that means something of its own. */
const labelName = fc
  .stringMatching(/^[a-z][a-z0-9_]{0,3}$/)
  .filter((name) => name !== "node" && name !== "le");
const labelValue = fc.string({ unit: "grapheme", maxLength: 8 });
const escaped = (text: string) =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
const exposition = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[a-z_:][a-z0-9_:]{0,6}x$/),
    type: fc.constantFrom("counter", "gauge"),
    series: fc.uniqueArray(
      fc.record({
        labels: fc.dictionary(labelName, labelValue, { maxKeys: 4 }),
        value: fc.double(),
      }),
      { selector: ({ labels }) => seriesKey("", withoutEmpty(labels)), maxLength: 6 },
    ),
  }),
  { selector: ({ name }) => name, maxLength: 5 },
);

const withoutEmpty = (labels: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));

function textOfFamilies(families: typeof exposition extends fc.Arbitrary<infer T> ? T : never): string {
  return families
    .map(({ name, type, series }) => {
      const lines = series.map(({ labels, value }) => {
        const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
        return `${name}{${pairs.join(",")}} ${String(value).replace("Infinity", "Inf")}\n`;
      });
      return `# HELP ${name} About ${name}\n# TYPE ${name} ${type}\n${lines.join("")}`;
    })
    .join("");
}

describe("whatever an exporter says", () => {
  test("every series comes through with its labels and its value, and what comes out is an exposition", () => {
    fc.assert(
      fc.property(exposition, (families) => {
        const out = parseExposition(encoder.encode(kept(textOfFamilies(families))), "text");
        const expected = families.flatMap(({ name, series }) =>
          series.map(({ labels, value }) => [
            seriesKey(name, { cluster_id: "c-1", ...withoutEmpty(labels), node: "node-a" }),
            String(value).replace("Infinity", "Inf"),
          ]),
        );
        const seen = out.flatMap(({ samples }) =>
          samples.map(({ name, labels, value }) => [seriesKey(name, labels), value]),
        );
        expect(seen.sort()).toEqual(expected.sort());
      }),
      { numRuns: 200 },
    );
  });

  test("it is the same in whatever pieces it comes", () => {
    fc.assert(
      fc.property(exposition, fc.array(fc.nat({ max: 400 }), { maxLength: 8 }), (families, cuts) => {
        const bytes = encoder.encode(textOfFamilies(families));
        const whole = textOf(parsed(bytes));
        const one = parser();
        let start = 0;
        for (const cut of [...cuts.sort((a, b) => a - b), bytes.length]) {
          const end = Math.max(start, Math.min(cut, bytes.length));
          one.push(bytes.slice(start, end));
          start = end;
        }
        expect(textOf(one.end())).toBe(whole);
      }),
      { numRuns: 200 },
    );
  });

  test("of any bytes it keeps what is an exposition, or refuses it", () => {
    const pieces = fc.constantFrom(
      "a",
      "_b",
      "{",
      "}",
      '"',
      "=",
      ",",
      " ",
      "\n",
      "1",
      "# TYPE a gauge\n",
      "\\",
      "é",
      "\xff",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (texts) => {
        const bytes = Buffer.concat(
          texts.map((text) => Buffer.from(text, text === "\xff" ? "latin1" : "utf8")),
        );
        try {
          const out = textOf(parsed(bytes));
          parseExposition(encoder.encode(out.replaceAll(/^# TYPE (\S+)/gm, "# HELP $1 help\n$&")), "text");
        } catch (error) {
          if (!(error instanceof AskFailure)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});
