import { describe, expect, test } from "bun:test";
import { ZFS } from "../../../src/pve/collectors/zfs.ts";
import { PveFailure } from "../../../src/pve/failure.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const PATH = "/nodes/pve1/disks/zfs";
const fromAnswer = (answer: unknown) => told(ZFS, new FakeRound({ [PATH]: answer }, { nodes: ["pve1"] }));
const refused = (status: number, phrase: string) =>
  new PveFailure("error", PATH, "refused", { status, phrase });
const pool = (more: object) => ({ name: "tank", size: 100, alloc: 40, free: 60, health: "ONLINE", ...more });

describe("zfs", () => {
  test("pools as they are, numbers as texts too, and of one that cannot be read its health alone", async () => {
    const { series, leftOut, lost } = await fromAnswer(pveFixture("others/zfs"));
    const states = Object.entries(series).filter(([key]) => key.includes("state="));
    expect(states).toHaveLength(3 * 8);
    expect(Object.fromEntries(states.filter(([, value]) => value === 1))).toEqual({
      'pve_zfs_pool_health_state{node="pve1",pool="broken",state="FAULTED"}': 1,
      'pve_zfs_pool_health_state{node="pve1",pool="rpool",state="ONLINE"}': 1,
      'pve_zfs_pool_health_state{node="pve1",pool="tank",state="DEGRADED"}': 1,
    });
    expect(Object.fromEntries(Object.entries(series).filter(([key]) => !key.includes("state=")))).toEqual({
      'pve_zfs_pool_size_bytes{node="pve1",pool="rpool"}': 7_999_376_588_800,
      'pve_zfs_pool_size_bytes{node="pve1",pool="tank"}': 7_999_376_588_800,
      'pve_zfs_pool_alloc_bytes{node="pve1",pool="rpool"}': 3_999_688_294_400,
      'pve_zfs_pool_alloc_bytes{node="pve1",pool="tank"}': 3_999_688_294_400,
      'pve_zfs_pool_free_bytes{node="pve1",pool="rpool"}': 3_999_688_294_400,
      'pve_zfs_pool_free_bytes{node="pve1",pool="tank"}': 3_999_688_294_400,
      'pve_zfs_pool_frag_ratio{node="pve1",pool="rpool"}': 0,
      'pve_zfs_pool_frag_ratio{node="pve1",pool="tank"}': 0.31,
      'pve_zfs_pool_dedup_ratio{node="pve1",pool="rpool"}': 1,
      'pve_zfs_pool_dedup_ratio{node="pve1",pool="tank"}': 1,
    });
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test.each([
    ["SUSPENDED", "SUSPENDED"],
    ["online", "other"],
    ["HYPERACTIVE", "other"],
  ])("health %p is %s", async (health, state) => {
    const { series } = await fromAnswer([pool({ health })]);
    expect(series[`pve_zfs_pool_health_state{node="pve1",pool="tank",state="${state}"}`]).toBe(1);
  });

  test("a health that is absent has no state", async () => {
    const { series } = await fromAnswer([pool({ health: undefined }), pool({ name: "b", health: "" })]);
    expect(Object.keys(series).filter((key) => key.includes("state="))).toEqual([]);
    expect(series['pve_zfs_pool_size_bytes{node="pve1",pool="b"}']).toBe(100);
  });

  test("a number that is none is one sample less", async () => {
    const { series, leftOut, lost } = await fromAnswer([pool({ frag: "-", alloc: "NaN", dedup: "" })]);
    expect(Object.keys(series).filter((key) => !key.includes("state="))).toEqual([
      'pve_zfs_pool_free_bytes{node="pve1",pool="tank"}',
      'pve_zfs_pool_size_bytes{node="pve1",pool="tank"}',
    ]);
    expect({ leftOut, lost }).toEqual({ leftOut: { invalid: 2 }, lost: {} });
  });

  test("of a pool that comes twice the first wins; rows of no kind and without a name are lost", async () => {
    const rows = [pool({}), pool({ size: 7 }), null, 3, [], pool({ name: "" }), pool({ name: {} })];
    const { series, leftOut, lost } = await fromAnswer(rows);
    expect(series['pve_zfs_pool_size_bytes{node="pve1",pool="tank"}']).toBe(100);
    // The name that is an object cannot be shown.
    expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1, invalid: 1 }, lost: { invalid: 5 } });
  });

  test.each([
    ["500 without ZFS", refused(500, "zfsutils-linux not installed")],
    ["501 from a release that does not know the path", refused(501, "Method not implemented")],
    ["no pools", []],
  ])("%s is no failure", async (_what, answer) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test.each([
    ["403", failure("forbidden"), "forbidden"],
    ["another 500", refused(500, "command 'zpool list' failed: exit code 1"), "error"],
    ["no list", { name: "tank" }, "invalid"],
  ])("%s is a failure", async (_what, answer, reason) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: { [reason]: 1 } });
  });

  test("a node that cannot be reached does not take the other along", async () => {
    const round = new FakeRound({
      "/nodes/pve1/disks/zfs": failure("unreachable"),
      "/nodes/pve2/disks/zfs": [pool({})],
    });
    const { series, lost } = await told(ZFS, round);
    expect(series['pve_zfs_pool_size_bytes{node="pve2",pool="tank"}']).toBe(100);
    expect(lost).toEqual({ unreachable: 1 });
    expect(round.callOptions).toEqual([{ node: "pve1" }, { node: "pve2" }]);
  });
});
