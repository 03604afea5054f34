import { describe, expect, test } from "bun:test";
import { Schedule, type Turn } from "../../src/pve/schedule.ts";

/** Calls that last until the test ends them. */
class Calls {
  readonly schedule = new Schedule();
  /** In the order in which they went out. */
  readonly begun: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  add(name: string, node?: string, more: Partial<Turn> = {}): Promise<void> {
    const end = Promise.withResolvers<void>();
    this.#ends.set(name, end);
    return this.schedule.run({ node, signal: new AbortController().signal, ...more }, () => {
      this.begun.push(name);
      return end.promise;
    });
  }

  async end(...names: readonly string[]): Promise<void> {
    for (const name of names) this.#ends.get(name)?.resolve();
    await settled();
  }

  fail(name: string): void {
    this.#ends.get(name)?.reject(new Error("failed"));
  }

  /** What went out since this was asked last. */
  async news(): Promise<string[]> {
    await settled();
    return this.begun.splice(0);
  }

  answering(...nodes: readonly string[]): this {
    for (const node of nodes) this.schedule.heard(node, "answer");
    return this;
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

function addAll(calls: Calls, ...list: readonly (readonly [name: string, node?: string])[]): void {
  for (const [name, node] of list) void calls.add(name, node);
}

describe("calls to a target", () => {
  test("are four at a time at most, and the next goes out when one has ended", async () => {
    const calls = new Calls();
    addAll(calls, ["1"], ["2"], ["3"], ["4"], ["5"], ["6"]);
    expect(await calls.news()).toEqual(["1", "2", "3", "4"]);
    await calls.end("3");
    expect(await calls.news()).toEqual(["5"]);
  });

  test("give their place to the next also where they fail", async () => {
    const calls = new Calls();
    const failing = calls.add("1");
    addAll(calls, ["2"], ["3"], ["4"], ["5"]);
    await calls.news();
    calls.fail("1");
    await expect(failing).rejects.toThrow("failed");
    expect(await calls.news()).toEqual(["5"]);
  });

  test("are two to one node at most", async () => {
    const calls = new Calls().answering("a", "b");
    addAll(calls, ["a1", "a"], ["a2", "a"], ["a3", "a"], ["b1", "b"]);
    expect(await calls.news()).toEqual(["a1", "a2", "b1"]);
    await calls.end("a2");
    expect(await calls.news()).toEqual(["a3"]);
  });

  test("about the cluster go before those to nodes", async () => {
    const calls = new Calls().answering("a");
    addAll(calls, ["1"], ["2"], ["3"], ["4"], ["a1", "a"], ["5"]);
    await calls.news();
    await calls.end("1", "2");
    expect(await calls.news()).toEqual(["5", "a1"]);
  });

  test("go to the nodes in turn, however many one of them gets", async () => {
    const calls = new Calls().answering("a", "b", "c");
    addAll(calls, ["1"], ["2"], ["3"], ["4"]);
    addAll(calls, ["a1", "a"], ["a2", "a"], ["a3", "a"], ["b1", "b"], ["b2", "b"], ["c1", "c"]);
    await calls.news();
    await calls.end("1", "2", "3", "4");
    expect(await calls.news()).toEqual(["a1", "b1", "c1", "a2"]);
  });

  test("that others wait for go before the other calls to nodes", async () => {
    const calls = new Calls().answering("a", "b");
    addAll(calls, ["1"], ["2"], ["3"], ["4"], ["a1", "a"]);
    void calls.add("b1", "b", { isFirst: true });
    await calls.news();
    await calls.end("1");
    expect(await calls.news()).toEqual(["b1"]);
  });

  test("that last go when nobody else waits", async () => {
    const calls = new Calls().answering("a");
    addAll(calls, ["1"], ["2"], ["3"], ["4"]);
    void calls.add("slow", "a", { isLasting: true });
    addAll(calls, ["a1", "a"]);
    await calls.news();
    await calls.end("1");
    expect(await calls.news()).toEqual(["a1"]);
    await calls.end("2");
    expect(await calls.news()).toEqual(["slow"]);
  });

  test("do not go out any more once they are aborted", async () => {
    const calls = new Calls();
    const abort = new AbortController();
    addAll(calls, ["1"], ["2"], ["3"], ["4"]);
    const given = calls.add("5", undefined, { signal: abort.signal });
    abort.abort(new Error("given up"));
    await expect(given).rejects.toThrow("given up");
    await expect(calls.add("6", undefined, { signal: abort.signal })).rejects.toThrow("given up");
    await calls.end("1", "2");
    expect(await calls.news()).toEqual(["1", "2", "3", "4"]);
  });
});

describe("a node that nothing was heard of", () => {
  test("is asked one thing, and two as soon as it has answered", async () => {
    const calls = new Calls();
    addAll(calls, ["a1", "a"], ["a2", "a"], ["a3", "a"]);
    expect(await calls.news()).toEqual(["a1"]);
    calls.answering("a");
    await calls.end("a1");
    expect(await calls.news()).toEqual(["a2", "a3"]);
  });

  test("is asked one thing again once it did not answer", async () => {
    const calls = new Calls().answering("a");
    calls.schedule.heard("a", "nothing");
    addAll(calls, ["a1", "a"], ["a2", "a"]);
    expect(await calls.news()).toEqual(["a1"]);
  });

  test("leaves with its like a call for those that answer", async () => {
    const calls = new Calls().answering("z");
    addAll(calls, ["a1", "a"], ["b1", "b"], ["c1", "c"], ["d1", "d"], ["z1", "z"], ["z2", "z"]);
    expect(await calls.news()).toEqual(["a1", "b1", "c1", "z1"]);
    await calls.end("z1");
    expect(await calls.news()).toEqual(["z2"]);
  });

  test("is not asked less because of a call to it that lasts", async () => {
    const calls = new Calls();
    void calls.add("slow", "a", { isLasting: true });
    addAll(calls, ["a1", "a"], ["a2", "a"]);
    expect(await calls.news()).toEqual(["slow", "a1"]);
  });
});
