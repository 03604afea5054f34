/** A real Prometheus that scrapes what a test tells it to, and is asked over its HTTP API. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { find, PROMETHEUS } from "./debian.ts";
import { freePort } from "./ports.ts";
import { watch } from "./processes.ts";
import { asNumber, seriesKey } from "./series.ts";

export interface Prometheus {
  /** The series that an instant query finds, without `job` and `instance`, by `seriesKey`. */
  query(expression: string): Promise<Map<string, number>>;
  /** Asks until `expression` has a series with this value; fails with what it has then. */
  until(expression: string, value: number): Promise<void>;
  /** What Prometheus says of its targets: their health and last error. */
  targets(): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

const PATIENCE_MS = 30_000;

const ANSWER = v.object({
  status: v.literal("success"),
  data: v.object({
    resultType: v.literal("vector"),
    result: v.array(
      v.object({ metric: v.record(v.string(), v.string()), value: v.tuple([v.number(), v.string()]) }),
    ),
  }),
});

export interface MoreToDo {
  /** Further entries of `scrape_configs` by their names, written as `job` is. */
  readonly jobs?: Readonly<Record<string, string>>;
  /** The text of a rule file, which is evaluated each second. */
  readonly rules?: string;
}

/** `job` is one entry of `scrape_configs` in YAML, without `job_name` and the intervals. */
export async function startPrometheus(job: string, { jobs, rules }: MoreToDo = {}): Promise<Prometheus> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-prometheus-"));
  const configFile = join(directory, "prometheus.yml");
  const entries = Object.entries({ plumbline: job, ...jobs }).map(
    ([name, entry]) => `  - job_name: ${name}\n${entry.trimEnd().replaceAll(/^/gm, "    ")}\n`,
  );
  const global = "{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }";
  writeFileSync(
    configFile,
    `global: ${global}\nrule_files: [rules.yml]\nscrape_configs:\n${entries.join("")}`,
  );
  writeFileSync(join(directory, "rules.yml"), rules ?? "groups: []\n");
  const address = `127.0.0.1:${await freePort()}`;
  const server = watch([
    find(PROMETHEUS) ?? PROMETHEUS.command,
    `--config.file=${configFile}`,
    `--storage.tsdb.path=${join(directory, "data")}`,
    `--web.listen-address=${address}`,
    "--enable-feature=extra-scrape-metrics",
  ]);
  await server.line(/Server is ready to receive web requests/);

  const get = async (path: string): Promise<unknown> =>
    (await fetch(`http://${address}/api/v1/${path}`)).json();
  const query = async (expression: string): Promise<Map<string, number>> => {
    const answer = v.parse(ANSWER, await get(`query?query=${encodeURIComponent(expression)}`));
    return new Map(
      answer.data.result.map(({ metric, value }) => {
        const { __name__: name = "", job: _job, instance: _instance, ...labels } = metric;
        return [seriesKey(name, labels), asNumber(value[1])];
      }),
    );
  };
  const targets = async (): Promise<string> => JSON.stringify(await get("targets?state=active"));
  return {
    query,
    targets,
    async until(expression, value) {
      const deadline = performance.now() + PATIENCE_MS;
      for (;;) {
        const found = [...(await query(expression)).values()];
        if (found.includes(value)) return;
        if (performance.now() > deadline)
          throw new Error(`${expression} is ${found.join(", ")}, not ${value}; ${await targets()}`);
        await Bun.sleep(100);
      }
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
