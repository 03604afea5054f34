import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as answers from "../../src/demo/nvme-answers.ts";
import { type Change, parseRecording, recordPage, replayPage } from "../../src/demo/nvme-recording.ts";

/** Through the file, as a simulated device shows it. */
function replay(recorded: Uint8Array, seconds = 0, changes: Change[] = []): Uint8Array {
  const answer = answers.shows(answers.SMART, recorded, changes);
  const [parsed] = parseRecording(JSON.stringify({ dev: "245:0", answers: [answer] })).answers;
  if (parsed?.reply.kind !== "page") throw new Error("the page is gone");
  const page = new Uint8Array(recorded.length).fill(0xaa);
  replayPage(parsed.reply.page, seconds, page);
  return page;
}

describe("a recorded page", () => {
  test("is replayed byte for byte, whatever it holds", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 512 }),
        fc.array(fc.nat(40), { maxLength: 20 }),
        (bytes, gaps) => {
          // Long runs of zeros, as pages have them, between the random bytes.
          const page = new Uint8Array(4096);
          let at = 0;
          for (const [i, byte] of bytes.entries()) {
            at += 1 + (gaps[i % Math.max(1, gaps.length)] ?? 0);
            if (at < page.length) page[at] = byte;
          }
          expect(replay(page)).toEqual(page);
        },
      ),
    );
  });

  test("holds nothing of a page of zeros but its length", () => {
    expect(recordPage(new Uint8Array(512))).toEqual({ length: 512, stretches: [] });
    expect(replay(new Uint8Array(512))).toEqual(new Uint8Array(512));
  });
});

describe("a number on a replayed page", () => {
  const at = (seconds: number, change: Change, base = new Uint8Array(64)): bigint => {
    return new DataView(replay(base, seconds, [change]).buffer).getBigUint64(change.at, true);
  };
  const pulse = { everySeconds: 60, forSeconds: 20, afterSeconds: 10 };

  test("grows with time", () => {
    const change: Change = { kind: "grows", at: 8, bytes: 8, perSecond: 2.5 };
    expect([0, 1, 2, 1000].map((seconds) => at(seconds, change))).toEqual([0n, 2n, 5n, 2500n]);
  });

  test("grows during its pulses only", () => {
    const change: Change = { kind: "grows", at: 8, bytes: 8, perSecond: 1, pulse };
    expect([0, 10, 15, 30, 69, 75, 600].map((seconds) => at(seconds, change))).toEqual([
      0n,
      0n,
      5n,
      20n,
      20n,
      25n,
      200n,
    ]);
  });

  test("starts again at 0 when it no longer fits", () => {
    const base = new Uint8Array(64);
    base.fill(0xff, 8, 12);
    expect(at(3, { kind: "grows", at: 8, bytes: 4, perSecond: 1 }, base)).toBe(2n);
  });

  test("swings between its value and so much more", () => {
    const change: Change = { kind: "swings", at: 8, bytes: 2, by: 24, everySeconds: 90 };
    expect([0, 45, 90].map((seconds) => at(seconds, change))).toEqual([0n, 24n, 0n]);
  });

  test("is higher during a pulse", () => {
    const change: Change = { kind: "steps", at: 8, bytes: 8, by: 37, pulse };
    expect([0, 10, 29, 30, 70].map((seconds) => at(seconds, change))).toEqual([0n, 37n, 37n, 0n, 37n]);
  });
});

describe("a recording that is wrong", () => {
  test.each([
    ["not JSON", "{", "JSON"],
    ["without a device", '{"answers":[]}', 'Invalid key: Expected "dev"'],
    ["with a device that is no major:minor", '{"dev":"nvme0","answers":[]}', "dev: must be major:minor"],
    ["with a key that is unknown", '{"dev":"1:2","answers":[],"answer":1}', "answer"],
    [
      "with an opcode that writes",
      '{"dev":"1:2","answers":[{"opcode":"format","page":1,"reply":{"kind":"status","status":1}}]}',
      "answers.0.opcode",
    ],
    [
      "with odd digits",
      '{"dev":"1:2","answers":[{"opcode":"identify","page":1,"reply":{"kind":"page","page":{"length":8,"stretches":[{"at":0,"bytes":"abc"}]}}}]}',
      "answers.0.reply.page.stretches.0.bytes: must be pairs",
    ],
    [
      "with more bytes than the page has",
      '{"dev":"1:2","answers":[{"opcode":"identify","page":1,"reply":{"kind":"page","page":{"length":8,"stretches":[{"at":7,"bytes":"abcd"}]}}}]}',
      "answers.0.reply.page: has a stretch or a change beyond its length",
    ],
  ])("%s is refused with a sentence that says where", (_what, text, message) => {
    expect(() => parseRecording(text)).toThrow(message);
  });
});
