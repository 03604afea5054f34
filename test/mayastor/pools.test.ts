import { describe, expect, test } from "bun:test";
import { addPools, decodePools } from "../../src/mayastor/pools.ts";
import { linesOf, notZero, withTally } from "../support/mayastor-lines.ts";

const SPEC = { disks: ["/dev/sdb"], id: "p", labels: {}, node: "n", status: "Created" };
const STATE = {
  capacity: 100,
  used: 40,
  committed: 150,
  disks: ["aio:///dev/sdb?uuid=caede6dd"],
  id: "p",
  node: "n",
  status: "Online",
};

function exported(json: unknown, officialNames = true) {
  const { read: pools, counts } = withTally((tally) => decodePools(json, tally));
  return { lines: linesOf((samples) => addPools(samples, pools, { officialNames })), counts: counts() };
}

describe("pools", () => {
  test("have their status, space and disks, also under the official names", () => {
    const { lines, counts } = exported([{ id: "p", spec: SPEC, state: STATE }]);
    expect(lines.filter((line) => !line.endsWith(" 0"))).toEqual([
      'diskpool_committed_size_bytes{node="n",name="p"} 150',
      'diskpool_status{node="n",name="p"} 1',
      'diskpool_total_size_bytes{node="n",name="p"} 100',
      'diskpool_used_size_bytes{node="n",name="p"} 40',
      'mayastor_pool_capacity_bytes{node_id="n",pool="p"} 100',
      'mayastor_pool_committed_bytes{node_id="n",pool="p"} 150',
      'mayastor_pool_disk_info{node_id="n",pool="p",disk="aio:///dev/sdb"} 1',
      'mayastor_pool_spec_status{node_id="n",pool="p",status="created"} 1',
      'mayastor_pool_status{node_id="n",pool="p",status="online"} 1',
      'mayastor_pool_used_bytes{node_id="n",pool="p"} 40',
    ]);
    expect(lines.filter((line) => line.startsWith("mayastor_pool_status"))).toHaveLength(6);
    expect(lines.filter((line) => line.startsWith("mayastor_pool_spec_status"))).toHaveLength(4);
    expect(counts).toEqual({});
  });

  test("have no official names where those are off", () => {
    expect(
      exported([{ id: "p", state: STATE }], false).lines.filter((line) => /^diskpool/.test(line)),
    ).toEqual([]);
  });

  test("tell what newer servers know of their disk", () => {
    const { lines } = exported([
      { id: "p", state: { ...STATE, disk_capacity: 110, max_expandable_size: 900 } },
    ]);
    expect(lines).toContain('mayastor_pool_disk_capacity_bytes{node_id="n",pool="p"} 110');
    expect(lines).toContain('mayastor_pool_max_expandable_bytes{node_id="n",pool="p"} 900');
    expect(lines).toContain('diskpool_disk_capacity_bytes{node="n",name="p"} 110');
    expect(lines).toContain('diskpool_max_expandable_size{node="n",name="p"} 900');
  });

  test.each([
    ["Unknown", "unknown", 0],
    ["Online", "online", 1],
    ["Degraded", "degraded", 2],
    ["Faulted", "faulted", 3],
    ["Suspected", "suspected", 4],
  ])("with status %s are %s, officially %i", (word, status, number) => {
    const { lines, counts } = exported([{ id: "p", state: { ...STATE, status: word } }]);
    expect(notZero(lines, "mayastor_pool_status")).toEqual([
      `mayastor_pool_status{node_id="n",pool="p",status="${status}"} 1`,
    ]);
    expect(lines).toContain(`diskpool_status{node="n",name="p"} ${number}`);
    expect(counts).toEqual({});
  });

  test("without a state are absent, and their space is not 0 but unknown", () => {
    const { lines } = exported([{ id: "p", spec: SPEC, state: null }]);
    expect(lines.filter((line) => !line.endsWith(" 0"))).toEqual([
      'mayastor_pool_disk_info{node_id="n",pool="p",disk="/dev/sdb"} 1',
      'mayastor_pool_spec_status{node_id="n",pool="p",status="created"} 1',
      'mayastor_pool_status{node_id="n",pool="p",status="absent"} 1',
    ]);
    expect(lines.filter((line) => /bytes|size|diskpool/.test(line))).toEqual([]);
  });

  test("of which only the id is known are absent on no node", () => {
    expect(notZero(exported([{ id: "p" }]).lines, "mayastor_pool_status")).toEqual([
      'mayastor_pool_status{node_id="",pool="p",status="absent"} 1',
    ]);
  });

  test("with a status nobody knows are unknown and counted; one of the spec is left out", () => {
    const odd = { id: "p", spec: { ...SPEC, status: "Cloning" }, state: { ...STATE, status: "Napping" } };
    const { lines, counts } = exported([odd]);
    expect(notZero(lines, "mayastor_pool_status")).toEqual([
      'mayastor_pool_status{node_id="n",pool="p",status="unknown"} 1',
    ]);
    expect(lines.filter((line) => line.startsWith("mayastor_pool_spec_status"))).toEqual([]);
    expect(counts).toEqual({ pool_status: 1, pool_spec_status: 1 });
  });

  test.each([[-1], [1.5], ["100"], [true], [{}], [Number.POSITIVE_INFINITY]])(
    "lose the series of the number %p alone",
    (capacity) => {
      const { lines, counts } = exported([{ id: "p", state: { ...STATE, capacity } }]);
      expect(lines.filter((line) => /capacity|total_size/.test(line))).toEqual([]);
      expect(lines).toContain('mayastor_pool_used_bytes{node_id="n",pool="p"} 40');
      expect(counts).toEqual({ malformed: 1 });
    },
  );

  test("keep numbers above 2^53 as the nearest double, and write -0 as 0", () => {
    const json: unknown = JSON.parse(
      '[{"id":"p","state":{"capacity":9223372036854775807,"used":-0,"status":"Online","node":"n"}}]',
    );
    const { lines, counts } = exported(json);
    expect(lines).toContain('mayastor_pool_capacity_bytes{node_id="n",pool="p"} 9223372036854776000');
    expect(lines).toContain('mayastor_pool_used_bytes{node_id="n",pool="p"} 0');
    expect(counts).toEqual({});
  });

  test.each([
    ["no id", { spec: SPEC }],
    ["an empty id", { id: "" }],
    ["a number for an id", { id: 7 }],
    ["an id of over 1024 bytes", { id: "ä".repeat(513) }],
    ["half a character in the id", { id: "\ud800" }],
    ["a flat state", { id: "p", state: "Online" }],
    ["a list for a state", { id: "p", state: [] }],
    ["a list for a spec", { id: "p", spec: [] }],
    ["a state without a status", { id: "p", state: { ...STATE, status: undefined } }],
    ["disks that are no list", { id: "p", state: { ...STATE, disks: "/dev/sdb" } }],
    ["nothing at all", null],
  ])("with %s are left out, the rest is kept", (_, odd) => {
    const { lines, counts } = exported([odd, { id: "good" }]);
    expect(lines.filter((line) => !line.includes('pool="good"'))).toEqual([]);
    expect(lines).not.toEqual([]);
    expect(counts).toEqual({ malformed: 1 });
  });

  test("take an id of 1024 bytes", () => {
    expect(exported([{ id: "ä".repeat(512) }]).counts).toEqual({});
  });

  test("with one id are one, the first by JSON text, in whatever order they come", () => {
    const online = { id: "p", state: STATE };
    const faulted = { id: "p", state: { ...STATE, status: "Faulted" } };
    const there = exported([online, faulted]);
    expect(notZero(there.lines, "mayastor_pool_status")).toEqual([
      'mayastor_pool_status{node_id="n",pool="p",status="faulted"} 1',
    ]);
    expect(there.counts).toEqual({ duplicate: 1 });
    expect(exported([faulted, online])).toEqual(there);
  });

  test("give the same lines for any order of the list", () => {
    const list = ["c", "a", "b"].flatMap((id) => [
      { id: `${id}2`, state: { ...STATE, node: "n1" } },
      { id, state: { ...STATE, node: "n10" } },
      { id: `${id}3`, spec: { ...SPEC, node: "n0" } },
    ]);
    expect(exported(list.toReversed())).toEqual(exported(list));
    expect(exported(list.toSorted((a, b) => (a.id < b.id ? -1 : 1)))).toEqual(exported(list));
  });

  test("have disks with quotes, backslashes and newlines escaped, each once", () => {
    const disks = ['/dev/"a"\\\n', '/dev/"a"\\\n?uuid=1', "/dev/b?x?y"];
    const { lines } = exported([{ id: 'p"\n', state: { ...STATE, disks } }]);
    expect(lines.filter((line) => line.startsWith("mayastor_pool_disk_info"))).toEqual([
      'mayastor_pool_disk_info{node_id="n",pool="p\\"\\n",disk="/dev/\\"a\\"\\\\\\n"} 1',
      'mayastor_pool_disk_info{node_id="n",pool="p\\"\\n",disk="/dev/b"} 1',
    ]);
  });

  test("ignore members that nobody knows, at any depth", () => {
    const plain = exported([{ id: "p", spec: SPEC, state: STATE }]);
    const more = { x: { y: [1] } };
    expect(
      exported([{ ...more, id: "p", spec: { ...SPEC, ...more }, state: { ...STATE, ...more } }]),
    ).toEqual(plain);
  });

  test.each([[{}], ["pools"], [null], [7]])("are a bad body where the answer is %p", (json) => {
    expect(() => exported(json)).toThrow(expect.objectContaining({ reason: "bad_body" }));
  });
});
