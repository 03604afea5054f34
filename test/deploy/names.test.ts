/** What rules, dashboards, runbooks and documents name is exported: by us, or by the version of another that we ask for. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATOR_METRICS } from "../../src/kubernetes/reference.ts";
import { reference } from "../../src/metrics/reference.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import {
  ALERTS,
  DASHBOARD_FILES,
  OTHER_METRICS,
  RECORDINGS,
  ROOT,
  readDashboard,
  selectorOf,
} from "./files.ts";
import { metricsOfExpression } from "./promql.ts";

const OURS = reference(COLLECTORS, OPERATOR_METRICS)
  .flatMap(({ metrics }) => metrics)
  .flatMap(({ name, type }) =>
    type === "histogram" ? [name, `${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
  );
/** What Prometheus itself adds. */
const OF_PROMETHEUS = ["up", "ALERTS"];
const EXISTING = new Set([
  ...OURS,
  ...OTHER_METRICS.keys(),
  ...RECORDINGS.map(({ record }) => record),
  ...OF_PROMETHEUS,
]);
const unknown = (expression: string) => metricsOfExpression(expression).filter((name) => !EXISTING.has(name));

describe("every metric that is named exists", () => {
  test.each(ALERTS)("in the alert $alert", ({ expr, annotations }) => {
    expect(metricsOfExpression(expr).length).toBeGreaterThan(0);
    expect(unknown(expr)).toEqual([]);
    // What a description asks of Prometheus, such as who claims the volume.
    const queries = [...annotations.description.matchAll(/printf "([^"]+)"/g)].map(([, query = ""]) =>
      query.replaceAll("%q", '"x"'),
    );
    expect(queries.flatMap(unknown)).toEqual([]);
  });

  test.each(RECORDINGS)("in the recording rule $record", ({ expr }) => {
    expect(metricsOfExpression(expr).length).toBeGreaterThan(0);
    expect(unknown(expr)).toEqual([]);
  });

  test.each(DASHBOARD_FILES)("in the dashboard %s", (file) => {
    const { panels, templating } = readDashboard(file);
    const expressions = [
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ...templating.list.flatMap(({ definition }) =>
        definition === undefined ? [] : [selectorOf(definition)],
      ),
    ];
    expect(expressions.length).toBeGreaterThan(0);
    expect(expressions.flatMap(unknown)).toEqual([]);
  });

  /** Values of the label `reason`, which look like names. */
  const REASONS = new Set(["nvme_status"]);
  /** The other name of the program. */
  const PROGRAMS = new Set(["pve_exporter"]);
  const documents = [
    "docs/csi.md",
    "docs/kubernetes.md",
    "docs/mayastor.md",
    "docs/migrating-from-ebs-metrics-exporter-operator.md",
    "docs/migrating-from-prometheus-pve-exporter.md",
    "docs/proxmox-ve.md",
    "docs/troubleshooting.md",
    ...readdirSync(join(ROOT, "docs/runbooks")).map((name) => `docs/runbooks/${name}`),
  ];
  /** A word with a known beginning that is no file, no label and no stand-in such as `ebs_…`. */
  const NAME =
    /(?<![\w/.:-])((?:csi_volume|nvme|ebs|ec2_instance_store|plumbline|mayastor|diskpool|pve|node_(?:disk|dmmultipath|nvmesubsystem|textfile|volume|persistentvolume)|kube)_[a-z0-9_:]*[a-z0-9])(?![\w*…:])/g;

  test.each(documents)("in %s", (document) => {
    const text = readFileSync(join(ROOT, document), "utf8");
    const named = [...text.matchAll(NAME)].map(([, name = ""]) => name);
    const isWord = (name: string) => REASONS.has(name) || PROGRAMS.has(name);
    expect(named.filter((name) => !EXISTING.has(name) && !isWord(name))).toEqual([]);
  });

  test("and other-exporters.yml lists no metric that nothing names", () => {
    const texts = [
      ...documents.map((document) => readFileSync(join(ROOT, document), "utf8")),
      ...[...ALERTS, ...RECORDINGS].map(({ expr }) => expr),
    ].join("\n");
    expect([...OTHER_METRICS.keys()].filter((name) => !texts.includes(name))).toEqual([]);
  });
});

describe("the names of an expression", () => {
  test.each([
    ['sum by (node) (rate(a_total{x="b_total"}[5m]))', ["a_total"]],
    ["a * on (node) group_left (multipath) b unless on (c) (max without (d) (e) > bool 0)", ["a", "b", "e"]],
    ["level:metric:rate5m / 1e6 offset 1h # and x", ["level:metric:rate5m"]],
    ["topk(20, avg_over_time(t[10m:1m])) or vector(0)", ["t"]],
    ['label_replace(a{b="}"}, "c", "$1", "d", "(.+)")', ["a"]],
    ["count(up) by (node)", ["up"]],
  ])("%s", (expression, names) => {
    expect(metricsOfExpression(expression)).toEqual(names);
  });

  test("are not hidden behind __name__", () => {
    expect(() => metricsOfExpression('{__name__=~"csi_.+"}')).toThrow("__name__");
  });
});
