import { describe, expect, test } from "bun:test";
import { REPLICATION } from "../../../src/pve/collectors/replication.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure, type Given, STANDALONE, TWO_NODES } from "../../support/pve-round.ts";

const PATH = "/nodes/pve1/replication";
const jobs = (data: unknown, given: Given = { nodes: ["pve1"] }) =>
  collect(REPLICATION, new FakeRound({ [PATH]: data }, given));
const ofFixture = (name: string) => jobs(pveFixture(`replication/${name}`));

const ofJob = (series: Readonly<Record<string, number>>, family: string, id = "100-0") =>
  series[`pve_replication_${family}{id="${id}"}`];

test("a good job, numbers as texts or not", async () => {
  const { series, lost } = await ofFixture("good");
  expect(series).toMatchObject({
    'pve_replication_info{guest="qemu/100",id="100-0",source="node/pve1",target="node/pve2",type="local"}': 1,
    'pve_replication_info{guest="lxc/102",id="102-0",source="node/pve1",target="node/pve2",type="local"}': 1,
    'pve_replication_duration_seconds{id="102-0"}': 2.25,
    'pve_replication_last_sync_timestamp_seconds{id="102-0"}': 1774000000,
  });
  expect(lost).toEqual({});
});

test("a failing job: next sync 0 is a value", async () => {
  const { series } = await ofFixture("failing");
  expect(ofJob(series, "failed_syncs")).toBe(4);
  expect(ofJob(series, "next_sync_timestamp_seconds")).toBe(0);
});

test("a job that never ran: 0 is never, and there is no duration", async () => {
  const { series } = await ofFixture("never-run");
  expect(ofJob(series, "last_sync_timestamp_seconds")).toBe(0);
  expect(ofJob(series, "last_try_timestamp_seconds")).toBe(0);
  expect(ofJob(series, "duration_seconds")).toBeUndefined();
});

test("a job that is being removed: next sync 1 is kept", async () => {
  expect(ofJob((await ofFixture("being-removed")).series, "next_sync_timestamp_seconds")).toBe(1);
});

test.each(["disabled", "running"])("a job that is %s is there", async (state) => {
  expect(ofJob((await ofFixture(state)).series, "failed_syncs")).toBe(0);
});

test("a job on the lists of two nodes is taken from the first", async () => {
  const [row] = [pveFixture("replication/good")].flat();
  const round = new FakeRound({ [PATH]: [row], "/nodes/pve2/replication": [row] });
  const { leftOut, lost } = await collect(REPLICATION, round);
  expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1 }, lost: {} });
});

test.each([
  [{ id: "../1" }],
  [{ id: 100 }],
  [{ guest: "x" }],
  [{ vmtype: "openvz" }],
  [{ source: "a/b" }],
  [{ target: null }],
])("a job with %p is lost", async (wrong) => {
  const right = { id: "1-0", guest: 100, vmtype: "qemu", source: "a", target: "b", type: "local" };
  const { series, lost } = await jobs([
    { ...right, ...wrong },
    { ...right, id: "2-0" },
  ]);
  expect(Object.keys(series)).toHaveLength(1);
  expect(lost).toEqual({ invalid: 1 });
});

describe("the lock of the cluster", () => {
  test("is asked for by one node after the other", async () => {
    let open = 0;
    let most = 0;
    const answer = async () => {
      most = Math.max(most, ++open);
      await Bun.sleep(1);
      open--;
      return [];
    };
    const round = new FakeRound({ [PATH]: answer, "/nodes/pve2/replication": answer });
    await collect(REPLICATION, round);
    expect(round.asked).toEqual([PATH, "/nodes/pve2/replication"]);
    expect(most).toBe(1);
  });

  test("is not asked for without quorum", async () => {
    const status = { ...TWO_NODES, cluster: { name: "prod", nodes: 2, version: 1, quorate: false } };
    const round = new FakeRound({}, { status });
    expect(await collect(REPLICATION, round)).toMatchObject({ series: {}, lost: { no_quorum: 1 } });
    expect(round.asked).toEqual([]);
  });

  test("needs no quorum on a standalone host", async () => {
    expect((await jobs([], { status: STANDALONE })).lost).toEqual({});
  });

  test("is asked for where nobody says whether there is quorum", async () => {
    const { series, lost } = await jobs(pveFixture("replication/running"), {
      status: failure("forbidden"),
      nodes: ["pve1"],
    });
    expect(ofJob(series, "failed_syncs")).toBe(0);
    expect(lost).toEqual({});
  });

  test("that one node did not get costs that node alone", async () => {
    const round = new FakeRound({
      [PATH]: failure("error"),
      "/nodes/pve2/replication": pveFixture("replication/running"),
    });
    const { series, lost } = await collect(REPLICATION, round);
    expect(ofJob(series, "failed_syncs")).toBe(0);
    expect(lost).toEqual({ error: 1 });
  });
});
