import { describe, expect, test } from "bun:test";
import { addReplicas, decodeReplicas } from "../../src/mayastor/replicas.ts";
import { linesOf, notZero, withTally } from "../support/mayastor-lines.ts";

const REPLICA = {
  node: "n",
  pool: "p",
  share: "nvmf",
  size: 100,
  space: { capacity_bytes: 100, allocated_bytes: 60, allocated_bytes_snapshots: 5 },
  state: "Online",
  thin: true,
  uri: "nvmf://10.1.0.5:8420/nqn",
  uuid: "r",
  kind: "SnapshotClone",
};
const NAMED = 'node_id="n",pool="p",replica="r"';

function exported(json: unknown, volumeOf: ReadonlyMap<string, string> = new Map([["r", "v"]])) {
  const { read: replicas, counts } = withTally((tally) => decodeReplicas(json, tally));
  return { lines: linesOf((samples) => addReplicas(samples, replicas, volumeOf)), counts: counts() };
}

describe("replicas", () => {
  test("have their status, their volume and their space", () => {
    expect(exported([REPLICA])).toEqual({
      lines: [
        `mayastor_replica_allocated_bytes{${NAMED}} 60`,
        `mayastor_replica_allocated_snapshots_bytes{${NAMED}} 5`,
        `mayastor_replica_info{${NAMED},volume="v",kind="snapshotclone",thin="true",share="nvmf"} 1`,
        `mayastor_replica_size_bytes{${NAMED}} 100`,
        `mayastor_replica_status{${NAMED},status="degraded"} 0`,
        `mayastor_replica_status{${NAMED},status="faulted"} 0`,
        `mayastor_replica_status{${NAMED},status="online"} 1`,
        `mayastor_replica_status{${NAMED},status="unknown"} 0`,
      ],
      counts: {},
    });
  });

  test("of a volume that was not fetched have an empty one", () => {
    expect(exported([REPLICA], new Map()).lines).toContain(
      `mayastor_replica_info{${NAMED},volume="",kind="snapshotclone",thin="true",share="nvmf"} 1`,
    );
  });

  test.each([
    ["a new one", "Mirror", "mirror"],
    ["none, as older servers do", undefined, "regular"],
  ])("are of the kind that the service says: %s", (_, kind, label) => {
    const { lines, counts } = exported([{ ...REPLICA, kind }]);
    expect(lines.find((line) => line.startsWith("mayastor_replica_info"))).toContain(`kind="${label}"`);
    expect(counts).toEqual({});
  });

  test("without space have no allocated bytes, not 0", () => {
    const { lines, counts } = exported([{ ...REPLICA, space: null }]);
    expect(lines.filter((line) => line.includes("allocated"))).toEqual([]);
    expect(counts).toEqual({});
  });

  test("with a state nobody knows are unknown and counted", () => {
    const { lines, counts } = exported([{ ...REPLICA, state: "Napping" }]);
    expect(notZero(lines, "mayastor_replica_status")).toEqual([
      `mayastor_replica_status{${NAMED},status="unknown"} 1`,
    ]);
    expect(counts).toEqual({ replica_status: 1 });
  });

  test.each([[-1], [0.5], ["100"]])("lose the series of the number %p alone", (size) => {
    const { lines, counts } = exported([{ ...REPLICA, size }]);
    expect(lines).toHaveLength(7);
    expect(lines.filter((line) => line.includes("size_bytes"))).toEqual([]);
    expect(counts).toEqual({ malformed: 1 });
  });

  test.each([
    ["no uuid", { ...REPLICA, uuid: undefined }],
    ["a number for a node", { ...REPLICA, node: 1 }],
    ["no pool", { ...REPLICA, pool: undefined }],
    ["a word for thin", { ...REPLICA, thin: "yes" }],
    ["no state", { ...REPLICA, state: null }],
  ])("with %s are left out, the rest is kept", (_, odd) => {
    const { lines, counts } = exported([odd, { ...REPLICA, uuid: "good" }]);
    expect(lines).toHaveLength(8);
    expect(lines.filter((line) => !line.includes('replica="good"'))).toEqual([]);
    expect(counts).toEqual({ malformed: 1 });
  });

  test("with one uuid are one, whatever their order", () => {
    const other = { ...REPLICA, node: "a" };
    const there = exported([REPLICA, other]);
    expect(there.lines[0]).toStartWith('mayastor_replica_allocated_bytes{node_id="a"');
    expect(there.lines).toHaveLength(8);
    expect(there.counts).toEqual({ duplicate: 1 });
    expect(exported([other, REPLICA])).toEqual(there);
  });

  test("give the same lines for any order of the list", () => {
    const list = ["n2", "n1", "n10"].flatMap((node) =>
      ["p2", "p1"].map((pool) => ({ ...REPLICA, node, pool, uuid: `${pool}-${node}` })),
    );
    expect(exported(list.toReversed())).toEqual(exported(list));
  });

  test("are a bad body where the answer is no list", () => {
    expect(() => exported({ entries: [] })).toThrow(expect.objectContaining({ reason: "bad_body" }));
  });
});
