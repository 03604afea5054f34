/**
 * The alerts about Mayastor as a real Prometheus gives them, over scrapes of a real plumbline that asks the simulated REST
 * service; and what Prometheus' own checker says of the demo's exposition.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { assemble, type Cluster, type ClusterPlan } from "../../src/demo/mayastor-assembly.ts";
import { type Fault, MayastorRest } from "../../src/demo/mayastor-rest.ts";
import { RESOURCES } from "../../src/mayastor/model.ts";
import { expectFiring, firingAlert } from "../support/csi-alerts.ts";
import { describeWith, PROMETHEUS, PROMTOOL } from "../support/debian.ts";
import { ALL_RESOURCES, serveMayastor } from "../support/mayastor-process.ts";
import { startPrometheus } from "../support/prometheus.ts";
import { checkMetrics } from "../support/promtool.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

/** As they are in the repository, but with seconds in the place of minutes and hours. */
function hastyRules(): string {
  return readFileSync(join(ROOT, "deploy/prometheus/mayastor.rules.yml"), "utf8")
    .replaceAll(/^( +)for: .*$/gm, "$1for: 2s")
    .replaceAll("[3m]", "[3s]")
    .replaceAll(/\[(?:10|15)m\]/g, "[6s]")
    .replaceAll("offset 15m", "offset 6s");
}

const VOLUME = "0b5c6c1e-8a54-4e0e-9d3c-5d3f4d1c7a01";
const OTHER_VOLUME = "0b5c6c1e-8a54-4e0e-9d3c-5d3f4d1c7a02";
const GIB = 2 ** 30;

const on = (number: number) => ({ id: `pool-${number}`, node: `node-${number}`, capacity: 100 * GIB });
const NODES: ClusterPlan["nodes"] = [1, 2, 3].map((number) => {
  return { id: `node-${number}`, address: `10.1.0.${number}:10124`, version: "v2.9.0", status: "Online" };
});
const POOLS: ClusterPlan["pools"] = [1, 2, 3].map((number) => {
  return { ...on(number), disks: ["/dev/sdb"], status: "Online" };
});
const VOLUMES: ClusterPlan["volumes"] = [VOLUME, OTHER_VOLUME].map((uuid) => {
  const replicas = ["pool-1", "pool-2"].map((pool) => ({ pool, child: "Online" as const }));
  // Prometheus forgets a label without a value.
  return { uuid, size: 10 * GIB, affinityGroup: "shop", target: { node: "node-1" }, replicas };
});
const WHOLE: ClusterPlan = { nodes: NODES, pools: POOLS, volumes: VOLUMES };

const changedNode = (id: string, change: Partial<ClusterPlan["nodes"][number]>): ClusterPlan => ({
  ...WHOLE,
  nodes: NODES.map((node) => (node.id === id ? { ...node, ...change } : node)),
});
const node2 = (change: Partial<ClusterPlan["nodes"][number]>) => changedNode("node-2", change);
const pool2 = (change: Partial<ClusterPlan["pools"][number]>): ClusterPlan => ({
  ...WHOLE,
  pools: POOLS.map((pool) => (pool.id === "pool-2" ? { ...pool, ...change } : pool)),
});
const replicasOfVolume = (...replicas: ClusterPlan["volumes"][number]["replicas"]): ClusterPlan => ({
  ...WHOLE,
  volumes: VOLUMES.map((volume) => (volume.uuid === VOLUME ? { ...volume, replicas } : volume)),
});

const onVolume = { volume: VOLUME, pv_name: `pvc-${VOLUME}` };
const down = firingAlert("MayastorNodeDown", "critical", { node_id: "node-2" });
const degraded = firingAlert("MayastorVolumeDegraded", "warning", onVolume);
const drain = { cordonlabels: [], drainlabels: ["maintenance"] };

