import { describe, expect, test } from "bun:test";
import { forEach, forEachNode } from "../../src/pve/each.ts";
import { FakeReport, FakeRound, failure } from "../support/pve-round.ts";

describe("forEach", () => {
  test("one that fails is told, and the others are done", async () => {
    const report = new FakeReport();
    const done: number[] = [];
    await forEach([1, 2, 3], report, async (item) => {
      if (item === 2) throw failure("unreachable");
      done.push(item);
    });
    expect(done).toEqual([1, 3]);
    expect([...report.lost]).toEqual([["unreachable", 1]]);
  });

  test("none waits for another", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await forEach(["waits", "lets go"], new FakeReport(), async (item) => {
      if (item === "lets go") resolve();
      await promise;
    });
  });

  test("a bug is no failure of the API", async () => {
    const bug = new TypeError("not a function");
    await expect(forEach([1], new FakeReport(), () => Promise.reject(bug))).rejects.toBe(bug);
  });

  test("no node is asked where it is not known which there are", async () => {
    const round = new FakeRound({}, { nodes: failure("error") });
    const none = forEachNode(round, new FakeReport(), () => Promise.reject(new Error("was asked")));
    await expect(none).rejects.toMatchObject({ reason: "error" });
  });
});
