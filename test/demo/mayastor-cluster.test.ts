/** The clusters that the simulated REST service shows: whole at each moment, and moving for long enough. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { LivingHost } from "../../src/demo/living-host.ts";
import type { CordonDrainState, Pool, Volume } from "../../src/demo/mayastor-api.ts";
import {
  assemble,
  type NodePlan,
  type PoolPlan,
  type ReplicaPlan,
  type VolumePlan,
} from "../../src/demo/mayastor-assembly.ts";
import { type Cluster, largeCluster, livingCluster, ORDERS } from "../../src/demo/mayastor-cluster.ts";

const STEP_SECONDS = 5;
/** Two hours of it. */
const MOMENTS = Array.from({ length: 1 + 7200 / STEP_SECONDS }, (_, i) =>
  livingCluster(i * STEP_SECONDS * 1000),
);

const node = (cluster: Cluster, id: string) => cluster.nodes.find((node) => node.id === id);
const pool = (cluster: Cluster, id: string) => cluster.pools.find((pool) => pool.id === id);
const cordonOf = (state: CordonDrainState | undefined) => Object.keys(state ?? {}).join();
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** What the resources of one cluster say of each other that is not so. */
function contradictions({ nodes, pools, volumes, replicas }: Cluster): string[] {
  const wrong: string[] = [];
  const check = (holds: boolean, what: string) => void (holds || wrong.push(what));
  const nodeIds = new Set(nodes.map(({ id }) => id));
  const online = new Set(nodes.flatMap(({ id, state }) => (state?.status === "Online" ? [id] : [])));
  const listed = new Map(replicas.map((replica) => [replica.uuid, replica]));
  for (const { id, spec, state } of pools) {
    check(nodeIds.has((state ?? spec)?.node ?? ""), `${id}: no such node`);
    const there = replicas.filter((replica) => replica.pool === id);
    if (state === undefined) {
      check(there.length === 0, `${id}: not loaded, but has replicas`);
      continue;
    }
    check(state.used <= state.capacity, `${id}: more than full`);
    check(state.committed === sum(there.map(({ size }) => size)), `${id}: committed`);
    const used = there.map(
      ({ space }) => (space?.allocated_bytes ?? 0) + (space?.allocated_bytes_snapshots ?? 0),
    );
    check(state.used === sum(used), `${id}: used`);
    check(online.has(state.node), `${id}: told of by a node that is not online`);
  }
  for (const { spec, state } of volumes) {
    const topology = Object.entries(state.replica_topology);
    check(topology.length === spec.num_replicas, `${spec.uuid}: replicas`);
    check([spec.target?.node, undefined].includes(state.target?.node), `${spec.uuid}: target elsewhere`);
    check(spec.target === undefined || nodeIds.has(spec.target.node), `${spec.uuid}: target on no node`);
    check(
      state.target === undefined || online.has(state.target.node),
      `${spec.uuid}: target of no io-engine`,
    );
    const isLost = spec.target !== undefined && state.target === undefined;
    check(!isLost || state.status === "Unknown", `${spec.uuid}: a status without a target`);
    const rebuilt = topology.filter(([, replica]) => replica["rebuild-progress"] !== undefined);
    check(rebuilt.length === (state.target?.rebuilds ?? 0), `${spec.uuid}: rebuilds`);
    for (const [uuid, replica] of topology) {
      const its = listed.get(uuid);
      const loaded = pools.find(({ id }) => id === replica.pool)?.state !== undefined;
      check(loaded === (its !== undefined), `${uuid}: listed`);
      check(replica.state === (its?.state ?? "Unknown"), `${uuid}: state`);
      check(replica.node === its?.node, `${uuid}: node`);
      check(loaded === (replica.usage !== undefined), `${uuid}: usage`);
      check(replica["child-status"] !== "Online" || replica.state === "Online", `${uuid}: an online child`);
      check(
        state.target !== undefined || replica["child-status"] === undefined,
        `${uuid}: a child of nothing`,
      );
    }
    const allocated = sum(topology.map(([, { usage }]) => usage?.allocated ?? 0));
    check(state.usage?.total_allocated === allocated, `${spec.uuid}: allocated`);
  }
  const inVolumes = volumes.flatMap(({ state }) => Object.keys(state.replica_topology));
  check(
    replicas.every(({ uuid }) => inVolumes.includes(uuid)),
    "a replica of no volume",
  );
  return wrong;
}

