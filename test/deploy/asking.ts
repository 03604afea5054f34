/** What dashboards and rules ask of a Prometheus, asked of a real one. */
import { expect } from "bun:test";
import { type Prometheus, startPrometheus } from "../support/prometheus.ts";
import { ALERTS, type Dashboard, selectorOf } from "./files.ts";

/** Scrapes what `scrape` gives, each second. */
export async function withSeries(
  scrape: () => string | Promise<string>,
  body: (prometheus: Prometheus) => Promise<void>,
): Promise<void> {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async () => {
      const headers = { "content-type": "text/plain; version=0.0.4" };
      return new Response(await scrape(), { headers });
    },
  });
  try {
    await using prometheus = await startPrometheus(
      `honor_labels: true\nstatic_configs: [{ targets: ["127.0.0.1:${server.port}"] }]`,
    );
    await prometheus.until("up", 1);
    await body(prometheus);
  } finally {
    await server.stop(true);
  }
}

/** Every query of a dashboard, with all of everything chosen, is answered with numbers. */
export async function expectAnswers(prometheus: Prometheus, dashboard: Dashboard): Promise<void> {
  const queries = [
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.flatMap(({ definition }) =>
      definition === undefined ? [] : [selectorOf(definition)],
    ),
  ];
  for (const query of queries) {
    const found = await untilAnswered(prometheus, interpolated(query, dashboard));
    expect({ query, series: found.size }).not.toEqual({ query, series: 0 });
    expect([...found].filter(([, value]) => !Number.isFinite(value))).toEqual([]);
  }
}

/** As Grafana would send it. */
function interpolated(expression: string, { templating }: Dashboard): string {
  return templating.list
    .reduce((text, { name, allValue }) => text.replaceAll(`$${name}`, allValue ?? ""), expression)
    .replaceAll("$__rate_interval", "10s");
}

export async function untilAnswered(
  prometheus: Prometheus,
  expression: string,
): Promise<Map<string, number>> {
  for (let attempt = 0; ; attempt++) {
    const found = await prometheus.query(expression);
    if (found.size > 0 || attempt === 100) return found;
    await Bun.sleep(100);
  }
}

/** How many series each alert would fire for, if what is there now lasted; those with none left out. */
export async function sizes(prometheus: Prometheus): Promise<Record<string, number>> {
  const found: [string, number][] = [];
  for (const { alert, expr } of ALERTS) found.push([alert, (await prometheus.query(expr)).size]);
  return Object.fromEntries(found.filter(([, size]) => size > 0));
}
