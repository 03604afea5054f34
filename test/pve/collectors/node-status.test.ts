import { describe, expect, test } from "bun:test";
import { NODE_STATUS } from "../../../src/pve/collectors/node-status.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const fromAnswer = (status: unknown) =>
  told(NODE_STATUS, new FakeRound({ "/nodes/pve1/status": status }, { nodes: ["pve1"] }));

describe("node-status", () => {
  test("all that release 9 says of a node that boots with EFI", async () => {
    expect(await fromAnswer(pveFixture("node-status/9.2-efi"))).toEqual({
      series: {
        'pve_node_load1{node="pve1"}': 0.15,
        'pve_node_load5{node="pve1"}': 0.25,
        'pve_node_load15{node="pve1"}': 0.3,
        'pve_node_swap_total_bytes{node="pve1"}': 8_589_930_496,
        'pve_node_swap_used_bytes{node="pve1"}': 1_048_576,
        'pve_node_swap_free_bytes{node="pve1"}': 8_588_881_920,
        'pve_node_rootfs_total_bytes{node="pve1"}': 100_861_726_720,
        'pve_node_rootfs_used_bytes{node="pve1"}': 24_372_563_968,
        'pve_node_rootfs_available_bytes{node="pve1"}': 71_318_425_600,
        'pve_node_ksm_shared_bytes{node="pve1"}': 536_870_912,
        'pve_node_memory_available_bytes{node="pve1"}': 47_244_640_256,
        'pve_node_boot_mode_info{mode="efi",node="pve1",secureboot="0"}': 1,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("the seed's own example gives the seed's samples", async () => {
    const answer = {
      loadavg: ["3.12", "2.88", "2.79"],
      swap: { total: 8589930496, used: 0, free: 8589930496 },
      rootfs: { used: 28747304960, total: 100861726720, avail: 66943684608 },
      ksm: { shared: 0 },
      "boot-info": { mode: "efi", secureboot: 0 },
    };
    expect((await fromAnswer(answer)).series).toEqual({
      'pve_node_load1{node="pve1"}': 3.12,
      'pve_node_load5{node="pve1"}': 2.88,
      'pve_node_load15{node="pve1"}': 2.79,
      'pve_node_swap_total_bytes{node="pve1"}': 8_589_930_496,
      'pve_node_swap_used_bytes{node="pve1"}': 0,
      'pve_node_swap_free_bytes{node="pve1"}': 8_589_930_496,
      'pve_node_rootfs_total_bytes{node="pve1"}': 100_861_726_720,
      'pve_node_rootfs_used_bytes{node="pve1"}': 28_747_304_960,
      'pve_node_rootfs_available_bytes{node="pve1"}': 66_943_684_608,
      'pve_node_ksm_shared_bytes{node="pve1"}': 0,
      'pve_node_boot_mode_info{mode="efi",node="pve1",secureboot="0"}': 1,
    });
  });

  test("release 8 on a legacy BIOS says nothing of available memory nor of secure boot", async () => {
    const { series, leftOut, lost } = await fromAnswer(pveFixture("node-status/8.4-legacy"));
    expect(series).toMatchObject({
      'pve_node_boot_mode_info{mode="legacy-bios",node="pve1",secureboot=""}': 1,
      'pve_node_ksm_shared_bytes{node="pve1"}': 0,
    });
    expect(Object.keys(series)).not.toContain('pve_node_memory_available_bytes{node="pve1"}');
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("no boot-info gives no boot mode, and is no failure", async () => {
    const { series, leftOut, lost } = await fromAnswer(pveFixture("node-status/no-boot-info"));
    expect(Object.keys(series).filter((name) => name.includes("boot_mode"))).toEqual([]);
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("a swap of 0 is a value, and secureboot may be a text", async () => {
    expect((await fromAnswer(pveFixture("node-status/swap-0"))).series).toMatchObject({
      'pve_node_swap_total_bytes{node="pve1"}': 0,
      'pve_node_swap_used_bytes{node="pve1"}': 0,
      'pve_node_swap_free_bytes{node="pve1"}': 0,
      'pve_node_boot_mode_info{mode="efi",node="pve1",secureboot="1"}': 1,
    });
  });

  test("what is no number is counted and leaves out its own sample alone", async () => {
    const answer = {
      loadavg: ["0.15", "0x10", null],
      swap: { total: "NaN", used: "", free: "5" },
      ksm: { shared: {} },
    };
    expect(await fromAnswer(answer)).toEqual({
      series: { 'pve_node_load1{node="pve1"}': 0.15, 'pve_node_swap_free_bytes{node="pve1"}': 5 },
      leftOut: { invalid: 3 },
      lost: {},
    });
  });

  test("a part of the wrong kind is lost", async () => {
    const answer = { loadavg: "0.15", swap: [1], rootfs: "full", ksm: { shared: 7 }, "boot-info": null };
    expect(await fromAnswer(answer)).toEqual({
      series: { 'pve_node_ksm_shared_bytes{node="pve1"}': 7 },
      leftOut: {},
      lost: { invalid: 3 },
    });
  });

  test.each([["a text"], [7], [null], [[{}]]])("an answer that is no object, %p, is lost", async (answer) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: { invalid: 1 } });
  });

  test("a node that cannot be asked does not take the other one along", async () => {
    const round = new FakeRound({
      "/nodes/pve1/status": failure("unreachable"),
      "/nodes/pve2/status": { loadavg: ["1.00"] },
    });
    expect(await told(NODE_STATUS, round)).toEqual({
      series: { 'pve_node_load1{node="pve2"}': 1 },
      leftOut: {},
      lost: { unreachable: 1 },
    });
    expect(round.callOptions).toEqual([{ node: "pve1" }, { node: "pve2" }]);
  });
});
