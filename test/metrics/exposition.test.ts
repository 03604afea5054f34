import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { counter, gauge, histogram, summary } from "../../src/metrics/descriptor.ts";
import { CONTENT_TYPE, expose, type Format } from "../../src/metrics/exposition.ts";
import { type HistogramValue, Samples, type Value } from "../../src/metrics/samples.ts";
import { describeWith, PROMTOOL } from "../support/debian.ts";
import { parseExposition } from "../support/exposition-parser.ts";
import { checkMetrics } from "../support/promtool.ts";

const SIZE = gauge("disk_size_bytes", "Size of the disk in bytes", ["device"]);
const READS = counter("disk_reads_total", "Reads that the disk has served", ["device", "kind"]);
const LATENCY = histogram("disk_latency_seconds", "Latency of the disk's reads in seconds", ["device"]);

function samples(fill: (samples: Samples) => void): Samples {
  const set = new Samples();
  fill(set);
  return set;
}

function rendered(sets: Samples | readonly Samples[], format: Format = "text"): string {
  return new TextDecoder().decode(expose(sets instanceof Samples ? [sets] : sets, format).body);
}

function sizes(...series: readonly (readonly [device: string | undefined, value: Value])[]): Samples {
  return samples((set) => {
    for (const [device, value] of series) set.add(SIZE, { device }, value);
  });
}

