import { describe, expect, test } from "bun:test";
import { STORAGE } from "../../../src/pve/collectors/storage.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const PATH = "/nodes/pve1/storage";
const fromAnswer = (answer: unknown) => told(STORAGE, new FakeRound({ [PATH]: answer }, { nodes: ["pve1"] }));

const LOCAL = '{node="pve1",storage="local",type="dir"}';

describe("storage", () => {
  test("sizes of what is active alone, and what is active and enabled of all", async () => {
    expect(await fromAnswer(pveFixture("others/storage"))).toEqual({
      series: {
        [`pve_storage_total_bytes${LOCAL}`]: 100_861_726_720,
        [`pve_storage_used_bytes${LOCAL}`]: 10_086_172_672,
        [`pve_storage_available_bytes${LOCAL}`]: 90_775_554_048,
        [`pve_storage_active${LOCAL}`]: 1,
        'pve_storage_active{node="pve1",storage="nfs",type="nfs"}': 0,
        'pve_storage_active{node="pve1",storage="off",type="dir"}': 0,
        [`pve_storage_enabled${LOCAL}`]: 1,
        'pve_storage_enabled{node="pve1",storage="nfs",type="nfs"}': 1,
        'pve_storage_enabled{node="pve1",storage="off",type="dir"}': 0,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("what is absent gives no sample", async () => {
    expect(await fromAnswer([{ storage: "bare" }])).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("a size that is none is one sample less", async () => {
    const row = { storage: "local", type: "dir", active: 1, total: "1e400", used: null, avail: "7" };
    expect(await fromAnswer([row])).toEqual({
      series: { [`pve_storage_active${LOCAL}`]: 1, [`pve_storage_available_bytes${LOCAL}`]: 7 },
      leftOut: { invalid: 1 },
      lost: {},
    });
  });

  test("of a storage that comes twice the first wins; rows of no kind and of no name are lost", async () => {
    const rows = [
      { storage: "local", type: "dir", active: 1 },
      { storage: "local", active: 0 },
      null,
      "x",
      {},
    ];
    expect(await fromAnswer(rows)).toEqual({
      series: { [`pve_storage_active${LOCAL}`]: 1 },
      leftOut: { duplicate: 1 },
      lost: { invalid: 3 },
    });
  });

  test("an empty list is no failure: rights filter it", async () => {
    expect(await fromAnswer([])).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("a node whose storage hangs is waited for 5 s at most, and does not take the other along", async () => {
    const round = new FakeRound({
      [PATH]: failure("timeout"),
      "/nodes/pve2/storage": [{ storage: "local", type: "dir", active: 1 }],
    });
    const { series, lost } = await told(STORAGE, round);
    expect(series).toEqual({ 'pve_storage_active{node="pve2",storage="local",type="dir"}': 1 });
    expect(lost).toEqual({ timeout: 1 });
    expect(round.callOptions).toEqual([
      { node: "pve1", limitMs: 5000 },
      { node: "pve2", limitMs: 5000 },
    ]);
  });

  test("what is no list is invalid", async () => {
    expect(await fromAnswer("none")).toEqual({ series: {}, leftOut: {}, lost: { invalid: 1 } });
  });
});