describe("the living cluster", () => {
  test("contradicts itself at no moment", () => {
    expect([...new Set(MOMENTS.flatMap(contradictions))]).toEqual([]);
  });

  test("is the same each time at the same moment", () => {
    expect(livingCluster(123_456)).toEqual(livingCluster(123_456));
  });

  test("shows each status that a thing may have, but those that are rare", () => {
    const seen = <Value>(of: (cluster: Cluster) => Iterable<Value>) =>
      new Set(MOMENTS.flatMap((c) => [...of(c)]));
    const sorted = (values: Iterable<string | undefined>) => [...values].map(String).sort();
    expect(sorted(seen(({ nodes }) => nodes.map(({ state }) => state?.status)))).toEqual(
      sorted(["Online", "Offline", "Unknown", undefined]),
    );
    expect(sorted(seen(({ nodes }) => nodes.map(({ spec }) => cordonOf(spec?.cordondrainstate))))).toEqual(
      sorted(["", "cordonedstate", "drainingstate", "drainedstate"]),
    );
    expect(sorted(seen(({ nodes }) => nodes.map(({ spec }) => spec && "stored")))).toEqual(
      sorted(["stored", undefined]),
    );
    expect(sorted(seen(({ pools }) => pools.map(({ state }) => state?.status)))).toEqual(
      sorted(["Online", "Faulted", "Suspected", undefined]),
    );
    expect(sorted(seen(({ pools }) => pools.map(({ spec }) => spec?.status)))).toEqual(
      sorted(["Created", "Creating"]),
    );
    expect(sorted(seen(({ volumes }) => volumes.map(({ state }) => state.status)))).toEqual(
      sorted(["Online", "Degraded", "Faulted", "Shutdown", "Unknown"]),
    );
    expect(sorted(seen(({ volumes }) => volumes.map(({ state }) => state.target?.state)))).toEqual(
      sorted(["Online", "Degraded", "Faulted", "ShuttingDown", "Shutdown", undefined]),
    );
    const topologies = ({ volumes }: Cluster) =>
      volumes.flatMap(({ state }) => Object.values(state.replica_topology));
    expect(sorted(seen((c) => topologies(c).map((replica) => replica["child-status"])))).toEqual(
      sorted(["Online", "Degraded", "Faulted", undefined]),
    );
    expect(sorted(seen(({ replicas }) => replicas.map(({ kind }) => kind)))).toEqual(
      sorted(["Regular", "SnapshotClone"]),
    );
  });

  test("has the Mayastor volume of the demo's Kubernetes node", () => {
    const host = new LivingHost(0);
    const staged = join(host.paths.kubelet, "plugins/kubernetes.io/csi/io.openebs.csi-mayastor");
    const described = new Bun.Glob("**/vol_data.json").scanSync(staged);
    const handles = [...described].map(
      (path) => JSON.parse(readFileSync(join(staged, path), "utf8")).volumeHandle,
    );
    host.remove();
    expect(handles).toEqual([ORDERS]);
    expect(livingCluster(0).volumes.map(({ spec }) => spec.uuid)).toContain(ORDERS);
  });

  test("rebuilds a replica to its end", () => {
    const progress = MOMENTS.map((cluster) => rebuildsOf(volume(cluster, ORDERS))[0]);
    expect(Math.max(...progress.flatMap((percent) => percent ?? []))).toBeGreaterThan(95);
    const rebuilding = progress.flatMap((percent, i) => (percent === undefined ? [] : [{ percent, i }]));
    for (const [k, { percent, i }] of rebuilding.entries()) {
      const before = rebuilding[k - 1];
      if (before?.i === i - 1) expect(percent).toBeGreaterThan(before.percent);
    }
  });
});

/** The rules that wait, and what of the cluster makes each of them fire. */
const FIRES: readonly (readonly [alert: string, seconds: number, holds: (cluster: Cluster) => unknown])[] = [
  ["MayastorNodeDown", 0, (c) => node(c, "worker-3")?.state?.status === "Offline"],
  [
    "MayastorNodeDrainSlow",
    0,
    (c) => cordonOf(node(c, "worker-6")?.spec?.cordondrainstate) === "drainingstate",
  ],
  [
    "MayastorPoolNotOnline",
    0,
    (c) => pool(c, "pool-1b")?.state?.status === "Faulted" && node(c, "worker-1")?.state?.status === "Online",
  ],
  ["MayastorPoolNearlyFull", 0, (c) => fillOf(pool(c, "pool-5b")) > 0.9],
  ["MayastorVolumeDegraded", 0, (c) => withProgress(c)?.state.status === "Degraded"],
  ["MayastorVolumeFaulted", 0, (c) => c.volumes.some(({ state }) => state.status === "Faulted")],
  [
    "MayastorVolumeUnknown",
    0,
    (c) =>
      c.volumes.some(({ spec, state }) => spec.target?.node === "worker-3" && state.status === "Unknown"),
  ],
  // It has its wait in its expression.
  ["MayastorRebuildStalled", 900, (c) => rebuildsOf(withProgress(c))[0] === 37],
];

const fillOf = (pool: Pool | undefined) => (pool?.state?.used ?? 0) / (pool?.state?.capacity ?? 1);
const volume = (cluster: Cluster, uuid: string) => cluster.volumes.find(({ spec }) => spec.uuid === uuid);
const rebuildsOf = (volume: Volume | undefined) =>
  Object.values(volume?.state.replica_topology ?? {}).flatMap((replica) => replica["rebuild-progress"] ?? []);
/** The volume whose rebuild stalls. */
const withProgress = (cluster: Cluster) =>
  cluster.volumes.find(({ spec, state }) => spec.uuid !== ORDERS && (state.target?.rebuilds ?? 0) > 0);

