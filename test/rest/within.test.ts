/** Work that ends, is late, or is given up. */
import { expect, test } from "bun:test";
import { within } from "../../src/rest/within.ts";

const late = () => new Error("late");
const never = () => new Promise<never>(() => {});
const soon = () => performance.now() + 20;
const farOff = () => performance.now() + 60_000;
const nobody = () => new AbortController().signal;

test("work that ends in time is the answer", async () => {
  expect(await within({ signal: nobody(), deadline: farOff() }, async () => "answer", late)).toBe("answer");
});

test("work that fails rejects as it does", async () => {
  const failing = () => Promise.reject(new Error("failed"));
  await expect(within({ signal: nobody(), deadline: farOff() }, failing, late)).rejects.toThrow("failed");
});

test("work that does not listen to its signal is not waited for", async () => {
  await expect(within({ signal: nobody(), deadline: soon() }, never, late)).rejects.toThrow("late");
});

test("work that is late is told so", async () => {
  let reason: unknown;
  const listening = (signal: AbortSignal) => {
    signal.addEventListener("abort", () => {
      reason = signal.reason;
    });
    return never();
  };
  await expect(within({ signal: nobody(), deadline: soon() }, listening, late)).rejects.toThrow("late");
  expect(reason).toEqual(new Error("late"));
});

test("what was begun for work that fails is told so", async () => {
  let begun = new AbortController().signal;
  const failing = async (signal: AbortSignal) => {
    begun = signal;
    throw new Error("failed");
  };
  await expect(within({ signal: nobody(), deadline: farOff() }, failing, late)).rejects.toThrow("failed");
  expect(begun.reason).toEqual(new Error("failed"));
});

test("work begins neither after the deadline nor after it was given up", async () => {
  let hasBegun = false;
  const begin = async () => {
    hasBegun = true;
  };
  const given = AbortSignal.abort(new Error("given up"));
  await expect(within({ signal: given, deadline: farOff() }, begin, late)).rejects.toThrow("given up");
  const past = performance.now() - 1;
  await expect(within({ signal: nobody(), deadline: past }, begin, late)).rejects.toThrow("late");
  expect(hasBegun).toBe(false);
});

test("a deadline beyond what a timer can wait is none", async () => {
  const deadline = Number.POSITIVE_INFINITY;
  expect(
    await within(
      { signal: nobody(), deadline },
      async () => {
        await Bun.sleep(5);
        return "answer";
      },
      late,
    ),
  ).toBe("answer");
});
