/** Bodies that are counted while they come. */
import { describe, expect, test } from "bun:test";
import { constants, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { readBody, TooLarge, UnknownEncoding } from "../../src/rest/body.ts";

interface Source {
  readonly response: Response;
  readonly taken: number;
  readonly isGivenUp: boolean;
}

/** A body of `chunk` over and over, without end. */
function endless(first: Uint8Array, chunk: Uint8Array, headers: Record<string, string> = {}): Source {
  let taken = 0;
  let isGivenUp = false;
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(first),
      pull(controller) {
        taken++;
        controller.enqueue(chunk.slice());
      },
      cancel() {
        isGivenUp = true;
      },
    },
    { highWaterMark: 0 },
  );
  return {
    response: new Response(body, { headers }),
    get taken() {
      return taken;
    },
    get isGivenUp() {
      return isGivenUp;
    },
  };
}

const MIB = 1 << 20;

describe("a body", () => {
  test("is all of its chunks", async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of ["a", "", "bc"]) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    });
    expect(await readBody(new Response(body), 3)).toEqual(new TextEncoder().encode("abc"));
  });

  test("that never ends is given up one chunk beyond the limit", async () => {
    const source = endless(new Uint8Array(), new Uint8Array(1000));
    await expect(readBody(source.response, 10_000)).rejects.toBeInstanceOf(TooLarge);
    expect(source).toMatchObject({ taken: 11, isGivenUp: true });
  });

  test("that unpacks to a thousand times its size takes no more memory than the limit", async () => {
    // A gzip header without name and time, and blocks none of which is the last one.
    const header = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3);
    const block = deflateRawSync(Buffer.alloc(MIB), { finishFlush: constants.Z_FULL_FLUSH });
    const source = endless(header, block, { "content-encoding": "gzip" });
    await expect(readBody(source.response, 16 * MIB)).rejects.toBeInstanceOf(TooLarge);
    expect(source.taken).toBeLessThan(24);
    expect(source.isGivenUp).toBe(true);
  });

  test.each([
    ["gzip", gzipSync("abc")],
    ["X-GZIP", gzipSync("abc")],
    ["deflate", deflateSync("abc")],
  ])("packed with %s is unpacked", async (encoding, packed) => {
    const response = new Response(packed, { headers: { "content-encoding": encoding } });
    expect(new TextDecoder().decode(await readBody(response, 3))).toBe("abc");
  });

  test.each(["br", "zstd", "gzip, gzip"])("packed with %s is not looked at", async (encoding) => {
    const source = endless(new Uint8Array(), new Uint8Array(9), { "content-encoding": encoding });
    await expect(readBody(source.response, 99)).rejects.toBeInstanceOf(UnknownEncoding);
    expect(source).toMatchObject({ taken: 0, isGivenUp: true });
  });

  test("that breaks off rejects with what broke it", async () => {
    const broken = new Error("cut off");
    const body = new ReadableStream({ pull: (controller) => controller.error(broken) });
    await expect(readBody(new Response(body), 3)).rejects.toBe(broken);
  });

  test("may be missing", async () => {
    expect(await readBody(new Response(null, { status: 204 }), 3)).toHaveLength(0);
  });
});