describe("what goes wrong in the living cluster", () => {
  const rules: { groups: { rules: { alert: string; for?: string }[] }[] } = parse(
    readFileSync(join(import.meta.dir, "../../deploy/prometheus/mayastor.rules.yml"), "utf8"),
  );
  const waits = new Map(rules.groups.flatMap(({ rules }) => rules).map((rule) => [rule.alert, rule.for]));

  test.each(FIRES)("lasts longer than %s waits", (alert, inExpression, holds) => {
    expect(waits.has(alert)).toBe(true);
    const [, count, unit] = /^(\d+)([mh])$/.exec(waits.get(alert) ?? "0m") ?? [];
    const waitSeconds = Number(count) * (unit === "h" ? 3600 : 60) + inExpression;
    // An evaluation later it is still there.
    expect(longestSeconds(holds)).toBeGreaterThan(waitSeconds + 60);
  });

  test("fills one pool and no other", () => {
    const full = MOMENTS.flatMap(({ pools }) => pools.filter((pool) => fillOf(pool) > 0.8));
    expect(new Set(full.map(({ id }) => id))).toEqual(new Set(["pool-5b"]));
  });

  test("is all that alerts on the cluster itself are about", () => {
    const blind = "MayastorFetchFailing";
    expect([...waits.keys()].sort()).toEqual([...FIRES.map(([alert]) => alert), blind].sort());
  });
});

function longestSeconds(holds: (cluster: Cluster) => unknown): number {
  let longest = 0;
  let lasting = 0;
  for (const cluster of MOMENTS) {
    lasting = holds(cluster) ? lasting + STEP_SECONDS : 0;
    longest = Math.max(longest, lasting);
  }
  return longest;
}

describe("a node that is not online", () => {
  const pools = ["a", "b"].map((name): PoolPlan => {
    const on = { id: `pool-${name}`, node: `node-${name}`, disks: ["/dev/sdb"] };
    return { ...on, capacity: 2 ** 40, status: "Online" };
  });
  /** Two volumes with a replica on each node, the target of one of them on the node; and one that is not published. */
  const clusterWith = (status: NodePlan["status"]): Cluster => {
    const replicas = ["a", "b"].map((name): ReplicaPlan => {
      return { pool: `pool-${name}`, child: name === "b" && status !== "Online" ? "Faulted" : "Online" };
    });
    const volumes = [{ node: "node-b" }, { node: "node-a" }, undefined].map((target, i): VolumePlan => {
      return { uuid: `volume-${i}`, size: 2 ** 30, replicas, ...(target && { target }) };
    });
    const node = (id: string, status: NodePlan["status"]) => ({
      id,
      status,
      address: "10.1.0.1",
      version: "v2.9.0",
    });
    return assemble({ nodes: [node("node-a", "Online"), node("node-b", status)], pools, volumes });
  };

  test.each(["Offline", "Unknown", undefined] as const)("but %p tells of nothing that is on it", (status) => {
    const cluster = clusterWith(status);
    expect(contradictions(cluster)).toEqual([]);
    expect(pool(cluster, "pool-b")).toEqual({
      id: "pool-b",
      spec: expect.objectContaining({ node: "node-b" }),
    });
    expect(new Set(cluster.replicas.map(({ node }) => node))).toEqual(new Set(["node-a"]));

    const [lost, degraded, unpublished] = cluster.volumes;
    expect(lost?.spec.target?.node).toBe("node-b");
    expect(lost?.state).toMatchObject({ status: "Unknown" });
    expect(lost?.state.target).toBeUndefined();
    expect(degraded?.state).toMatchObject({ status: "Degraded", target: { node: "node-a" } });
    expect(unpublished?.state.status).toBe("Online");
    const gone = (volume: Volume | undefined) =>
      Object.values(volume?.state.replica_topology ?? {}).filter(({ node }) => node === undefined);
    expect([lost, degraded, unpublished].map(gone)).toEqual([
      [{ state: "Unknown" }],
      [{ state: "Unknown", pool: "pool-b", "child-status": "Faulted" }],
      [{ state: "Unknown" }],
    ]);
  });

  test("tells of all again when it is", () => {
    const { pools, replicas, volumes } = clusterWith("Online");
    expect(pools.every(({ state }) => state?.status === "Online")).toBe(true);
    expect(replicas).toHaveLength(6);
    expect(volumes.map(({ state }) => state.status)).toEqual(["Online", "Online", "Online"]);
  });
});

describe("a large cluster", () => {
  const cluster = largeCluster({ nodes: 5, pools: 12, volumes: 40, replicasPerVolume: 3 });

  test("has as many of each as was asked for, each with a name of its own", () => {
    const { nodes, pools, volumes, replicas } = cluster;
    const distinct = (names: readonly string[]) => new Set(names).size;
    expect(distinct(nodes.map(({ id }) => id))).toBe(5);
    expect(distinct(pools.map(({ id }) => id))).toBe(12);
    expect(distinct(volumes.map(({ spec }) => spec.uuid))).toBe(40);
    expect(distinct(replicas.map(({ uuid }) => uuid))).toBe(120);
  });

  test("contradicts itself in nothing", () => {
    expect(contradictions(cluster)).toEqual([]);
  });
});
