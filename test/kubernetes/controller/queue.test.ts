import { describe, expect, test } from "bun:test";
import { type Turn, WorkQueue } from "../../../src/kubernetes/controller/queue.ts";
import { eventually } from "../operating.ts";

const TIMING = { minIntervalMs: 20, firstBackoffMs: 40, maxBackoffMs: 160 };

/** Turns of each name, with the time between the end of one and the begin of the next. */
function recording(answer: (turn: number) => Turn = () => undefined, lastsMs = 5) {
  const turns: { name: string; begunAt: number; endedAt: number }[] = [];
  let running = 0;
  let mostAtOnce = 0;
  const queue = new WorkQueue(async (name) => {
    const begunAt = performance.now();
    mostAtOnce = Math.max(mostAtOnce, ++running);
    await Bun.sleep(lastsMs);
    running--;
    turns.push({ name, begunAt, endedAt: performance.now() });
    return answer(turns.length);
  }, TIMING);
  return { queue, turns, mostAtOnce: () => mostAtOnce };
}

describe("the queue", () => {
  test("makes one turn of a thousand changes that come before it begins", async () => {
    const { queue, turns } = recording();
    for (let change = 0; change < 1000; change++) queue.add("a");
    await eventually(() => turns.length === 1);
    await Bun.sleep(100);
    expect(turns).toHaveLength(1);
  });

  test("makes one more turn of all changes that come while one runs, and never two of one name at once", async () => {
    const { queue, turns, mostAtOnce } = recording(undefined, 50);
    queue.add("a");
    await Bun.sleep(20);
    for (let change = 0; change < 100; change++) queue.add("a");
    await eventually(() => turns.length === 2);
    await Bun.sleep(100);
    expect(turns).toHaveLength(2);
    expect(mostAtOnce()).toBe(1);
  });

  test("works on other names meanwhile", async () => {
    const { queue, turns, mostAtOnce } = recording(undefined, 50);
    queue.add("a");
    queue.add("b");
    await eventually(() => turns.length === 2);
    expect(mostAtOnce()).toBe(2);
  });

  test("leaves a pause between two turns of one name, however many changes come", async () => {
    const { queue, turns } = recording(undefined, 1);
    const until = performance.now() + 300;
    while (performance.now() < until) {
      queue.add("a");
      await Bun.sleep(1);
    }
    expect(turns.length).toBeLessThanOrEqual(16);
    for (const [index, { begunAt }] of turns.entries())
      expect(begunAt - (turns[index - 1]?.endedAt ?? -100)).toBeGreaterThanOrEqual(TIMING.minIntervalMs - 2);
  });

  test("waits ever longer after failures, whatever is added, and not any more after a success", async () => {
    const { queue, turns } = recording(
      (turn) => (turn < 5 ? { failed: true, retryAfterMs: undefined } : undefined),
      0,
    );
    const adding = setInterval(() => queue.add("a"), 1);
    await eventually(() => turns.length >= 7);
    clearInterval(adding);
    const pauses = turns.map(({ begunAt }, index) => begunAt - (turns[index - 1]?.endedAt ?? begunAt));
    expect(pauses[1]).toBeGreaterThanOrEqual(19);
    expect(pauses[3]).toBeGreaterThanOrEqual(79);
    expect(pauses[4]).toBeGreaterThanOrEqual(79);
    expect(pauses[6]).toBeLessThan(80);
    await queue.close();
  });

  test("waits as long as the server asks for", async () => {
    const { queue, turns } = recording(
      (turn) => (turn === 1 ? { failed: true, retryAfterMs: 300 } : undefined),
      0,
    );
    queue.add("a");
    await eventually(() => turns.length === 2);
    expect((turns[1]?.begunAt ?? 0) - (turns[0]?.endedAt ?? 0)).toBeGreaterThanOrEqual(299);
  });

  test("makes another turn after the time that a turn asks for, and the sooner of two", async () => {
    const { queue, turns } = recording((turn) => (turn === 1 ? { againMs: 10_000 } : undefined), 0);
    queue.add("a");
    await eventually(() => turns.length === 1);
    queue.add("a");
    await eventually(() => turns.length === 2);
    await queue.close();
  });

  test("makes the turn for what came while one ran, however late that one asks for the next", async () => {
    const { queue, turns } = recording((turn) => (turn === 1 ? { againMs: 10_000 } : undefined), 50);
    queue.add("a");
    await Bun.sleep(20);
    queue.add("a");
    await eventually(() => turns.length === 2);
    await queue.close();
  });

  test("begins nothing once it is closed, and waits for what runs", async () => {
    const { queue, turns } = recording(undefined, 50);
    queue.add("a");
    await Bun.sleep(20);
    queue.add("a");
    await queue.close();
    expect(turns).toHaveLength(1);
    queue.add("b");
    await Bun.sleep(50);
    expect(turns).toHaveLength(1);
  });
});