/** Lines with a value. */
function lines(sets: Samples | readonly Samples[], format: Format = "text"): readonly string[] {
  return rendered(sets, format)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

describe("the text format", () => {
  test("gives each family one HELP and one TYPE, and its series", () => {
    const set = samples((set) => {
      set.add(SIZE, { device: "nvme0" }, 512);
      set.add(READS, { device: "nvme0", kind: "small" }, 3);
      set.add(SIZE, { device: "nvme1" }, 1024);
    });
    expect(rendered(set)).toBe(
      [
        "# HELP disk_reads_total Reads that the disk has served",
        "# TYPE disk_reads_total counter",
        'disk_reads_total{device="nvme0",kind="small"} 3',
        "# HELP disk_size_bytes Size of the disk in bytes",
        "# TYPE disk_size_bytes gauge",
        'disk_size_bytes{device="nvme0"} 512',
        'disk_size_bytes{device="nvme1"} 1024',
        "",
      ].join("\n"),
    );
  });

  test("counts the lines with a value", () => {
    const set = sizes(["nvme0", 1], ["nvme1", 2]);
    set.addHistogram(
      LATENCY,
      { device: "nvme0" },
      { upperBounds: [1, 2], counts: [1, 1], count: 1, sum: 0.5 },
    );
    expect(expose([set], "text").samples).toBe(2 + 5);
  });

  test("gives a family that was declared its HELP and TYPE also without a series, and once", () => {
    const declared = samples((set) => set.declare(SIZE));
    const title = "# HELP disk_size_bytes Size of the disk in bytes\n# TYPE disk_size_bytes gauge\n";
    expect(rendered([declared, declared])).toBe(title);
    expect(rendered([declared, sizes(["nvme0", 512])])).toBe(`${title}disk_size_bytes{device="nvme0"} 512\n`);
  });

  test("is empty where there is nothing to tell", () => {
    expect(rendered([])).toBe("");
    expect(rendered(new Samples())).toBe("");
  });

  test("escapes backslash and newline in HELP, and leaves quotes there alone", () => {
    const odd = gauge("odd", 'a "quoted" back\\slash\nand more', []);
    expect(rendered(samples((set) => set.add(odd, {}, 1)))).toContain(
      '# HELP odd a "quoted" back\\\\slash\\nand more\n',
    );
  });

  test("has the content type that Prometheus expects", () => {
    expect(CONTENT_TYPE.text).toBe("text/plain; version=0.0.4; charset=utf-8");
  });
});

describe("label values", () => {
  test.each([
    ["a quote", 'a"b', 'a\\"b'],
    ["a backslash", "a\\b", "a\\\\b"],
    ["a newline", "a\nb", "a\\nb"],
    ["a backslash before an n, which is no newline", "a\\nb", "a\\\\nb"],
    ["all three beside other letters", '"ä\\\n€𝄞', '\\"ä\\\\\\n€𝄞'],
    ["a NUL, which is legal", "a\0b", "a\0b"],
    ["a carriage return and a tab", "a\r\tb", "a\r\tb"],
    ["nothing", "", ""],
    ["a lone surrogate, which has no UTF-8", "a\ud800b", "a\ufffdb"],
    ["a line separator", "a\u2028b", "a\u2028b"],
  ])("with %s", (_, value, written) => {
    expect(rendered(sizes([value, 1]))).toContain(`disk_size_bytes{device="${written}"} 1\n`);
  });

  test("of 100 kB are written whole", () => {
    const long = 'x"\n\\é'.repeat(20_000);
    const [family] = parseExposition(expose([sizes([long, 1])], "text").body, "text");
    expect(family?.samples[0]?.labels["device"]).toBe(long);
  });

  test("that are undefined are left out with their label", () => {
    expect(lines(sizes([undefined, 1]))).toEqual(["disk_size_bytes 1"]);
    const partly = samples((set) => {
      set.add(READS, { device: "nvme0", kind: undefined }, 1);
      set.add(READS, { device: undefined, kind: "small" }, 2);
    });
    expect(lines(partly)).toEqual(['disk_reads_total{kind="small"} 2', 'disk_reads_total{device="nvme0"} 1']);
  });

  test("that follow an undefined one are not taken over from the line before", () => {
    const set = samples((set) => {
      set.add(READS, { device: undefined, kind: undefined }, 0);
      set.add(READS, { device: "nvme0", kind: undefined }, 1);
      set.add(READS, { device: "nvme0", kind: "large" }, 2);
      set.add(READS, { device: "nvme1", kind: "large" }, 3);
    });
    expect(lines(set)).toEqual([
      "disk_reads_total 0",
      'disk_reads_total{device="nvme0"} 1',
      'disk_reads_total{device="nvme0",kind="large"} 2',
      'disk_reads_total{device="nvme1",kind="large"} 3',
    ]);
  });
});

describe("values", () => {
  test.each<[Value, string]>([
    [0, "0"],
    [-0, "-0"],
    [9, "9"],
    [10, "10"],
    [-1, "-1"],
    [99_999, "99999"],
    [2 ** 31 - 1, "2147483647"],
    [-(2 ** 31), "-2147483648"],
    [2 ** 31, "2147483648"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [0.1, "0.1"],
    [40.85, "40.85"],
    [0.001, "0.001"],
    [-0.5, "-0.5"],
    [999_999_999, "999999999"],
    [1_000_000_000, "1000000000"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [1e-7, "1e-7"],
    [5e-324, "5e-324"],
    [1.7976931348623157e308, "1.7976931348623157e+308"],
    [2 ** 63, "9223372036854776000"],
    [2n ** 63n, "9223372036854775808"],
    [2n ** 53n + 1n, "9007199254740993"],
    [2n ** 64n - 1n, "18446744073709551615"],
    [2n ** 128n - 1n, "340282366920938463463374607431768211455"],
    [-3n, "-3"],
  ])("%p is written as %s", (value, written) => {
    expect(lines(sizes(["a", value]))).toEqual([`disk_size_bytes{device="a"} ${written}`]);
  });

  test("any number with few decimals, and any integer, is written in its shortest digits", () => {
    const decimal = fc
      .tuple(fc.integer(), fc.constantFrom(1, 2, 8, 10, 100, 1000, 10_000))
      .map(([n, by]) => n / by);
    fc.assert(
      fc.property(fc.oneof(decimal, fc.maxSafeInteger()), (value) => {
        expect(lines(sizes([undefined, value]))).toEqual([`disk_size_bytes ${value}`]);
      }),
      { numRuns: 1000 },
    );
  });

  test("any bigint is written with all its digits", () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 128n), 2n ** 128n), (value) => {
        expect(lines(sizes([undefined, value]))).toEqual([`disk_size_bytes ${value}`]);
      }),
    );
  });

  test("any number is read back as the same number", () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        const text = lines(sizes([undefined, value]))[0]?.split(" ")[1] ?? "";
        expect(Number(text.replace("Inf", "Infinity"))).toBe(value);
      }),
    );
  });
});

