/** A real Prometheus asks for what the dashboard and the alerts about the operator name, over scrapes of an operator that has troubles. */
import { expect, test } from "bun:test";
import { Aggregate } from "../../src/kubernetes/aggregate.ts";
import { CONFIG_MAP, POD } from "../../src/kubernetes/object.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { observeProcess } from "../../src/metrics/process.ts";
import { Bed, eventually, NAMESPACE, plumbline } from "../kubernetes/operating.ts";
import { describeWith, PROMETHEUS } from "../support/debian.ts";
import { freePort } from "../support/ports.ts";
import type { Prometheus } from "../support/prometheus.ts";
import { expectAnswers, sizes, untilAnswered, withSeries } from "./asking.ts";
import { readDashboard } from "./files.ts";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** One exporter answers, one does not; one pod crashes; a hand edit, a refused object, and watches that break. */
async function withOperator(body: (prometheus: Prometheus) => Promise<void>): Promise<void> {
  await using bed = await Bed.start();
  bed.api.put(plumbline());
  const { own, operator } = bed.operate();
  observeProcess(own);
  await bed.settled();
  const [pod] = bed.api.objects(POD, NAMESPACE);
  bed.api.setPod(pod?.metadata.name ?? "", NAMESPACE, "crash");
  await eventually(() => bed.status()?.nodesFailing.length === 1);

  let seconds = 0;
  const troubles = setInterval(() => {
    bed.api.edit(CONFIG_MAP, "plumbline-cluster", NAMESPACE, { data: { "plumbline.yml": "by hand" } });
    bed.api.dropWatches();
    if (seconds++ % 4 === 0) bed.api.fault({ kind: "status", status: 500 }, { verb: "apply", times: 1 });
  }, 1000);
  const exporter = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("# HELP ebs_up U\n# TYPE ebs_up gauge\nebs_up 1\n"),
  });
  const aggregate = new Aggregate(own, log);
  const ports = [exporter.port, await freePort()];
  const pods = ports.map((port, index) => ({
    node: `worker-${index}`,
    url: `http://127.0.0.1:${port}/metrics`,
    families: ["ebs_*"],
    clusterId: "c",
  }));
  try {
    await withSeries(async () => {
      const { desired, ready } = operator.exporterPods();
      const deadline = performance.now() + 5000;
      const signal = AbortSignal.timeout(5000);
      const nodes = await aggregate.scrape({ desired, ready, pods }, { signal, deadline });
      // Both have the counters of the aggregate; a Prometheus tells them apart by their jobs.
      const ofOperator = new TextDecoder()
        .decode(expose([await own.samples()], "text").body)
        .replaceAll(/^.*\bplumbline_aggregate_.*\n/gm, "");
      return ofOperator + new TextDecoder().decode(nodes);
    }, body);
  } finally {
    clearInterval(troubles);
    aggregate.close();
    await exporter.stop(true);
  }
}

describeWith([PROMETHEUS], "over scrapes of an operator with troubles, Prometheus", () => {
  test("answers every query of the dashboard with data, and no join of an alert is ambiguous", async () => {
    await withOperator(async (prometheus) => {
      for (const name of ["drift_repairs", "reconcile_errors", "watch_restarts"])
        await untilAnswered(prometheus, `rate(plumbline_operator_${name}_total[10s]) > 0`);
      await expectAnswers(prometheus, readDashboard("kubernetes.json"));
      const found = Object.keys(await sizes(prometheus)).filter((alert) => /^Plumbline[AEO]/.test(alert));
      expect(found).toEqual(
        expect.arrayContaining(["PlumblineExporterFailing", "PlumblineAggregateNodeMissing"]),
      );
      for (const calm of ["PlumblineOperatorDown", "PlumblineOperatorWithoutLeader", "PlumblineExporterDown"])
        expect(found).not.toContain(calm);
    });
  }, 90_000);
});
