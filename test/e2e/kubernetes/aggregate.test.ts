/**
 * From an empty cluster to every node's volumes at one address: 20 nodes with real exporters behind their pods, the
 * operator as its overlay installs it, and a real Prometheus that scrapes it and, beside it, each exporter.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { NAMESPACE as NAMESPACE_KIND } from "../../../src/kubernetes/object.ts";
import { lacking, PROMETHEUS } from "../../support/debian.ts";
import { startPrometheus } from "../../support/prometheus.ts";
import { seriesKey, seriesOfExposition } from "../../support/series.ts";
import { describeWithKubernetes } from "./binaries.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { type Exporter, podIpOf, startExporter } from "./exporters.ts";
import {
  accountOf,
  byTokenFile,
  installOperator,
  leading,
  type RunningOperator,
  startOperator,
} from "./operator-process.ts";
import { untilAvailable } from "./plumblines.ts";
import { until } from "./until.ts";

const NODES = 20;
const START_MS = 180_000;
const TEST_MS = 60_000;
const SOON_MS = 30_000;
const TRIES = 5;
/** 21 processes share the cores with whatever else is tested. */
const PATIENT = "scrape_interval: 3s\nscrape_timeout: 3s\n";
/** What is the same in each scrape of the same host: not what is told of the time since the last scrape. */
const OF_VOLUMES =
  /^(?:ebs|nvme|csi_volume_(?:node|backing))_(?!\w*(?:_percent|_check|_interval_seconds)(?:\{|$))/;

describeWithKubernetes("the aggregate", () => {
  let cluster: Cluster;
  let operator: RunningOperator;
  let exporters: readonly Exporter[] = [];

  beforeAll(async () => {
    const reason = lacking([PROMETHEUS]);
    if (reason !== undefined) throw new Error(reason);
    cluster = await startCluster({ nodes: NODES, podIp: podIpOf });
    exporters = await Promise.all(cluster.nodes.map((node) => startExporter(node)));
    const [pod] = await installOperator(cluster);
    if (pod === undefined) throw new Error("the Deployment has no pod");
    operator = await startOperator(pod, byTokenFile(cluster, await accountOf(cluster, pod)));
    await cluster.kubectl(["apply", `--filename=${join(ROOT, "deploy/kubernetes/plumbline.yaml")}`]);
    await untilAvailable(cluster, "cluster");
    await leading(operator);
    await until("every node is scraped", SOON_MS, async () => (await aggregated()).get(SCRAPED) === NODES);
  }, START_MS);
  afterAll(async () => {
    await operator?.[Symbol.asyncDispose]();
    await Promise.all(exporters.map((exporter) => exporter[Symbol.asyncDispose]()));
    await cluster?.[Symbol.asyncDispose]();
  }, START_MS);

  const SCRAPED = "plumbline_aggregate_nodes_scraped{}";
  const aggregated = async (): Promise<ReadonlyMap<string, number>> =>
    seriesOfExposition(await (await operator.aggregate()).text());
  const ofVolumes = (series: ReadonlyMap<string, number>) =>
    new Map([...series].filter(([name]) => OF_VOLUMES.test(name)));

  test(
    "has every series of every node's volumes, with its value, the node and the cluster",
    async () => {
      const clusterId = (await cluster.admin.get(NAMESPACE_KIND, "kube-system"))?.metadata.uid ?? "";
      const direct = async () => {
        const all = new Map<string, number>();
        for (const exporter of exporters) {
          for (const [series, value] of ofVolumes(seriesOfExposition(await exporter.scrape())))
            all.set(withLabels(series, { cluster_id: clusterId, node: exporter.node }), value);
        }
        return all;
      };
      expect((await direct()).size).toBeGreaterThan(NODES * 50);
      await soonEqual(async () => ofVolumes(await aggregated()), direct);
    },
    TEST_MS,
  );

  test(
    "a real Prometheus takes it whole, and its sums are those of direct scrapes",
    async () => {
      const targets = cluster.nodes.map((node) => `"${podIpOf({ node })}:9847"`).join(", ");
      await using prometheus = await startPrometheus(
        `${PATIENT}static_configs: [{ targets: ["${operator.aggregateAddress}"] }]`,
        { jobs: { direct: `${PATIENT}static_configs: [{ targets: [${targets}] }]` } },
      );
      await prometheus.until('up{job="plumbline"}', 1);
      await prometheus.until('sum(up{job="direct"})', NODES);
      await prometheus.until(SCRAPED.replace("{}", ""), NODES);
      const names = [
        ...(
          await prometheus.query('count by (__name__) ({job="direct", __name__=~"(ebs|nvme|csi)_.+"})')
        ).keys(),
      ]
        .map((series) => series.replace(/\{.*/, ""))
        .filter((name) => OF_VOLUMES.test(name));
      expect(names.length).toBeGreaterThan(30);
      const sums = (job: string) => async (): Promise<ReadonlyMap<string, number>> => {
        const found = names.map(async (name) => {
          const [sum] = (await prometheus.query(`sum(${name}{job="${job}"})`)).values();
          return [name, sum ?? Number.NaN] as const;
        });
        return new Map(await Promise.all(found));
      };
      await soonEqual(sums("plumbline"), sums("direct"));
    },
    TEST_MS,
  );

  test(
    "a dead exporter and a stopped one cost their own samples only, and come back",
    async () => {
      const [stopped, dead] = exporters;
      if (stopped === undefined || dead === undefined) throw new Error("no exporters");
      const all = ofVolumes(await aggregated());
      stopped.process.kill("SIGSTOP");
      await dead[Symbol.asyncDispose]();
      const isOfOthers = ([name]: [string, number]) =>
        ![stopped, dead].some(({ node }) => name.includes(`node="${node}"`));
      await soonEqual(
        async () => ofVolumes(await aggregated()),
        async () => new Map([...all].filter(isOfOthers)),
      );
      const series = await aggregated();
      const up = (node: string) => series.get(`plumbline_aggregate_node_up{node="${node}"}`);
      expect([up(stopped.node), up(dead.node), up("node-9")]).toEqual([0, 0, 1]);
      expect(series.get(SCRAPED)).toBe(NODES - 2);
      expect(series.get('plumbline_aggregate_errors_total{reason="timeout"}')).toBeGreaterThan(0);
      expect(series.get('plumbline_aggregate_errors_total{reason="connect"}')).toBeGreaterThan(0);

      stopped.process.kill("SIGCONT");
      exporters = [...exporters.filter((exporter) => exporter !== dead), await startExporter(dead.node)];
      await until("all are there again", SOON_MS, async () => (await aggregated()).get(SCRAPED) === NODES);
      await soonEqual(
        async () => ofVolumes(await aggregated()),
        async () => all,
      );
    },
    TEST_MS,
  );

  test(
    "an exporter of another node at a pod's address is not taken for the pod's",
    async () => {
      const [first] = exporters;
      if (first === undefined) throw new Error("no exporters");
      await first[Symbol.asyncDispose]();
      await using _stranger = await startExporter(first.node, "--node-name=stranger");
      const series = await aggregated();
      expect(series.get(`plumbline_aggregate_node_up{node="${first.node}"}`)).toBe(0);
      expect(series.get('plumbline_aggregate_errors_total{reason="conflict"}')).toBe(1);
      expect([...series.keys()].filter((name) => name.includes("stranger"))).toEqual([]);
    },
    TEST_MS,
  );
});

/** An exporter that is short of time leaves out a volume and counts that: then both are asked again. */
async function soonEqual(
  actual: () => Promise<ReadonlyMap<string, number>>,
  expected: () => Promise<ReadonlyMap<string, number>>,
): Promise<void> {
  for (let tries = 1; tries < TRIES; tries++) {
    if (Bun.deepEquals(await actual(), await expected())) return;
    await Bun.sleep(1000);
  }
  expect(await actual()).toEqual(await expected());
}

/** The series with these labels beside its own. */
function withLabels(series: string, more: Readonly<Record<string, string>>): string {
  const [, name = "", labels = ""] = /^([^{]*)\{(.*)\}$/.exec(series) ?? [];
  const own = [...labels.matchAll(/([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")/g)].map(
    ([, label = "", value = '""']) => [label, String(JSON.parse(value))],
  );
  return seriesKey(name, { ...more, ...Object.fromEntries(own) });
}