describe("summaries", () => {
  const labelled = summary("collection_seconds", "Seconds", ["module"]);
  const plain = summary("plain_seconds", "Seconds", []);
  const samples = new Samples();
  for (const module of ["b", "a"])
    samples.addHistogram(labelled, { module }, { upperBounds: [], counts: [], count: 2, sum: 0.5 });
  samples.addHistogram(plain, {}, { upperBounds: [], counts: [], count: 1, sum: 3 });

  test("have a sum and a count, and no buckets", () => {
    expect(new TextDecoder().decode(expose([samples], "text").body)).toBe(
      [
        "# HELP collection_seconds Seconds",
        "# TYPE collection_seconds summary",
        'collection_seconds_sum{module="a"} 0.5',
        'collection_seconds_count{module="a"} 2',
        'collection_seconds_sum{module="b"} 0.5',
        'collection_seconds_count{module="b"} 2',
        "# HELP plain_seconds Seconds",
        "# TYPE plain_seconds summary",
        "plain_seconds_sum 3",
        "plain_seconds_count 1",
        "",
      ].join("\n"),
    );
  });

  test("take the names of their lines from other families", () => {
    const clashing = new Samples();
    clashing.add(gauge("plain_seconds_count", "A count", []), {}, 1);
    expect(expose([samples, clashing], "openmetrics").duplicates).toEqual([
      "plain_seconds_count: it is part of the summary plain_seconds",
    ]);
  });
});

describe("histograms", () => {
  const value = {
    upperBounds: [1e-6, 0.000128, 1, 67.108864],
    counts: [0, 15869, 59746n, 60328],
    count: 60329n,
  };
  const set = (sum?: Value) =>
    samples((set) =>
      set.addHistogram(LATENCY, { device: "nvme0" }, sum === undefined ? value : { ...value, sum }),
    );

  test("have le in the form of Go's client, +Inf, sum and count", () => {
    expect(lines(set(38))).toEqual([
      'disk_latency_seconds_bucket{device="nvme0",le="1e-06"} 0',
      'disk_latency_seconds_bucket{device="nvme0",le="0.000128"} 15869',
      'disk_latency_seconds_bucket{device="nvme0",le="1"} 59746',
      'disk_latency_seconds_bucket{device="nvme0",le="67.108864"} 60328',
      'disk_latency_seconds_bucket{device="nvme0",le="+Inf"} 60329',
      'disk_latency_seconds_sum{device="nvme0"} 38',
      'disk_latency_seconds_count{device="nvme0"} 60329',
    ]);
  });

  test("have canonical floats for le in OpenMetrics", () => {
    expect(lines(set(38), "openmetrics")[2]).toBe(
      'disk_latency_seconds_bucket{device="nvme0",le="1.0"} 59746',
    );
  });

  test("without a sum have a count in the text format and neither in OpenMetrics", () => {
    expect(lines(set()).slice(-2)).toEqual([
      'disk_latency_seconds_bucket{device="nvme0",le="+Inf"} 60329',
      'disk_latency_seconds_count{device="nvme0"} 60329',
    ]);
    expect(lines(set(), "openmetrics").at(-1)).toBe(
      'disk_latency_seconds_bucket{device="nvme0",le="+Inf"} 60329',
    );
  });

  test("without labels have only le", () => {
    const plain = histogram("plain_seconds", "Seconds", []);
    const set = samples((set) =>
      set.addHistogram(plain, {}, { upperBounds: [1], counts: [1], count: 2, sum: 3 }),
    );
    expect(lines(set)).toEqual([
      'plain_seconds_bucket{le="1"} 1',
      'plain_seconds_bucket{le="+Inf"} 2',
      "plain_seconds_sum 3",
      "plain_seconds_count 2",
    ]);
  });

  test("without a bound have the bucket +Inf alone", () => {
    const set = samples((set) =>
      set.addHistogram(LATENCY, { device: "a" }, { upperBounds: [], counts: [], count: 0, sum: 0 }),
    );
    expect(lines(set)).toEqual([
      'disk_latency_seconds_bucket{device="a",le="+Inf"} 0',
      'disk_latency_seconds_sum{device="a"} 0',
      'disk_latency_seconds_count{device="a"} 0',
    ]);
  });

  test("of several series and sizes follow each other in order", () => {
    const small: HistogramValue = { upperBounds: [1], counts: [1], count: 1, sum: 1 };
    const set = samples((set) => {
      set.addHistogram(LATENCY, { device: "nvme1" }, small);
      set.addHistogram(LATENCY, { device: undefined }, small);
      set.addHistogram(LATENCY, { device: "nvme0" }, { ...value, sum: 1 });
    });
    expect(lines(set).filter((line) => line.includes("_count"))).toEqual([
      "disk_latency_seconds_count 1",
      'disk_latency_seconds_count{device="nvme0"} 60329',
      'disk_latency_seconds_count{device="nvme1"} 1',
    ]);
    parseExposition(expose([set], "openmetrics").body, "openmetrics");
  });
});

