import { describe, expect, test } from "bun:test";
import { GUEST_MEMORY } from "../../../src/pve/collectors/guest-memory.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const guest = (id: string, memhost: unknown) => {
  const [type, vmid] = id.split("/");
  return { id, type, vmid: Number(vmid), node: "pve1", status: "running", memhost };
};
const fromRows = (resources: readonly Readonly<Record<string, unknown>>[]) =>
  told(GUEST_MEMORY, new FakeRound({}, { resources }));

describe("guest-memory", () => {
  test("what a VM costs its host is told, as a number or as a text", async () => {
    const rows = [guest("qemu/100", 2_147_483_648), guest("qemu/101", "1073741824")];
    expect(await fromRows(rows)).toEqual({
      series: {
        'pve_guest_memory_host_bytes{id="qemu/100"}': 2_147_483_648,
        'pve_guest_memory_host_bytes{id="qemu/101"}': 1_073_741_824,
      },
      leftOut: {},
      lost: {},
    });
  });

  test.each([
    ["0, as containers have", 0],
    ["absent, as before release 9", undefined],
    ["null", null],
  ])("%s is not measured and not counted", async (_what, memhost) => {
    expect(await fromRows([guest("lxc/102", memhost)])).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test.each(["NaN", "0x10", {}, "1e400"])("%p is counted as invalid", async (memhost) => {
    expect(await fromRows([guest("qemu/100", memhost)])).toEqual({
      series: {},
      leftOut: { invalid: 1 },
      lost: {},
    });
  });

  test("asks nothing but the rows that all collectors share", async () => {
    const round = new FakeRound({}, { resources: [guest("qemu/100", 1)] });
    await told(GUEST_MEMORY, round);
    expect(round.asked).toEqual([]);
  });

  test("release 8.4 says nothing of it", async () => {
    const resources = pveFixture("cluster-resources/8.4");
    if (!Array.isArray(resources)) throw new Error("the fixture is no list");
    expect((await fromRows(resources)).series).toEqual({});
  });

  test("without the shared rows it has failed", async () => {
    const round = new FakeRound({}, { resources: failure("timeout") });
    expect(await told(GUEST_MEMORY, round)).toEqual({ series: {}, leftOut: {}, lost: { timeout: 1 } });
  });
});
