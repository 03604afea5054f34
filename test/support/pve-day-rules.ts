/** The alerts of a recorded day by the clock of the rules: promtool plays it to Prometheus' own rule engine. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { find, PROMTOOL } from "./debian.ts";
import { DAY_BEGINS_MS, type DayScrape } from "./pve-day.ts";
import { seriesOfExposition } from "./series.ts";

const RULES = join(ROOT, "deploy/prometheus/pve.rules.yml");

/** What promtool says if at these minutes it finds other alerts than those expected; "" where it does not. */
export async function judgedByPromtool(
  scrapes: readonly DayScrape[],
  everyMs: number,
  firing: (minute: number) => readonly string[],
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-pve-day-"));
  try {
    const file = join(directory, "day.test.yml");
    const minutes = Array.from({ length: 61 }, (_, minute) => minute);
    const test = {
      rule_files: [RULES],
      evaluation_interval: `${everyMs / 1000}s`,
      tests: [
        {
          interval: `${everyMs / 1000}s`,
          input_series: await inputSeries(scrapes, everyMs),
          promql_expr_test: minutes.map((minute) => ({
            expr: 'ALERTS{alertstate="firing"}',
            eval_time: `${minute}m`,
            exp_samples: firing(minute).map((alert) => ({ labels: instanced(alert), value: 1 })),
          })),
        },
      ],
    };
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(test));
    const { exitCode, stdout, stderr } = Bun.spawnSync([
      ...[find(PROMTOOL) ?? PROMTOOL.command, "test", "rules", file],
    ]);
    return exitCode === 0 ? "" : `${stdout}${stderr}`;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Of the metrics that the rules name. The engine's clock begins at 0, and so do times here. */
async function inputSeries(scrapes: readonly DayScrape[], everyMs: number) {
  const named = new Set((await Bun.file(RULES).text()).match(/\b(?:pve|plumbline)_\w+/g));
  const regular = scrapes.filter(({ atMs }) => atMs % everyMs === 0);
  const values = new Map<string, string[]>();
  for (const [index, { exposition }] of regular.entries()) {
    for (const [key, value] of seriesOfExposition(exposition)) {
      const name = key.slice(0, key.indexOf("{"));
      if (!named.has(name)) continue;
      const told = values.get(key) ?? Array.from({ length: index }, () => "_");
      values.set(key, told);
      told.push(String(name.endsWith("_timestamp_seconds") ? value - DAY_BEGINS_MS / 1000 : value));
    }
    // As Prometheus does with what a scrape tells no more.
    for (const told of values.values())
      if (told.length === index) told.push(/^(_|stale)$/.test(told.at(-1) ?? "_") ? "_" : "stale");
  }
  return [...values].map(([key, told]) => ({ series: instanced(key), values: told.join(" ") }));
}

const instanced = (key: string): string => key.replace("{", '{instance="plumbline",').replace(",}", "}");
