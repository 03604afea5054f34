import { expect, test } from "bun:test";
import { STATUS } from "../../../src/pve/collectors/status.ts";
import { clusterStatusOf } from "../../../src/pve/shared-calls.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure, STANDALONE, TWO_NODES } from "../../support/pve-round.ts";

const up = async (status: string, resources?: string) =>
  collect(
    STATUS,
    new FakeRound(
      {},
      {
        status: clusterStatusOf(pveFixture(`cluster-status/${status}`)),
        resources: resources === undefined ? [] : pveFixture(`cluster-resources/${resources}`),
      },
    ),
  );

test("of three nodes the offline one is 0", async () => {
  expect((await up("one-offline")).series).toEqual({
    'pve_up{id="cluster/prod"}': 1,
    'pve_up{id="node/pve1"}': 1,
    'pve_up{id="node/pve2"}': 1,
    'pve_up{id="node/pve3"}': 0,
  });
});

test("a cluster without quorum is 0, and so are the nodes that the asked one does not see", async () => {
  const { series } = await up("not-quorate");
  expect(series['pve_up{id="cluster/prod"}']).toBe(0);
  expect(Object.values(series)).toEqual([0, 1, 0, 0]);
});

test("a standalone host has no cluster that could be up", async () => {
  expect((await up("standalone")).series).toEqual({ 'pve_up{id="node/pve1"}': 1 });
});

test("the row of the cluster is found wherever it stands, and numbers may be texts", async () => {
  expect((await up("node-first")).series['pve_up{id="cluster/prod"}']).toBe(1);
});

test("where nobody says whether there is quorum, the cluster has no sample", async () => {
  const status = { ...TWO_NODES, cluster: { name: "prod", nodes: 2, version: 1, quorate: undefined } };
  const { series } = await collect(STATUS, new FakeRound({}, { status }));
  expect(Object.keys(series)).toEqual(['pve_up{id="node/pve1"}', 'pve_up{id="node/pve2"}']);
});

test("guests that run and storages that are available are 1; unknown, and what says nothing, is not", async () => {
  const resources = [
    { type: "qemu", id: "qemu/100", vmid: 100, node: "pve1", status: "running" },
    { type: "qemu", id: "qemu/101", vmid: 101, node: "pve1", status: "paused" },
    { type: "lxc", id: "lxc/102", vmid: 102, node: "pve1", status: "unknown" },
    { type: "lxc", id: "lxc/103", vmid: 103, node: "pve1" },
    { type: "storage", id: "storage/pve1/a", storage: "a", node: "pve1", status: "available" },
    { type: "storage", id: "storage/pve1/b", storage: "b", node: "pve1", status: "unknown" },
    { type: "pool", id: "/pool/x", pool: "x", status: "running" },
    { type: "network", id: "network/pve1/zone/z", node: "pve1", status: "available" },
  ];
  const { series } = await collect(STATUS, new FakeRound({}, { status: STANDALONE, resources }));
  expect(series).toEqual({
    'pve_up{id="lxc/102"}': 0,
    'pve_up{id="node/pve1"}': 1,
    'pve_up{id="qemu/100"}': 1,
    'pve_up{id="qemu/101"}': 0,
    'pve_up{id="storage/pve1/a"}': 1,
    'pve_up{id="storage/pve1/b"}': 0,
  });
});

test("an offline node's guests and storages are as the API gives them", async () => {
  const { series } = await up("one-offline", "offline-node");
  expect(series['pve_up{id="qemu/101"}']).toBe(0);
  expect(series['pve_up{id="storage/pve2/local"}']).toBe(0);
  expect(series['pve_up{id="qemu/100"}']).toBe(1);
});

test("one call that fails does not take what the other says along", async () => {
  const resources = [{ type: "qemu", id: "qemu/100", vmid: 100, node: "pve1", status: "running" }];
  const noStatus = await collect(STATUS, new FakeRound({}, { status: failure("forbidden"), resources }));
  expect(noStatus.series).toEqual({ 'pve_up{id="qemu/100"}': 1 });
  expect(noStatus.lost).toEqual({ forbidden: 1 });
  const noResources = await collect(STATUS, new FakeRound({}, { resources: failure("too_large") }));
  expect(Object.keys(noResources.series)).toHaveLength(3);
  expect(noResources.lost).toEqual({ too_large: 1 });
});

test("nodes whose names are no names are left out and lost", async () => {
  const status = clusterStatusOf(pveFixture("hostile/cluster-status-names"));
  const { series, lost } = await collect(STATUS, new FakeRound({}, { status }));
  expect(Object.keys(series)).toEqual(['pve_up{id="cluster/prod"}', 'pve_up{id="node/pve1"}']);
  expect(lost).toEqual({ invalid: 4 });
});

test.each([
  ["ids", 5],
  ["vmids", 9],
  ["rows-of-no-kind", 5],
])("of the hostile %s only the right rows count", async (name, invalid) => {
  const resources = pveFixture(`hostile/${name}`);
  const { series, lost } = await collect(STATUS, new FakeRound({}, { status: STANDALONE, resources }));
  expect(Object.keys(series)).toHaveLength(2);
  expect(lost).toEqual({ invalid });
});
