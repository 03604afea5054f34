import { expect, test } from "bun:test";
import { SUBSCRIPTION } from "../../../src/pve/collectors/subscription.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure } from "../../support/pve-round.ts";

const ofPve1 = (data: unknown) =>
  collect(SUBSCRIPTION, new FakeRound({ "/nodes/pve1/subscription": data }, { nodes: ["pve1"] }));
const due = 'pve_subscription_next_due_timestamp_seconds{id="node/pve1"}';

test("an active one has its level and the midnight, here, of the day when it is due", async () => {
  const { series } = await ofPve1(pveFixture("others/subscription-active"));
  expect(series).toEqual({
    'pve_subscription_info{id="node/pve1",level="c"}': 1,
    [due]: new Date(2027, 0, 1).getTime() / 1000,
    'pve_subscription_status{id="node/pve1",status="active"}': 1,
    'pve_subscription_status{id="node/pve1",status="expired"}': 0,
    'pve_subscription_status{id="node/pve1",status="invalid"}': 0,
    'pve_subscription_status{id="node/pve1",status="new"}': 0,
    'pve_subscription_status{id="node/pve1",status="notfound"}': 0,
    'pve_subscription_status{id="node/pve1",status="suspended"}': 0,
  });
});

test("none is of unknown level, and due never", async () => {
  const { series } = await ofPve1(pveFixture("others/subscription-none"));
  expect(series['pve_subscription_info{id="node/pve1",level="unknown"}']).toBe(1);
  expect(series['pve_subscription_status{id="node/pve1",status="notfound"}']).toBe(1);
  expect(series[due]).toBeUndefined();
});

test("a status of the future is none of the known", async () => {
  const { series, lost } = await ofPve1({ status: "paused" });
  const statuses = Object.keys(series).filter((key) => key.includes("status="));
  expect(statuses.map((key) => series[key])).toEqual([0, 0, 0, 0, 0, 0]);
  expect(lost).toEqual({});
});

test.each([["2027-02-30"], ["soon"], ["2027-1-1"], [1798761600], [{}]])(
  "due %p is no day: counted, and without a sample",
  async (nextduedate) => {
    const { series, leftOut, lost } = await ofPve1({ status: "active", nextduedate });
    expect(series[due]).toBeUndefined();
    expect({ leftOut, lost }).toEqual({ leftOut: { invalid: 1 }, lost: {} });
  },
);

test.each([[""], [null]])("due %p says nothing", async (nextduedate) => {
  expect((await ofPve1({ status: "active", nextduedate })).leftOut).toEqual({});
});

test("a node that does not answer does not take the others along, and each call is its node's", async () => {
  const round = new FakeRound({
    "/nodes/pve1/subscription": failure("unreachable"),
    "/nodes/pve2/subscription": { status: "new", level: "p" },
  });
  const { series, lost } = await collect(SUBSCRIPTION, round);
  expect(series['pve_subscription_info{id="node/pve2",level="p"}']).toBe(1);
  expect(lost).toEqual({ unreachable: 1 });
  expect(round.callOptions).toEqual([{ node: "pve1" }, { node: "pve2" }]);
});

test("what is no object is no answer", async () => {
  expect(await ofPve1([])).toMatchObject({ series: {}, lost: { invalid: 1 } });
});
