import { expect, test } from "bun:test";
import { nearest } from "../../src/config/nearest.ts";

const KNOWN = ["token", "token_file", "log", "web", "listen_addresses"];

test.each([
  ["tocken_file", "token_file"],
  ["tokne", "token"],
  ["lgo", "log"],
  ["listen_adresses", "listen_addresses"],
  ["listen_address", "listen_addresses"],
])("%s may mean %s", (word, meant) => {
  expect(nearest(word, KNOWN)).toBe(meant);
});

test.each(["", "zzz", "collector", "x".repeat(100_000)])("%.20s means nothing known", (word) => {
  expect(nearest(word, KNOWN)).toBeUndefined();
});
