import { expect, test } from "bun:test";
import { BACKUP_INFO } from "../../../src/pve/collectors/backup-info.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure, type Given, STANDALONE } from "../../support/pve-round.ts";

const notBackedUp = (data: unknown, given: Given = {}) =>
  collect(BACKUP_INFO, new FakeRound({ "/cluster/backup-info/not-backed-up": data }, given));

test("counts the guests, and names each", async () => {
  expect((await notBackedUp(pveFixture("others/not-backed-up"))).series).toEqual({
    'pve_not_backed_up_total{id="cluster/prod"}': 2,
    'pve_not_backed_up_info{id="lxc/102"}': 1,
    'pve_not_backed_up_info{id="qemu/103"}': 1,
  });
});

test("none is 0, and on a standalone host it is the node's", async () => {
  const { series } = await notBackedUp([], { status: STANDALONE });
  expect(series).toEqual({ 'pve_not_backed_up_total{id="node/pve1"}': 0 });
});

test("a bad row costs itself, a guest that is there twice counts once", async () => {
  const rows = [
    { vmid: "100", type: "qemu" },
    { vmid: 100, type: "qemu" },
    { vmid: 100, type: "openvz" },
    { vmid: Number.POSITIVE_INFINITY, type: "lxc" },
    { type: "lxc" },
    null,
  ];
  const { series, leftOut, lost } = await notBackedUp(rows);
  expect(series).toEqual({
    'pve_not_backed_up_info{id="qemu/100"}': 1,
    'pve_not_backed_up_total{id="cluster/prod"}': 1,
  });
  expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1 }, lost: { invalid: 4 } });
});

test("without /cluster/status the guests are named, and only their number has no id", async () => {
  const { series, lost } = await notBackedUp([{ vmid: 100, type: "qemu" }], { status: failure("error") });
  expect(series).toEqual({ 'pve_not_backed_up_info{id="qemu/100"}': 1 });
  expect(lost).toEqual({ error: 1 });
});

test("a right that is missing costs this collector", async () => {
  expect(await notBackedUp(failure("forbidden"))).toMatchObject({ series: {}, lost: { forbidden: 1 } });
});

test("what is no list is no answer", async () => {
  expect(await notBackedUp({ vmid: 100 })).toMatchObject({ series: {}, lost: { invalid: 1 } });
});
