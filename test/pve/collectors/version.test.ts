import { expect, test } from "bun:test";
import { VERSION } from "../../../src/pve/collectors/version.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { collect, FakeRound, failure } from "../../support/pve-round.ts";

const version = (data: unknown) => collect(VERSION, new FakeRound({ "/version": data }));

test("has three labels, whatever else the answer holds", async () => {
  expect((await version(pveFixture("others/version-9.2"))).series).toEqual({
    'pve_version_info{release="9.2",repoid="b9984c6d90a4bd80",version="9.2.2"}': 1,
  });
  expect(Object.keys((await version(pveFixture("others/version-8.4"))).series)).toHaveLength(1);
});

test("what is not said is empty", async () => {
  const { series } = await version({ release: 9, repoid: null });
  expect(series).toEqual({ 'pve_version_info{release="9",repoid="",version=""}': 1 });
});

test.each([["text"], [null], [[]], [7]])("%p is no answer", async (data) => {
  expect(await version(data)).toMatchObject({ series: {}, lost: { invalid: 1 } });
});

test("a call that fails costs this collector", async () => {
  expect(await version(failure("timeout"))).toMatchObject({ series: {}, lost: { timeout: 1 } });
});
