/** Waiting before the next attempt. */
import { describe, expect, test } from "bun:test";
import { Backoff, pause } from "../../../src/kubernetes/client/backoff.ts";

const times = (backoff: Backoff, count: number) => Array.from({ length: count }, () => backoff.nextMs());

describe("the time before the next attempt", () => {
  test("doubles from half a second to half a minute, and begins anew after a success", () => {
    const backoff = new Backoff({ random: () => 1 });
    expect(times(backoff, 9)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    backoff.reset();
    expect(backoff.nextMs()).toBe(500);
  });

  test("is another one for each who waits, and half as long at least", () => {
    expect(times(new Backoff({ random: () => 0 }), 3)).toEqual([250, 500, 1000]);
    expect(new Set(Array.from({ length: 50 }, () => new Backoff().nextMs())).size).toBeGreaterThan(10);
  });

  test("is as long as the server says, and no shorter", () => {
    const backoff = new Backoff({ random: () => 0.5 });
    expect(backoff.nextMs(10_000)).toBe(10_500);
    expect(backoff.nextMs(10)).toBe(750);
  });

  test("is over at once when nobody wants the attempt any more", async () => {
    const end = new AbortController();
    const waiting = pause(3_600_000, end.signal);
    end.abort();
    await waiting;
    await pause(3_600_000, end.signal);
  });
});
