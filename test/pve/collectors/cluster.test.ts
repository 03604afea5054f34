import { expect, test } from "bun:test";
import { CLUSTER } from "../../../src/pve/collectors/cluster.ts";
import { clusterStatusOf } from "../../../src/pve/shared-calls.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, TWO_NODES } from "../../support/pve-round.ts";

const cluster = (name: string) =>
  collect(CLUSTER, new FakeRound({}, { status: clusterStatusOf(pveFixture(`cluster-status/${name}`)) }));

test("says how many nodes it has, its version and whether it is quorate", async () => {
  expect((await cluster("two-nodes")).series).toEqual({
    'pve_cluster_info{id="cluster/prod",nodes="2",quorate="1",version="2"}': 1,
  });
  expect(Object.keys((await cluster("not-quorate")).series)[0]).toContain('quorate="0"');
});

test("a standalone host has none, and that is no failure", async () => {
  expect(await cluster("standalone")).toMatchObject({ series: {}, leftOut: {}, lost: {} });
});

test("what the row does not say is empty", async () => {
  const row = { name: "prod", nodes: undefined, version: undefined, quorate: undefined };
  const { series } = await collect(CLUSTER, new FakeRound({}, { status: { ...TWO_NODES, cluster: row } }));
  expect(series).toEqual({ 'pve_cluster_info{id="cluster/prod",nodes="",quorate="",version=""}': 1 });
});
