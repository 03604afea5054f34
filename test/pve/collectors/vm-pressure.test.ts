import { describe, expect, test } from "bun:test";
import { VM_PRESSURE } from "../../../src/pve/collectors/vm-pressure.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const QEMU = "/nodes/pve1/qemu";
const LXC = "/nodes/pve1/lxc";
const fromAnswers = (qemu: unknown, lxc: unknown = [], release = "9.2") =>
  told(VM_PRESSURE, new FakeRound({ [QEMU]: qemu, [LXC]: lxc }, { nodes: ["pve1"], release }));

const series = (prefix: string, id: string, values: Readonly<Record<string, number>>) =>
  Object.fromEntries(
    Object.entries(values).map(([what, value]) => [
      `${prefix}_pressure_${what}_ratio{id="${id}",node="pve1"}`,
      value,
    ]),
  );

describe("vm-pressure", () => {
  test("percentages of running VMs become ratios", async () => {
    expect(await fromAnswers(pveFixture("pressure/qemu"))).toEqual({
      series: {
        ...series("pve_vm", "qemu/100", {
          cpu_some: 0.0046,
          cpu_full: 0.0031,
          memory_some: 0,
          memory_full: 0,
          io_some: 0.1275,
          io_full: 11.02 / 100,
        }),
        ...series("pve_vm", "qemu/101", {
          cpu_some: 0,
          cpu_full: 0,
          memory_some: 0,
          memory_full: 0,
          io_some: 0,
          io_full: 0,
        }),
      },
      leftOut: {},
      lost: {},
    });
  });

  test("the seed's own example gives the seed's samples", async () => {
    const vm = {
      ...{ vmid: 112, status: "running", pressurecpusome: 0, pressurecpufull: 0, pressurememorysome: 0 },
      ...{ pressurememoryfull: 0, pressureiosome: 0, pressureiofull: 0 },
    };
    expect((await fromAnswers([vm])).series).toEqual(
      series("pve_vm", "qemu/112", {
        cpu_some: 0,
        cpu_full: 0,
        memory_some: 0,
        memory_full: 0,
        io_some: 0,
        io_full: 0,
      }),
    );
  });

  test("containers say theirs as texts, in families of their own", async () => {
    expect((await fromAnswers([], pveFixture("pressure/lxc"))).series).toEqual(
      series("pve_lxc", "lxc/102", {
        cpu_some: 0.0046,
        cpu_full: 0.0031,
        memory_some: 0,
        memory_full: 0,
        io_some: 0.1275,
        io_full: 11.02 / 100,
      }),
    );
  });

  test("a stopped VM has none, whatever a row says", async () => {
    const stopped = { vmid: 102, status: "stopped", pressurecpusome: 1 };
    const [first, ...others] = [pveFixture("pressure/stopped")].flat();
    const { series } = await fromAnswers([first, ...others, stopped]);
    expect(Object.keys(series)).toHaveLength(6);
    expect(Object.keys(series).every((name) => name.includes('id="qemu/101"'))).toBe(true);
  });

  test("templates have none, and template may be empty, a number or a text", async () => {
    const { series, leftOut, lost } = await fromAnswers(pveFixture("pressure/template"));
    expect(Object.keys(series).every((name) => name.includes('id="qemu/100"'))).toBe(true);
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("a vmid that is a text is the same guest", async () => {
    const { series } = await fromAnswers(pveFixture("pressure/vmid-text"));
    expect(series['pve_vm_pressure_cpu_some_ratio{id="qemu/100",node="pve1"}']).toBe(0.0046);
  });

  test("an older qemu-server on release 9 says nothing of pressure, and nothing is exported", async () => {
    expect(await fromAnswers(pveFixture("pressure/8.4"))).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("nothing is asked on a release before 9", async () => {
    const round = new FakeRound({}, { release: "8.4" });
    expect(await told(VM_PRESSURE, round)).toEqual({ series: {}, leftOut: {}, lost: {} });
    expect(round.asked).toEqual([]);
  });

  test("no monitor of a VM is asked", async () => {
    const round = new FakeRound({ [QEMU]: [], [LXC]: [] }, { nodes: ["pve1"] });
    await told(VM_PRESSURE, round);
    expect(round.asked).toEqual([QEMU, LXC]);
    expect(round.callOptions).toEqual([{ node: "pve1" }, { node: "pve1" }]);
  });

  test("pressure outside 0 to 100, and what is no number, gives no sample and is counted", async () => {
    expect(await fromAnswers(pveFixture("pressure/out-of-range"))).toEqual({
      series: series("pve_vm", "qemu/100", { io_full: 1 }),
      leftOut: { invalid: 3 },
      lost: {},
    });
  });

  test.each([
    [-1],
    ["100 "],
    [99],
    [1_000_000_000],
    [100.5],
    [null],
    [[100]],
    ["0x64"],
    ["../../access"],
    [Number.POSITIVE_INFINITY],
  ])("a guest of the vmid %p is dropped", async (vmid) => {
    expect(await fromAnswers([{ vmid, status: "running", pressurecpusome: 1 }])).toEqual({
      series: {},
      leftOut: {},
      lost: { invalid: 1 },
    });
  });

  test("of a guest that is there twice the first is taken", async () => {
    const rows = [
      { vmid: 100, status: "running", pressurecpusome: 1 },
      { vmid: "100", status: "running", pressurecpusome: 2, pressurecpufull: 2 },
    ];
    expect(await fromAnswers(rows)).toEqual({
      series: series("pve_vm", "qemu/100", { cpu_some: 0.01 }),
      leftOut: { duplicate: 1 },
      lost: {},
    });
  });

  test("rows that are no objects are dropped", async () => {
    const { series, lost } = await fromAnswers(pveFixture("hostile/rows-of-no-kind"));
    expect({ series, lost }).toEqual({ series: {}, lost: { invalid: 5 } });
  });

  test("where the VMs cannot be had the containers are told all the same", async () => {
    const { series, lost } = await fromAnswers(failure("forbidden"), pveFixture("pressure/lxc"));
    expect(Object.keys(series)).toHaveLength(6);
    expect(lost).toEqual({ forbidden: 1 });
  });
});
