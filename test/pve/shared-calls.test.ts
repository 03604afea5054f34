import { describe, expect, test } from "bun:test";
import { PveFailure } from "../../src/pve/failure.ts";
import { clusterStatusOf, releaseOf, resourcesOf } from "../../src/pve/shared-calls.ts";
import { pveFixture } from "../support/pve-fixtures.ts";

const statusOf = (name: string) => clusterStatusOf(pveFixture(`cluster-status/${name}`));
const resources = (name: string) => resourcesOf(pveFixture(name));
const idsOf = (name: string) => resources(name).rows.map(({ id }) => id);

function reasonOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return error instanceof PveFailure ? error.reason : "something else";
  }
}

describe("/cluster/status", () => {
  test("of a standalone host has one node and no cluster", () => {
    expect(statusOf("standalone")).toEqual({
      cluster: undefined,
      nodes: [{ name: "pve1", nodeid: 0, level: "", isOnline: true, isLocal: true }],
      invalid: 0,
      duplicate: 0,
    });
  });

  test("of a cluster has its nodes by name, the one that answers and those that are offline", () => {
    const { cluster, nodes, invalid } = statusOf("one-offline");
    expect(cluster?.quorate).toBe(true);
    expect(nodes.map(({ name }) => name)).toEqual(["pve1", "pve2", "pve3"]);
    expect(nodes.filter(({ isLocal }) => isLocal)).toHaveLength(1);
    expect(nodes.filter(({ isOnline }) => !isOnline)).toHaveLength(1);
    expect(invalid).toBe(0);
  });

  test("tells that there is no quorum", () => {
    expect(statusOf("not-quorate").cluster?.quorate).toBe(false);
  });

  test.each(["node-first", "no-ip"])(
    "has its cluster row wherever it stands, and needs no address: %s",
    (name) => {
      const { cluster, nodes, invalid } = statusOf(name);
      expect(cluster).toBeDefined();
      expect(nodes.length).toBeGreaterThan(1);
      expect(invalid).toBe(0);
    },
  );

  test("loses nodes whose names could not stand in a URL", () => {
    const { nodes, invalid } = clusterStatusOf(pveFixture("hostile/cluster-status-names"));
    expect(nodes.map(({ name }) => name)).toEqual(["pve1"]);
    expect(invalid).toBe(4);
  });

  test("takes the first of two rows of one node, and of two clusters", () => {
    const node = { type: "node", name: "pve1", online: 1 };
    const cluster = { type: "cluster", name: "prod" };
    const rows = [node, { ...node, online: 0 }, cluster, { ...cluster, name: "other" }];
    const { nodes, cluster: found, duplicate } = clusterStatusOf(rows);
    expect({ online: nodes[0]?.isOnline, name: found?.name, duplicate }).toEqual({
      online: true,
      name: "prod",
      duplicate: 2,
    });
  });

  test.each([["text"], [{}], [null]])("is invalid as %j", (data) => {
    expect(reasonOf(() => clusterStatusOf(data))).toBe("invalid");
  });
});

describe("/cluster/resources", () => {
  test.each([
    "8.4",
    "9.2",
    "pools",
    "shared-storage",
    "offline-node",
    "hastate",
    "negative-cpu",
    "fabric-error",
  ])("has every row of %s, by id", (name) => {
    const data = pveFixture(`cluster-resources/${name}`);
    const { rows, invalid, duplicate } = resourcesOf(data);
    expect({ invalid, duplicate }).toEqual({ invalid: 0, duplicate: 0 });
    expect(rows).toHaveLength(Array.isArray(data) ? data.length : Number.NaN);
    expect(rows.map(({ id }) => id)).toEqual(rows.map(({ id }) => id).toSorted());
  });

  test("loses rows that are no objects", () => {
    expect(idsOf("hostile/rows-of-no-kind")).toEqual(["qemu/100"]);
    expect(resources("hostile/rows-of-no-kind").invalid).toBe(5);
  });

  test("loses guests whose number is none", () => {
    expect(idsOf("hostile/vmids")).toEqual(["qemu/101"]);
    expect(resources("hostile/vmids").invalid).toBe(9);
  });

  test("loses nodes whose names could not stand in a URL", () => {
    expect(idsOf("hostile/node-names")).toEqual(["node/pve1"]);
    expect(resources("hostile/node-names").invalid).toBe(9);
  });

  test("passes over rows of a type that nobody knows yet", () => {
    const { rows, unknown, invalid } = resources("cluster-resources/unknown-type");
    expect(rows.length).toBeGreaterThan(0);
    expect(unknown).toBeGreaterThan(0);
    expect(invalid).toBe(0);
  });

  test("takes the first of two rows of one id", () => {
    const { rows, duplicate } = resources("hostile/same-id-twice");
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    expect(duplicate).toBeGreaterThan(0);
  });

  test.each([
    ["what is another guest's", { type: "qemu", id: "qemu/101", vmid: 100, node: "a" }],
    ["a way out", { type: "qemu", id: "../../access", vmid: 100, node: "a" }],
    ["a storage of another node", { type: "storage", id: "storage/b/local", node: "a" }],
    ["a pool that is none", { type: "pool", id: "/pool/../x" }],
    ["what is longer than a label may be", { type: "pool", id: `/pool/${"x".repeat(1024)}` }],
    ["a node that is not its own", { type: "node", id: "node/b", node: "a" }],
  ])("loses a row with an id that is %s", (_, row) => {
    expect(resourcesOf([row])).toEqual({ rows: [], invalid: 1, unknown: 0, duplicate: 0 });
  });

  test.each([["text"], [{}], [null]])("is invalid as %j", (data) => {
    expect(reasonOf(() => resourcesOf(data))).toBe("invalid");
  });
});

describe("the release", () => {
  test.each([
    [{ release: "8.4" }, "8.4", 8],
    [{ release: "9.2" }, "9.2", 9],
    [{ release: "10.0" }, "10.0", 10],
    [{ release: 9.2 }, "9.2", 9],
    [{ release: "beta" }, "beta", 9],
    [{}, "", 9],
    ["9.2", "", 9],
  ])("of %j is %j, major %d", (data, text, major) => {
    expect(releaseOf(data)).toEqual({ text, major });
  });
});