describe("order", () => {
  test("families stand by name and series by label values, whatever order they come in", () => {
    const devices = ["nvme10", "nvme2", "nvme0", "nvme1"];
    const one = samples((set) => {
      for (const device of devices) set.add(SIZE, { device }, 1);
      for (const device of devices) set.add(READS, { device, kind: "small" }, 1);
    });
    const other = samples((set) => {
      for (const device of devices.toReversed()) set.add(READS, { device, kind: "small" }, 1);
      for (const device of devices.toReversed()) set.add(SIZE, { device }, 1);
    });
    expect(rendered(other)).toBe(rendered(one));
    expect(lines(one).slice(0, 4)).toEqual(
      ["nvme0", "nvme1", "nvme10", "nvme2"].map(
        (device) => `disk_reads_total{device="${device}",kind="small"} 1`,
      ),
    );
  });

  test("is that of the descriptor's labels", () => {
    const set = samples((set) => {
      set.add(READS, { device: "b", kind: "1" }, 1);
      set.add(READS, { kind: "2", device: "a" }, 2);
    });
    expect(lines(set)).toEqual([
      'disk_reads_total{device="a",kind="2"} 2',
      'disk_reads_total{device="b",kind="1"} 1',
    ]);
  });

  test("is the same for the samples in any order and in any number of sets", () => {
    const series = fc.uniqueArray(fc.tuple(fc.string(), fc.string()), {
      selector: (pair) => pair.join("\0"),
    });
    fc.assert(
      fc.property(series, fc.nat(), (pairs, cut) => {
        const set = (some: typeof pairs) =>
          samples((set) => {
            for (const [device, kind] of some) set.add(READS, { device, kind }, device.length);
          });
        const at = cut % (pairs.length + 1);
        expect(rendered([set(pairs.slice(at).toReversed()), set(pairs.slice(0, at))])).toBe(
          rendered(set(pairs)),
        );
      }),
    );
  });
});

describe("two collectors giving the same series", () => {
  test("the first in the collectors' order is kept, the later one dropped and described", () => {
    const {
      body,
      samples: count,
      dropped,
      duplicates,
    } = expose([sizes(["nvme1", 1], ["nvme0", 2]), sizes(["nvme0", 3], ["nvme2", 4])], "text");
    expect(new TextDecoder().decode(body)).toContain('disk_size_bytes{device="nvme0"} 2\n');
    expect(new TextDecoder().decode(body)).not.toContain("} 3\n");
    expect(count).toBe(3);
    expect(dropped).toBe(1);
    expect(duplicates).toEqual(['disk_size_bytes{device="nvme0"}: it is already there']);
  });

  test("an empty label is the same as a missing one", () => {
    expect(expose([sizes([undefined, 1]), sizes(["", 2])], "text").dropped).toBe(1);
    expect(lines(sizes(["", 1], ["a", 2], [undefined, 3]))).toEqual([
      'disk_size_bytes{device=""} 1',
      'disk_size_bytes{device="a"} 2',
    ]);
  });

  test("two lone surrogates are the same U+FFFD", () => {
    expect(lines(sizes(["\ud800", 1], ["\udc00", 2], ["\ufffd", 3]))).toEqual([
      'disk_size_bytes{device="\ufffd"} 1',
    ]);
  });

  test("two descriptors of one name give one family, with the first one's HELP", () => {
    const other = gauge("disk_size_bytes", "Another help", ["pool", "device"]);
    const set = samples((set) => {
      set.add(other, { pool: "p", device: "nvme0" }, 2);
      set.add(other, { pool: undefined, device: "nvme0" }, 3);
    });
    expect(rendered([sizes(["nvme0", 1]), set])).toBe(
      [
        "# HELP disk_size_bytes Size of the disk in bytes",
        "# TYPE disk_size_bytes gauge",
        'disk_size_bytes{device="nvme0"} 1',
        'disk_size_bytes{device="nvme0",pool="p"} 2',
        "",
      ].join("\n"),
    );
  });

  test("a family of the same name and another type is dropped whole", () => {
    const other = counter("disk_size_bytes", "Another type", ["device"]);
    const set = samples((set) => {
      set.add(other, { device: "nvme1" }, 1);
      set.add(other, { device: "nvme2" }, 2);
    });
    const { dropped, duplicates } = expose([sizes(["nvme0", 1]), set], "text");
    expect(dropped).toBe(2);
    expect(duplicates).toEqual(["disk_size_bytes as a counter: it is already there as a gauge"]);
  });

  test("a family that is called like a histogram's lines is dropped", () => {
    const clash = gauge("disk_latency_seconds_count", "A clash", ["device"]);
    const set = samples((set) => {
      set.add(clash, { device: "nvme0" }, 1);
      set.addHistogram(LATENCY, { device: "nvme0" }, { upperBounds: [], counts: [], count: 3, sum: 1 });
    });
    expect(expose([set], "text").duplicates).toEqual([
      "disk_latency_seconds_count: it is part of the histogram disk_latency_seconds",
    ]);
    parseExposition(expose([set], "text").body, "text");
  });

  test("no more than 20 are described, and none at length", () => {
    const many = Array.from({ length: 50 }, (_, index) => [`${index}${"x".repeat(10_000)}`, index] as const);
    const { dropped, duplicates } = expose([sizes(...many), sizes(...many)], "text");
    expect(dropped).toBe(50);
    expect(duplicates).toHaveLength(20);
    expect(Math.max(...duplicates.map(({ length }) => length))).toBeLessThanOrEqual(300);
  });
});

