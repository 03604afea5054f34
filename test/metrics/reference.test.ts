import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATOR_METRICS } from "../../src/kubernetes/reference.ts";
import { counter, type Descriptor, gauge } from "../../src/metrics/descriptor.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { PEER_NAMES } from "../../src/metrics/peer-names.ts";
import {
  type ReferenceGroup,
  reference,
  referenceJson,
  referenceMarkdown,
} from "../../src/metrics/reference.ts";
import { type HistogramValue, Samples, type Value } from "../../src/metrics/samples.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import { describeWith, PROMTOOL } from "../support/debian.ts";
import { parseExposition } from "../support/exposition-parser.ts";
import { checkMetrics } from "../support/promtool.ts";

const SIZE = gauge("disk_size_bytes", "Size | of the disk in bytes", ["device", "kind"]);
const SHARED = counter("plumbline_disk_errors_total", "Errors", ["collector"]);
const COLLECTOR = { name: "disk", help: "Disks", descriptors: [SIZE, SHARED] };
const OTHER = { name: "other", help: "Others", descriptors: [SHARED] };

const groups = reference(COLLECTORS, OPERATOR_METRICS);
const all = groups.flatMap(({ metrics }) => metrics);

describe("the reference of all metrics", () => {
  test("in docs/metrics.md is the one that `bun src/main.ts metrics` prints now", () => {
    expect(readFileSync(join(import.meta.dir, "../../docs/metrics.md"), "utf8")).toBe(
      referenceMarkdown(groups),
    );
  });

  test("holds each descriptor of each collector once", () => {
    const names = all.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { descriptors } of COLLECTORS)
      for (const { name } of descriptors) expect(names).toContain(name);
  });

  test("puts what several collectors emit beside the exporter's own", () => {
    const groups = reference([COLLECTOR, OTHER]);
    expect(namesOf(groups, "disk")).toEqual(["disk_size_bytes"]);
    expect(namesOf(groups, "other")).toEqual([]);
    expect(namesOf(groups, undefined)).toContain("plumbline_disk_errors_total");
  });

  test("is a table with name, type, labels and meaning as Markdown", () => {
    expect(referenceMarkdown(reference([COLLECTOR, OTHER]))).toContain(
      "| `disk_size_bytes` | gauge | `device`, `kind` | Size \\| of the disk in bytes |\n",
    );
  });

  test("holds the same as JSON", () => {
    expect(JSON.parse(referenceJson(reference([COLLECTOR, OTHER])))[0]).toEqual({
      collector: "disk",
      help: "Disks",
      metrics: [
        {
          name: "disk_size_bytes",
          help: "Size | of the disk in bytes",
          type: "gauge",
          labels: ["device", "kind"],
        },
      ],
    });
  });

  test("refuses two descriptors of one name", () => {
    const twin = gauge("disk_size_bytes", "Another", []);
    expect(() => reference([COLLECTOR, { ...OTHER, descriptors: [twin] }])).toThrow(
      "two descriptors are called disk_size_bytes",
    );
  });
});

describe("all metrics at once", () => {
  test("have a help that is a sentence without a full stop, but for those that others have given", () => {
    const odd = all.filter(({ help }) => !/^[A-Z0-9`].*[^.]$/.test(help)).map(({ name }) => name);
    const given =
      /^(?:csi_volume_node_device_info|pve_(?:cpu|disk|ha_state|memory|network|not_backed_up|uptime)\w*)$/;
    expect(odd.filter((name) => !given.test(name))).toEqual([]);
  });

  test("are strictly valid in both formats, each family once", () => {
    for (const format of ["text", "openmetrics"] as const)
      expect(parseExposition(expose([oneOfEach()], format).body, format)).toHaveLength(all.length);
  });
});

describeWith([PROMTOOL], "promtool check metrics", () => {
  test("objects to the names kept for drop-in's sake, all of them, and to nothing else", () => {
    const { objections, peerNames } = checkMetrics(expose([oneOfEach()], "text").body);
    expect(objections).toEqual([]);
    expect(peerNames.toSorted()).toEqual(PEER_NAMES.map(({ name }) => name).toSorted());
  });
});

function namesOf(groups: readonly ReferenceGroup[], collector: string | undefined): readonly string[] {
  return groups.find((group) => group.collector === collector)?.metrics.map(({ name }) => name) ?? [];
}

function oneOfEach(): Samples {
  const set = new Samples();
  for (const descriptor of all) {
    const labels = [Object.fromEntries(descriptor.labels.map((label) => [label, "x"]))];
    set.families.set(descriptor, { descriptor, labels, values: [valueFor(descriptor)] });
  }
  return set;
}

function valueFor({ type }: Descriptor): Value | HistogramValue {
  return type === "histogram" ? { upperBounds: [1], counts: [1], count: 1, sum: 1 } : 1;
}
