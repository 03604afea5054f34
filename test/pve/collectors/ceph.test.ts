import { describe, expect, test } from "bun:test";
import { CEPH } from "../../../src/pve/collectors/ceph.ts";
import { PveFailure } from "../../../src/pve/failure.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const PATH = "/cluster/ceph/status";
const fromAnswer = (answer: unknown) => told(CEPH, new FakeRound({ [PATH]: answer }));
const refused = (status: number, phrase: string) =>
  new PveFailure("error", PATH, "refused", { status, phrase });

describe("ceph", () => {
  test("a cluster with warnings", async () => {
    expect(await fromAnswer(pveFixture("others/ceph-warn"))).toEqual({
      series: {
        'pve_ceph_health_state{state="HEALTH_ERR"}': 0,
        'pve_ceph_health_state{state="HEALTH_OK"}': 0,
        'pve_ceph_health_state{state="HEALTH_WARN"}': 1,
        'pve_ceph_health_state{state="other"}': 0,
        'pve_ceph_health_check{check="OSD_DOWN",severity="HEALTH_WARN"}': 1,
        'pve_ceph_health_check{check="POOL_NEARFULL",severity="HEALTH_WARN"}': 1,
        'pve_ceph_osds{state="in"}': 6,
        'pve_ceph_osds{state="total"}': 6,
        'pve_ceph_osds{state="up"}': 5,
        "pve_ceph_total_bytes{}": 26_885_281_038_336,
        "pve_ceph_used_bytes{}": 9_409_848_363_417,
        "pve_ceph_available_bytes{}": 17_475_432_674_919,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("a health of the future is other", async () => {
    const { series } = await fromAnswer({ health: { status: "HEALTH_SPLENDID" } });
    expect(series['pve_ceph_health_state{state="other"}']).toBe(1);
  });

  test("what is absent gives no sample and is not counted", async () => {
    expect(await fromAnswer({ health: { checks: null } })).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("members of the wrong kind are lost, and the rest is told", async () => {
    const answer = { health: "fine", osdmap: [], pgmap: { bytes_total: "100", bytes_used: "lots" } };
    expect(await fromAnswer(answer)).toEqual({
      series: { "pve_ceph_total_bytes{}": 100 },
      leftOut: { invalid: 1 },
      lost: { invalid: 2 },
    });
    expect(await fromAnswer({ health: { checks: { A: null, B: {} } } })).toEqual({
      series: { 'pve_ceph_health_check{check="B",severity=""}': 1 },
      leftOut: {},
      lost: { invalid: 1 },
    });
  });

  test.each([
    ["500 without Ceph", refused(500, "binary not installed: /usr/bin/ceph-mon")],
    [
      "500 before it is set up",
      refused(500, "pveceph configuration not initialized - missing monitor address"),
    ],
    ["501", refused(501, "Method not implemented")],
  ])("%s is no failure", async (_what, answer) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test.each([
    ["403", failure("forbidden"), "forbidden"],
    ["another 500", refused(500, "rados_connect failed - Connection timed out"), "error"],
    ["a list", [], "invalid"],
    ["a text", "HEALTH_OK", "invalid"],
  ])("%s is a failure", async (_what, answer, reason) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: { [reason]: 1 } });
  });
});
