import { expect, test } from "bun:test";
import { NODE } from "../../../src/pve/collectors/node.ts";
import { clusterStatusOf } from "../../../src/pve/shared-calls.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure } from "../../support/pve-round.ts";

const nodes = (name: string) =>
  collect(NODE, new FakeRound({}, { status: clusterStatusOf(pveFixture(name)) }));

test("every node is there with its number and level, online or not", async () => {
  const { series } = await nodes("cluster-status/one-offline");
  expect(series).toEqual({
    'pve_node_info{id="node/pve1",level="c",name="pve1",nodeid="1"}': 1,
    'pve_node_info{id="node/pve2",level="",name="pve2",nodeid="2"}': 1,
    'pve_node_info{id="node/pve3",level="",name="pve3",nodeid="3"}': 1,
  });
});

test("a standalone host is node 0", async () => {
  const { series } = await nodes("cluster-status/standalone");
  expect(series).toEqual({ 'pve_node_info{id="node/pve1",level="",name="pve1",nodeid="0"}': 1 });
});

test("an address is not needed", async () => {
  const { series, lost } = await nodes("cluster-status/no-ip");
  expect(Object.keys(series).length).toBeGreaterThan(0);
  expect(lost).toEqual({});
});

test("a row whose name is none costs itself", async () => {
  const { series, lost } = await nodes("hostile/cluster-status-names");
  expect(series).toEqual({ 'pve_node_info{id="node/pve1",level="",name="pve1",nodeid="1"}': 1 });
  expect(lost).toEqual({ invalid: 4 });
});

test("a call that fails costs this collector", async () => {
  const { series, lost } = await collect(NODE, new FakeRound({}, { status: failure("forbidden") }));
  expect({ series, lost }).toEqual({ series: {}, lost: { forbidden: 1 } });
});
