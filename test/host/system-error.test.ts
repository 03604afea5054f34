import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { codeOf, reasonOf } from "../../src/host/system-error.ts";

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

test("an error of the operating system is told in its own words, without call and path", () => {
  const error = thrownBy(() => readFileSync("/no/such/file"));
  expect(reasonOf(error)).toBe("no such file or directory");
  expect(codeOf(error)).toBe("ENOENT");
  expect(reasonOf(thrownBy(() => readFileSync("/")))).toContain("directory");
});

test("any other error is told by its message and has no code", () => {
  expect(reasonOf(new Error("odd: message, indeed"))).toBe("odd: message, indeed");
  expect(reasonOf("text")).toBe("text");
  expect(codeOf(new Error("odd"))).toBeUndefined();
  expect(codeOf({ code: 5 })).toBeUndefined();
  expect(codeOf(undefined)).toBeUndefined();
});
