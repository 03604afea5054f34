import { describe, expect, test } from "bun:test";
import { gauge } from "../../src/metrics/descriptor.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import {
  addNumber,
  booleanOf,
  guestIdOf,
  labelOf,
  nodeNameOf,
  numberOf,
  rowOf,
  rowsOf,
  textOf,
  vmidOf,
} from "../../src/pve/values.ts";
import { FakeReport } from "../support/pve-round.ts";

describe("a number", () => {
  test.each([
    [0, 0],
    [-5.75e-5, -5.75e-5],
    ["0.46", 0.46],
    ["-12", -12],
    ["1774000000", 1774000000],
    ["1e3", 1000],
    [true, 1],
    [false, 0],
  ])("%p is %p", (value, number) => {
    expect(numberOf(value)).toBe(number);
  });

  test.each([[undefined], [null], [""]])("%p says nothing", (value) => {
    expect(numberOf(value)).toBeUndefined();
  });

  test.each([
    ["NaN"],
    ["Infinity"],
    ["0x10"],
    [" 5 "],
    ["5\n"],
    ["1e400"],
    ["1_000"],
    ["12abc"],
    ["."],
    ["N/A"],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [{}],
    [[1]],
  ])("%p is invalid", (value) => {
    expect(numberOf(value)).toBe("invalid");
  });
});

test.each([
  [1, true],
  ["1", true],
  [true, true],
  [0, false],
  ["0", false],
  ["", false],
  [false, false],
  [undefined, undefined],
  [null, undefined],
  [2, undefined],
  ["yes", undefined],
  [{}, undefined],
])("the boolean of %p is %p", (value, boolean) => {
  expect(booleanOf(value)).toBe(boolean);
});

describe("a text", () => {
  test.each([
    ["prod;web", "prod;web"],
    [9, "9"],
    [true, "1"],
    [false, "0"],
    [undefined, ""],
    [null, ""],
    ["lone\ud800surrogate", "lone\ufffdsurrogate"],
  ])("%p is %p", (value, text) => {
    expect(textOf(value)).toEqual({ text, wasCut: false });
  });

  test("is cut behind 1,024 characters, and not within a character", () => {
    expect(textOf("x".repeat(1024))).toEqual({ text: "x".repeat(1024), wasCut: false });
    expect(textOf("x".repeat(1025))).toEqual({ text: "x".repeat(1024), wasCut: true });
    expect(textOf(`${"x".repeat(1023)}😀`)).toEqual({ text: "x".repeat(1023), wasCut: true });
  });

  test.each([[{ a: 1 }], [["a"]]])("nothing of %p can be shown", (value) => {
    expect(textOf(value)).toEqual({ text: "", wasCut: true });
  });

  test("is counted as invalid where it was cut", () => {
    const report = new FakeReport();
    expect(labelOf(report, "short")).toBe("short");
    expect(labelOf(report, "x".repeat(2000))).toHaveLength(1024);
    expect([...report.leftOut]).toEqual([["invalid", 1]]);
  });
});

test.each([
  [100, 100],
  ["100", 100],
  [999_999_999, 999_999_999],
  [99, undefined],
  [1_000_000_000, undefined],
  [100.5, undefined],
  ["100 ", undefined],
  ["1e3", undefined],
  ["0x64", undefined],
  [-1, undefined],
  [Number.POSITIVE_INFINITY, undefined],
  [true, undefined],
  [null, undefined],
])("the vmid of %p is %p", (value, vmid) => {
  expect(vmidOf(value)).toBe(vmid);
});

test.each([
  ["pve1", "pve1"],
  ["a".repeat(63), "a".repeat(63)],
  ["a".repeat(64), undefined],
  ["../../access", undefined],
  ["pve/1", undefined],
  ["pve%2e%2e", undefined],
  ["pve1\n", undefined],
  ["", undefined],
  [1, undefined],
])("as the name of a node %p is %p", (value, name) => {
  expect(nodeNameOf(value)).toBe(name);
});

test("a guest's id needs a type and a VMID", () => {
  expect(guestIdOf("qemu", "100")).toBe("qemu/100");
  expect(guestIdOf("lxc", 102)).toBe("lxc/102");
  expect(guestIdOf("openvz", 102)).toBeUndefined();
  expect(guestIdOf("qemu", "../1")).toBeUndefined();
});

describe("rows", () => {
  test("that are no objects are lost, and the others kept", () => {
    const report = new FakeReport();
    expect(rowsOf([null, 7, [], "text", true, { a: 1 }], "/x", report)).toEqual([{ a: 1 }]);
    expect([...report.lost]).toEqual([["invalid", 5]]);
  });

  test.each([["text"], [null], [{}], [undefined]])("%p is no list of them", (data) => {
    expect(() => rowsOf(data, "/x", new FakeReport())).toThrow(
      new PveFailure("invalid", "/x", "the answer of /x is no list"),
    );
  });

  test.each([["text"], [null], [[]], [undefined]])("%p is none", (data) => {
    expect(() => rowOf(data, "/x")).toThrow(new PveFailure("invalid", "/x", "the answer of /x is no object"));
  });
});

test("a sample is added for a number alone, and what is no number is counted", () => {
  const family = gauge("x", "X", ["cluster", "id"]);
  const report = new FakeReport();
  for (const value of ["1.5", null, "", "N/A", undefined]) addNumber(report, family, { id: "a" }, value);
  expect(report.samples.families.get(family)?.values).toEqual([1.5]);
  expect([...report.leftOut]).toEqual([["invalid", 1]]);
  expect(report.lost.size).toBe(0);
});
