import { expect, test } from "bun:test";
import { QDEVICE } from "../../../src/pve/collectors/qdevice.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure, STANDALONE } from "../../support/pve-round.ts";

const PATH = "/cluster/config/qdevice";
const qdevice = (data: unknown) => collect(QDEVICE, new FakeRound({ [PATH]: data }));

test("one that is connected is up", async () => {
  const { series } = await qdevice(pveFixture("others/qdevice"));
  expect(series).toEqual({
    'pve_qdevice_up{id="cluster/prod"}': 1,
    'pve_qdevice_info{algorithm="Fifty-Fifty split",id="cluster/prod",model="Net",qnetd_host="192.0.2.9:5403",state="Connected",tie_breaker="Node with lowest node ID"}': 1,
  });
});

test("one in any other state is not, and what is not said is empty", async () => {
  const { series } = await qdevice({ State: "Disconnected", Model: null });
  expect(series['pve_qdevice_up{id="cluster/prod"}']).toBe(0);
  expect(Object.keys(series)[0]).toContain('model=""');
});

test("a cluster without one has no sample, and that is no failure", async () => {
  const none = { series: {}, leftOut: {}, lost: {} };
  expect(await qdevice(pveFixture("others/qdevice-none"))).toMatchObject(none);
});

test("a standalone host is not asked", async () => {
  const round = new FakeRound({}, { status: STANDALONE });
  expect(await collect(QDEVICE, round)).toMatchObject({ series: {}, lost: {} });
  expect(round.asked).toEqual([]);
});

test("an error costs this collector", async () => {
  expect(await qdevice(failure("error", PATH))).toMatchObject({ series: {}, lost: { error: 1 } });
  expect(await qdevice("text")).toMatchObject({ series: {}, lost: { invalid: 1 } });
});
