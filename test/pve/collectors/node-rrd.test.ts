import { describe, expect, test } from "bun:test";
import { NODE_RRD } from "../../../src/pve/collectors/node-rrd.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const PATH = "/nodes/pve1/rrddata?timeframe=hour&cf=AVERAGE";
const fromAnswer = (answer: unknown) =>
  told(NODE_RRD, new FakeRound({ [PATH]: answer }, { nodes: ["pve1"] }));

const IOWAIT = 'pve_node_iowait_ratio{node="pve1"}';
const TIMESTAMP = 'pve_node_rrd_timestamp_seconds{node="pve1"}';

describe("node-rrd", () => {
  test("release 9: the newest row that has values, pressure as a ratio", async () => {
    expect(await fromAnswer(pveFixture("others/rrddata-9.2"))).toEqual({
      series: {
        [IOWAIT]: 0.0007,
        'pve_node_pressure_cpu_some_ratio{node="pve1"}': 2.28 / 100,
        'pve_node_pressure_io_some_ratio{node="pve1"}': 0.055,
        'pve_node_pressure_io_full_ratio{node="pve1"}': 0,
        'pve_node_pressure_memory_some_ratio{node="pve1"}': 0,
        'pve_node_pressure_memory_full_ratio{node="pve1"}': 0,
        [TIMESTAMP]: 1_785_169_080,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("release 8: I/O wait alone, a number as a text", async () => {
    const { series } = await fromAnswer(pveFixture("others/rrddata-8.4"));
    expect(series).toEqual({ [IOWAIT]: 0.0012, [TIMESTAMP]: 1_785_169_080 });
  });

  test("each value has its own newest row, in whatever order they come", async () => {
    const { series } = await fromAnswer([
      { time: 1240 },
      { time: 1120, iowait: 0.1, pressurecpusome: 10 },
      { time: 1180, iowait: "", pressurecpusome: 20 },
      { time: 1060, iowait: 0.3, pressurecpusome: 30 },
    ]);
    expect(series).toEqual({
      [IOWAIT]: 0.1,
      'pve_node_pressure_cpu_some_ratio{node="pve1"}': 0.2,
      [TIMESTAMP]: 1180,
    });
  });

  test("a value is not older than 180 s by the node's own clock", async () => {
    const { series } = await fromAnswer([{ time: 1000, iowait: 0.1 }, { time: "1180" }]);
    expect(series).toEqual({ [IOWAIT]: 0.1, [TIMESTAMP]: 1000 });
    expect((await fromAnswer([{ time: 1000, iowait: 0.1 }, { time: 1181 }])).series).toEqual({});
  });

  test("a list without values, or without rows, gives nothing and is no failure", async () => {
    expect(await fromAnswer([{ time: 60 }, { time: 120 }])).toEqual({ series: {}, leftOut: {}, lost: {} });
    expect(await fromAnswer([])).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("pressure outside 0 to 100 and what is no number are counted and give no sample", async () => {
    const rows = [
      { time: 60, iowait: "nan", pressurecpusome: 101, pressureiofull: -1, pressureiosome: "50" },
    ];
    expect(await fromAnswer(rows)).toEqual({
      series: { 'pve_node_pressure_io_some_ratio{node="pve1"}': 0.5, [TIMESTAMP]: 60 },
      leftOut: { invalid: 3 },
      lost: {},
    });
  });

  test("rows of no kind and rows of no time are lost", async () => {
    const rows = [null, 1, [], { iowait: 1 }, { time: "noon", iowait: 1 }, { time: 60, iowait: 0.5 }];
    const { series, lost } = await fromAnswer(rows);
    expect(series[IOWAIT]).toBe(0.5);
    expect(lost).toEqual({ invalid: 5 });
  });

  test("a node that may not be read does not take the other along", async () => {
    const other = "/nodes/pve2/rrddata?timeframe=hour&cf=AVERAGE";
    const round = new FakeRound({ [PATH]: failure("forbidden"), [other]: [{ time: 60, iowait: 0.5 }] });
    const { series, lost } = await told(NODE_RRD, round);
    expect(series['pve_node_iowait_ratio{node="pve2"}']).toBe(0.5);
    expect(lost).toEqual({ forbidden: 1 });
  });

  test("what is no list is invalid", async () => {
    expect(await fromAnswer({})).toEqual({ series: {}, leftOut: {}, lost: { invalid: 1 } });
  });
});
