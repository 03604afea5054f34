/** The compiled binary before a large simulated Proxmox VE that takes its time: what a scrape asks, and when it answers. */
import { beforeAll, describe, expect, test } from "bun:test";
import { PveApi } from "../../../src/demo/pve-api.ts";
import { PveCluster } from "../../../src/demo/pve-cluster.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { ONLY_PVE, PveDirectory, READER, serve } from "./service.ts";

const PATIENCE_MS = 120_000;
const NODES = 32;
const GUESTS = 5000;

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

/** Made of a scrape that Prometheus gives ten seconds, once the first has ended. */
async function scrapeOf(hung: readonly string[]) {
  const cluster = new PveCluster(
    { nodes: NODES, guests: GUESTS, release: "9.2" },
    { happenings: hung.map((node) => ({ kind: "node", node, condition: "hung", atMs: -1000 }) as const) },
  );
  await using api = new PveApi(cluster, { users: [READER], knobs: { latencyMs: 20, hangMs: 60_000 } });
  using directory = new PveDirectory();
  const file = directory.pve(directory.target("large", [await api.start()]));
  await using service = await serve([binary], [...ONLY_PVE, `--config.file=${file}`]);
  api.requests.clear();
  const startedAt = performance.now();
  const answer = await fetch(`${service.origin}/metrics`, {
    headers: { "X-Prometheus-Scrape-Timeout-Seconds": "10" },
  });
  const text = await answer.text();
  const seconds = (performance.now() - startedAt) / 1000;
  const series = seriesOfExposition(text);
  const nodesOf = (family: string) =>
    new Set(
      [...series.keys()].flatMap((key) =>
        key.startsWith(`${family}{`) ? (/node="(\w+)"/.exec(key)?.[1] ?? []) : [],
      ),
    );
  return { requests: api.requests, seconds, series, nodesOf };
}

describe(`${NODES} nodes and ${GUESTS} guests, at 20 ms a call`, () => {
  test(
    "are told in time, with no call too many, and with four of them open at most",
    async () => {
      const { requests, seconds, series, nodesOf } = await scrapeOf([]);
      expect(seconds).toBeLessThan(9.5);
      const isSlow = ({ path }: { path: string }) => /certificates|disks\/list(?!\?skipsmart)/.test(path);
      expect(requests.seen.filter((request) => !isSlow(request))).toHaveLength(5 + 3 + 1 + 7 * NODES);
      expect(requests.seen.filter(isSlow).length).toBeLessThanOrEqual(1);
      expect(requests.highest).toBe(4);
      // What is about the cluster counts for the node that is asked.
      for (const [node, open] of requests.highestPerNode)
        if (node !== "pve1") expect(open).toBeLessThanOrEqual(2);
      expect(nodesOf("pve_node_load1").size).toBe(NODES);
      expect([...series.keys()].filter((key) => key.startsWith("pve_guest_info{"))).toHaveLength(GUESTS);
      // More guests than it asks for one by one.
      expect(
        series.get('plumbline_pve_skipped{collector="pve-config",reason="limit",target="large"}'),
      ).toBeGreaterThan(0);
    },
    PATIENCE_MS,
  );

  test.each([[["pve7"]], [["pve1", "pve7", "pve32"]]])(
    "are told in time where %p do not answer, and all of the others is there",
    async (hung) => {
      const { requests, seconds, nodesOf } = await scrapeOf(hung);
      expect(seconds).toBeLessThan(9.5);
      expect(requests.highest).toBeLessThanOrEqual(4);
      for (const family of [
        ...["pve_node_load1", "pve_vm_pressure_io_full_ratio", "pve_lxc_pressure_io_full_ratio"],
        ...["pve_physical_disk_info", "pve_zfs_pool_size_bytes"],
      ]) {
        const nodes = nodesOf(family);
        expect(nodes.size).toBe(NODES - hung.length);
        for (const node of hung) expect(nodes).not.toContain(node);
      }
    },
    PATIENCE_MS,
  );
});