describeWith([PROMETHEUS], "the alerts about Mayastor", () => {
  test("name the node, the pool and the PV that fail, and no other, for as long as they do", async () => {
    let cluster: Cluster = assemble(WHOLE);
    let fault: Fault | undefined;
    const now = (plan: ClusterPlan): void => {
      cluster = assemble(plan);
    };
    const rest = new MayastorRest(() => cluster, { fault: () => fault });
    try {
      await using service = await serveMayastor(await rest.start(), ...ALL_RESOURCES);
      await using prometheus = await startPrometheus(
        `static_configs: [{ targets: ["${new URL(service.origin).host}"] }]`,
        { rules: hastyRules() },
      );
      await prometheus.until("sum(mayastor_node_online)", 3);
      await expectFiring(prometheus);
      const ours = await service.scrape();
      const theirs = await prometheus.query('{job="plumbline"}');
      expect(ours.size).toBeGreaterThan(200);
      expect([...ours].filter(([key, value]) => theirs.get(key) !== value)).toEqual([]);

      now(node2({ status: "Offline" }));
      await expectFiring(prometheus, down);
      now(node2({ status: "Unknown" }));
      await prometheus.until('mayastor_node_status{node_id="node-2",status="unknown"}', 1);
      await expectFiring(prometheus, down);
      now(node2({ status: undefined }));
      await prometheus.until('mayastor_node_status{node_id="node-2",status="absent"}', 1);
      await expectFiring(prometheus, down);
      now(WHOLE);
      await expectFiring(prometheus);

      // Both volumes have their target there.
      now(changedNode("node-1", { status: "Offline" }));
      const targetDown = firingAlert("MayastorNodeDown", "critical", { node_id: "node-1" });
      const unknown = [VOLUME, OTHER_VOLUME].map((volume) =>
        firingAlert("MayastorVolumeUnknown", "critical", { volume, pv_name: `pvc-${volume}` }),
      );
      await expectFiring(prometheus, targetDown, ...unknown);
      now(WHOLE);
      await expectFiring(prometheus);

      now(node2({ cordon: { drainingstate: drain } }));
      await expectFiring(prometheus, firingAlert("MayastorNodeDrainSlow", "warning", { node_id: "node-2" }));
      now(node2({ cordon: { drainedstate: drain }, status: "Offline" }));
      await expectFiring(prometheus);

      now(pool2({ status: "Faulted" }));
      const onPool = { node_id: "node-2", pool: "pool-2" };
      await expectFiring(prometheus, firingAlert("MayastorPoolNotOnline", "warning", onPool));
      now(pool2({ capacity: 21 * GIB }));
      await expectFiring(prometheus, firingAlert("MayastorPoolNearlyFull", "warning", onPool));

      const whole = { pool: "pool-1", child: "Online" } as const;
      now(replicasOfVolume(whole, { pool: "pool-2", child: "Degraded", rebuilt: 37 }));
      const replica = cluster.volumes
        .flatMap(({ state }) => Object.entries(state.replica_topology))
        .find(([, topology]) => topology["rebuild-progress"] === 37)?.[0];
      const stalled = { ...onVolume, replica: replica ?? "none" };
      await expectFiring(prometheus, degraded, firingAlert("MayastorRebuildStalled", "warning", stalled));
      now(replicasOfVolume(whole, { pool: "pool-2", child: "Degraded", rebuilt: 38 }));
      await prometheus.until("mayastor_replica_rebuild_progress_ratio", 0.38);
      await expectFiring(prometheus, degraded);
      now(replicasOfVolume({ pool: "pool-1", child: "Faulted" }, { pool: "pool-2", child: "Faulted" }));
      await expectFiring(prometheus, firingAlert("MayastorVolumeFaulted", "critical", onVolume));

      // The volume is as faulted as it was, but nobody tells: that is what must be said.
      fault = { kind: "status", status: 503, word: "Unavailable" };
      const blind = RESOURCES.map((resource) => firingAlert("MayastorFetchFailing", "warning", { resource }));
      await expectFiring(prometheus, ...blind);
      fault = undefined;
      await expectFiring(prometheus, firingAlert("MayastorVolumeFaulted", "critical", onVolume));
      now(WHOLE);
      await expectFiring(prometheus);
    } finally {
      await rest.stop();
    }
  }, 240_000);
});

describeWith([PROMTOOL], "promtool", () => {
  test("has no objection to the demo's exposition, Mayastor included, but for names of peers", () => {
    const { status, stdout } = runToEnd([...FROM_SOURCES, "demo", "--once"]);
    expect(status).toBe(0);
    expect(stdout).toContain("\nmayastor_replica_rebuild_progress_ratio{");
    expect(checkMetrics(stdout).objections).toEqual([]);
  }, 60_000);
});
