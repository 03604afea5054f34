import { expect, test } from "bun:test";
import { readJson } from "../../src/rest/json.ts";

const LIMIT = 16_000;
const read = (text: string) => readJson(new Response(text), "https://service", LIMIT, []);

test("an answer of more tiny values than fit into memory well is too large", async () => {
  const list = (length: number) => JSON.stringify(Array(length).fill({}));
  expect(await read(list(1001))).toHaveLength(1001);
  await expect(read(list(1002))).rejects.toEqual(
    expect.objectContaining({
      reason: "too_large",
      message: "the answer of https://service has too many values",
    }),
  );
});
