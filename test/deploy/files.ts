/** The files of deploy/prometheus and deploy/grafana, read as what they are. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";

export const ROOT = join(import.meta.dir, "../..");
export const PROMETHEUS_DIRECTORY = join(ROOT, "deploy/prometheus");

const ANNOTATIONS = v.strictObject({ summary: v.string(), description: v.string(), runbook_url: v.string() });
const ALERT = v.strictObject({
  alert: v.string(),
  expr: v.string(),
  for: v.optional(v.string()),
  labels: v.strictObject({
    severity: v.picklist(["info", "warning", "critical"]),
    operator_health_impact: v.optional(v.literal("warning")),
  }),
  annotations: ANNOTATIONS,
});
const RECORDING = v.strictObject({ record: v.string(), expr: v.string() });
const RULES = v.strictObject({
  groups: v.array(v.strictObject({ name: v.string(), rules: v.array(v.union([ALERT, RECORDING])) })),
});
export type Alert = v.InferOutput<typeof ALERT>;
export type Recording = v.InferOutput<typeof RECORDING>;

export const RULE_FILES: readonly string[] = readdirSync(PROMETHEUS_DIRECTORY)
  .filter((name) => name.endsWith(".rules.yml"))
  .sort();
const rules = RULE_FILES.flatMap((file) =>
  v
    .parse(RULES, parse(readFileSync(join(PROMETHEUS_DIRECTORY, file), "utf8")))
    .groups.flatMap((group) => group.rules.map((rule) => ({ file, rule }))),
);
export const ALERTS: readonly Alert[] = rules.flatMap(({ rule }) => ("alert" in rule ? [rule] : []));
export const RECORDINGS: readonly Recording[] = rules.flatMap(({ rule }) => ("record" in rule ? [rule] : []));

const OTHER_EXPORTERS = v.record(
  v.string(),
  v.strictObject({
    version: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+$/)),
    url: v.pipe(v.string(), v.url()),
    metrics: v.record(v.string(), v.array(v.string())),
  }),
);
/** Label names of the metrics of other exporters, by metric. */
export const OTHER_METRICS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.values(
    v.parse(OTHER_EXPORTERS, parse(readFileSync(join(PROMETHEUS_DIRECTORY, "other-exporters.yml"), "utf8"))),
  ).flatMap(({ metrics }) => Object.entries(metrics)),
);

const TARGET = v.object({ refId: v.string(), expr: v.string() });
const PANEL = v.object({
  id: v.number(),
  type: v.string(),
  title: v.string(),
  gridPos: v.object({ x: v.number(), y: v.number(), w: v.number(), h: v.number() }),
  datasource: v.optional(v.object({ uid: v.string() })),
  targets: v.optional(v.array(TARGET), []),
});
const VARIABLE = v.object({
  name: v.string(),
  type: v.string(),
  definition: v.optional(v.string()),
  allValue: v.optional(v.string()),
});
const DASHBOARD = v.object({
  uid: v.string(),
  title: v.string(),
  schemaVersion: v.number(),
  panels: v.array(PANEL),
  templating: v.object({ list: v.array(VARIABLE) }),
});
export type Dashboard = v.InferOutput<typeof DASHBOARD>;

export const DASHBOARD_FILES: readonly string[] = readdirSync(join(ROOT, "deploy/grafana"))
  .filter((name) => name.endsWith(".json"))
  .sort();

export function readDashboard(file: string): Dashboard {
  return v.parse(DASHBOARD, JSON.parse(readFileSync(join(ROOT, "deploy/grafana", file), "utf8")));
}

/** `label_values(SELECTOR, label)` of a dashboard's variable. */
export function selectorOf(definition: string): string {
  const selector = /^label_values\((.+), ?[a-z_]+\)$/.exec(definition)?.[1];
  if (selector === undefined) throw new Error(`${definition} is no label_values()`);
  return selector;
}