describe("OpenMetrics", () => {
  test("ends with # EOF, also where it is empty", () => {
    expect(rendered([], "openmetrics")).toBe("# EOF\n");
    expect(rendered(sizes(["a", 1]), "openmetrics")).toEndWith("} 1\n# EOF\n");
  });

  test("calls a counter's family without _total, and names the unit that the name ends in", () => {
    const bytes = counter("disk_written_bytes_total", 'Bytes "written"', []);
    expect(
      rendered(
        samples((set) => set.add(bytes, {}, 5)),
        "openmetrics",
      ),
    ).toBe(
      [
        '# HELP disk_written_bytes Bytes \\"written\\"',
        "# TYPE disk_written_bytes counter",
        "# UNIT disk_written_bytes bytes",
        "disk_written_bytes_total 5",
        "# EOF",
        "",
      ].join("\n"),
    );
  });

  test("gives a counter whose name does not end in _total the type unknown", () => {
    const odd = counter("disk_resets", "Resets", []);
    const body = expose([samples((set) => set.add(odd, {}, 5))], "openmetrics").body;
    expect(parseExposition(body, "openmetrics")).toMatchObject([{ name: "disk_resets", type: "unknown" }]);
  });

  test("does not let a counter take the name of another family", () => {
    const plain = gauge("disk_reads", "A gauge", []);
    const set = samples((set) => {
      set.add(READS, { device: "a", kind: "b" }, 1);
      set.add(plain, {}, 1);
    });
    const families = parseExposition(expose([set], "openmetrics").body, "openmetrics");
    expect(families.map(({ name, type }) => [name, type])).toEqual([
      ["disk_reads", "gauge"],
      ["disk_reads_total", "unknown"],
    ]);
  });

  test("has the content type that Prometheus expects", () => {
    expect(CONTENT_TYPE.openmetrics).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
  });
});

