/** The dashboards as files; a real Prometheus evaluates every query about CSI volumes, and the alerts, over a cluster's series. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OPERATOR_METRICS } from "../../src/kubernetes/reference.ts";
import { reference } from "../../src/metrics/reference.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import { describeWith, PROMETHEUS } from "../support/debian.ts";
import { type ParsedFamily, type ParsedSample, parseExposition } from "../support/exposition-parser.ts";
import type { Prometheus } from "../support/prometheus.ts";
import { seriesKey } from "../support/series.ts";
import { expectAnswers, sizes, untilAnswered, withSeries } from "./asking.ts";
import { DASHBOARD_FILES, OTHER_METRICS, RECORDINGS, ROOT, readDashboard } from "./files.ts";

const CLUSTER = parseExposition(
  withHelp(readFileSync(join(ROOT, "fixtures/prometheus/cluster.prom"))),
  "text",
);
/** Panels that Grafana 12 still has, and that are not about to go. */
const PANEL_TYPES = new Set(["row", "stat", "table", "timeseries"]);

const CHOSEN = /^\$\{datasource\}$/;

const NARROWED_BY: Readonly<Record<string, string[]>> = {
  "csi-volumes.json": ["node", "driver", "persistentvolume"],
  "kubernetes.json": ["cluster", "namespace", "node"],
  "mayastor.json": ["cluster", "node", "pool", "pv"],
  "pve-disks.json": ["cluster", "node"],
  "pve-ha.json": ["cluster", "node"],
  "pve-overview.json": ["cluster", "node"],
};

/** The fixture leaves HELP out, which the parser asks for. */
function withHelp(exposition: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(exposition);
  return new TextEncoder().encode(text.replaceAll(/^# TYPE (\S+) /gm, "# HELP $1 As exported.\n$&"));
}

/** What a scrape finds `seconds` after the first. */
function exposition(families: readonly ParsedFamily[], seconds: number, now: number): string {
  const valueThen = (family: ParsedFamily, { name, value }: ParsedSample): string => {
    if (name.endsWith("_timestamp_seconds")) return String(now);
    return family.type === "gauge" ? value : String(Number(value) * (1 + seconds));
  };
  return families
    .flatMap((family) => [
      `# TYPE ${family.name} ${family.type}`,
      ...family.samples.map(
        (sample) => `${seriesKey(sample.name, sample.labels)} ${valueThen(family, sample)}`,
      ),
    ])
    .join("\n")
    .concat("\n");
}

describe("the cluster that the queries are asked of", () => {
  const labels = new Map<string, readonly string[]>([
    ...OTHER_METRICS,
    ...reference(COLLECTORS, OPERATOR_METRICS)
      .flatMap(({ metrics }) => metrics)
      .map((descriptor): [string, readonly string[]] => [descriptor.name, descriptor.labels]),
  ]);

  test.each(CLUSTER)("$name has the labels that its exporter gives it, and node", ({ name, samples }) => {
    const expected = new Set(["node", ...(labels.get(name) ?? ["which nobody exports"])]);
    for (const sample of samples) {
      expect(new Set(Object.keys(sample.labels).filter((label) => label !== "le"))).toEqual(expected);
    }
  });
});

describe.each(DASHBOARD_FILES)("the dashboard %s", (file) => {
  const dashboard = readDashboard(file);
  const { panels, templating } = dashboard;

  test("is written for a schema that Grafana 11 and newer know, with panels that stay", () => {
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
    expect(panels.filter(({ type }) => !PANEL_TYPES.has(type))).toEqual([]);
  });

  test("asks the data source that is chosen, and only that", () => {
    expect(templating.list[0]).toMatchObject({ name: "datasource", type: "datasource" });
    expect(
      panels.filter(({ type, datasource }) => type !== "row" && !CHOSEN.test(datasource?.uid ?? "")),
    ).toEqual([]);
  });

  test("can be narrowed by what it shows", () => {
    expect(templating.list.slice(1).map(({ name }) => name)).toEqual(NARROWED_BY[file] ?? []);
  });

  test("has panels that neither share an id nor overlap", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describeWith([PROMETHEUS], "over the series of a cluster, Prometheus", () => {
  const withCluster = (body: (prometheus: Prometheus) => Promise<void>) => {
    const start = Date.now() / 1000;
    return withSeries(
      () => exposition(CLUSTER, Date.now() / 1000 - start, Date.now() / 1000),
      async (prometheus) => {
        await untilAnswered(prometheus, "rate(node_disk_read_bytes_total[10s])");
        await body(prometheus);
      },
    );
  };

  test("answers every query of the dashboard about CSI volumes with data", async () => {
    await withCluster((prometheus) => expectAnswers(prometheus, readDashboard("csi-volumes.json")));
  }, 60_000);

  test("finds with the alerts and recording rules what is there to be found, and no join is ambiguous", async () => {
    await withCluster(async (prometheus) => {
      expect(await sizes(prometheus)).toEqual({
        CSIVolumeMultipathDegraded: 1,
        CSIVolumeNVMeSubsystemDegraded: 1,
        CSIVolumeNVMeSubsystemLost: 1,
      });
      for (const { record, expr } of RECORDINGS) {
        const { size } = await prometheus.query(expr.replaceAll("[5m]", "[10s]"));
        // All but the partition, which node_exporter leaves out.
        if (record.startsWith("node_persistentvolume_device:"))
          expect({ record, size }).toEqual({ record, size: 6 });
      }
    });
  }, 60_000);

  test("finds with the alerts what is wrong with the drives of a host", async () => {
    const host = readFileSync(join(ROOT, "fixtures/golden/mixed-24-controllers.prom"), "utf8");
    await withSeries(
      () => host,
      async (prometheus) => {
        expect(await sizes(prometheus)).toEqual({
          // This host has no kubelet.
          CSIVolumeDeviceExporterDown: 1,
          NVMeReadOnly: 1,
          NVMeReliabilityDegraded: 1,
          NVMeSpareLow: 1,
          NVMeWearHigh: 1,
          NVMeTemperatureHigh: 1,
          NVMeControllerDown: 1,
        });
      },
    );
  }, 60_000);
});
