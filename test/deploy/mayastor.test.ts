/** A real Prometheus asks for what the dashboard and the alerts about Mayastor name, over scrapes of a simulated cluster. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { livingCluster } from "../../src/demo/mayastor-cluster.ts";
import { MayastorRest } from "../../src/demo/mayastor-rest.ts";
import { RESOURCES } from "../../src/mayastor/model.ts";
import { describeWith, PROMETHEUS } from "../support/debian.ts";
import { MayastorScraping } from "../support/mayastor-scraping.ts";
import type { Prometheus } from "../support/prometheus.ts";
import { seriesKey } from "../support/series.ts";
import { expectAnswers, sizes, untilAnswered, withSeries } from "./asking.ts";
import { ALERTS, ROOT, readDashboard } from "./files.ts";

/** worker-3 is offline, one volume without its last replica, another without its target, pool-1b faulted, pool-5b full, a rebuild at 37 %. */
const MOMENT_MS = 310_000;

/** What kube-state-metrics says of each volume that a scrape shows. */
function claims(exposition: string): string {
  const names = new Set([...exposition.matchAll(/pv_name="([^"]+)"/g)].map(([, name = ""]) => name));
  return [...names]
    .map(
      (name) =>
        `kube_persistentvolume_claim_ref{persistentvolume="${name}",claim_namespace="shop",name="claim-of-${name}"} 1\n`,
    )
    .join("");
}

async function withCluster(
  refused: (request: number) => boolean,
  body: (prometheus: Prometheus) => Promise<void>,
): Promise<void> {
  let requests = 0;
  const rest = new MayastorRest(() => livingCluster(MOMENT_MS), {
    fault: () => (refused(++requests) ? { kind: "status", status: 503, word: "Unavailable" } : undefined),
  });
  const endpoint = `${await rest.start()}/v0`;
  using scraping = new MayastorScraping({ endpoint, resources: RESOURCES });
  try {
    await withSeries(async () => {
      const exposition = await scraping.exposition();
      return exposition + claims(exposition);
    }, body);
  } finally {
    await rest.stop();
  }
}

describeWith([PROMETHEUS], "over scrapes of a Mayastor cluster, Prometheus", () => {
  test("answers every query of the dashboard with data, also while requests fail", async () => {
    // Seven is prime to the number of resources: each of them fails at times.
    await withCluster(
      (request) => request % 7 === 0,
      async (prometheus) => {
        await untilAnswered(prometheus, "rate(mayastor_node_status_fetch_errors_total[10s]) > 0");
        await expectAnswers(prometheus, readDashboard("mayastor.json"));
      },
    );
  }, 60_000);

  test("answers every query of docs/mayastor.md with data", async () => {
    const text = readFileSync(join(ROOT, "docs/mayastor.md"), "utf8");
    const [, block = ""] = /^```promql\n(.*?)^```$/ms.exec(text) ?? [];
    const queries = block.split("\n\n");
    expect(queries.length).toBeGreaterThan(3);
    await withCluster(
      () => false,
      async (prometheus) => {
        for (const query of queries) {
          const { size } = await untilAnswered(prometheus, query);
          expect({ query, size }).not.toEqual({ query, size: 0 });
        }
      },
    );
  }, 60_000);

  test("finds with the alerts what is wrong with it, and no join is ambiguous", async () => {
    await withCluster(
      () => false,
      async (prometheus) => {
        await untilAnswered(prometheus, "mayastor_volume_info");
        const { CSIVolumeDeviceExporterDown: _, ...found } = await sizes(prometheus);
        // A rebuild that stands still takes a while to tell, and so does a control plane that nobody asks any more.
        expect(Object.keys(found)).toEqual([
          "MayastorNodeDown",
          "MayastorNodeDrainSlow",
          "MayastorPoolNotOnline",
          "MayastorPoolNearlyFull",
          "MayastorVolumeDegraded",
          "MayastorVolumeFaulted",
          "MayastorVolumeUnknown",
        ]);
        const of = async (name: string) => {
          const { expr = "" } = ALERTS.find(({ alert }) => alert === name) ?? {};
          return [...(await prometheus.query(expr)).keys()];
        };
        expect(await of("MayastorNodeDown")).toEqual([seriesKey("", { node_id: "worker-3" })]);
        const faulted = livingCluster(MOMENT_MS).volumes.filter(({ state }) => state.status === "Faulted");
        expect(await of("MayastorVolumeFaulted")).toEqual(
          faulted.map(({ state: { uuid } }) => seriesKey("", { volume: uuid, pv_name: `pvc-${uuid}` })),
        );
      },
    );
  }, 60_000);
});