describe("a strict parser reads back", () => {
  const FORMATS = ["text", "openmetrics"] as const;
  const labelValue = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom('"', "\\", "\n", "n", "\0", "{", "}", ",", "=", " ", "é", "𝄞") }),
  );
  const value = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.bigInt(-(2n ** 128n), 2n ** 128n),
  );

  test.each(FORMATS)("any label and value from %s", (format) => {
    const family = gauge("any_family", "Any", ["device", "kind"]);
    const series = fc.uniqueArray(
      fc.record({ device: labelValue, kind: fc.option(labelValue, { nil: undefined }), value }),
      { selector: ({ device, kind }) => JSON.stringify([device, kind ?? ""]), minLength: 1 },
    );
    fc.assert(
      fc.property(series, (given) => {
        const set = samples((set) => {
          for (const { device, kind, value } of given) set.add(family, { device, kind }, value);
        });
        const [parsed] = parseExposition(expose([set], format).body, format);
        const read = new Map(parsed?.samples.map(({ labels, value }) => [JSON.stringify(labels), value]));
        expect(read.size).toBe(given.length);
        for (const { device, kind, value } of given) {
          const text = read.get(JSON.stringify(kind === undefined ? { device } : { device, kind })) ?? "none";
          if (typeof value === "bigint") expect(BigInt(text)).toBe(value);
          else expect(Number(text.replace("Inf", "Infinity"))).toBe(value);
        }
      }),
    );
  });

  test.each(FORMATS)("any families with any help from %s", (format) => {
    const name = fc
      .tuple(
        fc.stringMatching(/^[a-z]{1,3}$/),
        fc.constantFrom("", "_total", "_seconds", "_seconds_total", "_ratio"),
      )
      .map(([stem, suffix]) => `x_${stem}${suffix}`);
    const family = fc.record({
      name,
      help: fc.string({ unit: "binary", minLength: 1 }),
      type: fc.constantFrom("counter", "gauge", "histogram"),
      series: fc.uniqueArray(labelValue, { minLength: 1, maxLength: 3 }),
    });
    const families = fc.uniqueArray(family, { selector: ({ name }) => name, maxLength: 5 });
    fc.assert(
      fc.property(families, (given) => {
        const set = samples((set) => {
          for (const { name, help, type, series } of given) {
            for (const device of series) {
              if (type === "counter") set.add(counter(name, help, ["device"]), { device }, 1);
              else if (type === "gauge") set.add(gauge(name, help, ["device"]), { device }, 1);
              else
                set.addHistogram(
                  histogram(name, help, ["device"]),
                  { device },
                  { upperBounds: [0.5, 1], counts: [1, 2n], count: 2, sum: 1 },
                );
            }
          }
        });
        const { body, samples: count } = expose([set], format);
        const parsed = parseExposition(body, format);
        expect(parsed.flatMap(({ samples }) => samples)).toHaveLength(count);
        expect(parsed.map(({ help }) => help).toSorted()).toEqual(given.map(({ help }) => help).toSorted());
        const devices = parsed.flatMap(({ samples }) => samples.map(({ labels }) => labels["device"]));
        expect(new Set(devices)).toEqual(new Set(given.flatMap(({ series }) => series)));
      }),
    );
  });

  test("nothing from what Prometheus would refuse", () => {
    const refused = [
      'a{x="1"} 1\n',
      "# HELP a A\n# TYPE a gauge\na 1",
      "# HELP a A\n# TYPE a gauge\na 1\na 2\n",
      '# HELP a A\n# TYPE a gauge\na 1\n# HELP b B\n# TYPE b gauge\nb 1\n# HELP a A\n# TYPE a gauge\na{x="1"} 1\n',
      '# HELP a A\n# TYPE a gauge\na{x="\\t"} 1\n',
      '# HELP a A\n# TYPE a gauge\na{x="1} 1\n',
      "# HELP a A\n# TYPE a gauge\na Infinity\n",
      "# HELP a A\n# TYPE a gauge\nb 1\n",
      '# HELP a A\n# TYPE a histogram\na_bucket{le="1"} 1\na_count 1\n',
    ];
    for (const text of refused)
      expect(() => parseExposition(new TextEncoder().encode(text), "text"), text).toThrow();
  });
});

describeWith([PROMTOOL], "promtool check metrics", () => {
  test("is silent on odd label values, odd values and histograms with and without a sum", () => {
    const set = samples((set) => {
      for (const device of ['"', "\\", "\n", "\0", "é𝄞", "\ud800", "x".repeat(100_000)])
        set.add(SIZE, { device }, Number.NaN);
      for (const [index, value] of [-0, 2n ** 127n, 2 ** 63, Number.POSITIVE_INFINITY, 5e-324].entries())
        set.add(SIZE, { device: `value ${index}` }, value);
      const latency = { upperBounds: [1e-6, 1], counts: [1, 2], count: 3 };
      set.addHistogram(LATENCY, { device: "a" }, latency);
      set.addHistogram(LATENCY, { device: "b" }, { ...latency, sum: 4.5 });
    });
    expect(checkMetrics(expose([set], "text").body).objections).toEqual([]);
  });
});
