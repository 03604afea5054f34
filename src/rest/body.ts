/** The body of an answer, counted unpacked while it comes, so that no answer takes more memory than it may. */

export class TooLarge extends Error {
  override readonly name = "TooLarge";
}

/** Packed in a way that nobody knows here. */
export class UnknownEncoding extends Error {
  override readonly name = "UnknownEncoding";
}

/**
 * Rejects with TooLarge, with UnknownEncoding, or with what the body ended with where it was cut off. Whatever happens,
 * nothing more is read of it.
 */
export async function readBody(response: Response, maxBytes: number): Promise<Uint8Array> {
  const body = unpackedBody(response);
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concat(chunks, length);
      length += value.byteLength;
      if (length > maxBytes) throw new TooLarge();
      chunks.push(value);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Gives up a body that nobody wants to read. */
export const dropBody = (response: Response): Promise<void> | undefined =>
  response.body?.cancel().catch(() => {});

/**
 * A packed answer was not asked for; some proxy may send one all the same. Throws UnknownEncoding, having given up the
 * body.
 */
export function unpackedBody(response: Response): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const encoding = (response.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  switch (encoding) {
    case "":
    case "identity":
      return response.body;
    case "gzip":
    case "x-gzip":
      return unpacked(response, "gzip");
    case "deflate":
      return unpacked(response, "deflate");
    default:
      void dropBody(response);
      throw new UnknownEncoding();
  }
}

/** Deno unpacks what it gets as a whole; deflate makes a thousand bytes of one at most. */
const PIECE_BYTES = 4096;

function unpacked(
  { body }: Response,
  format: CompressionFormat,
): ReadableStream<Uint8Array<ArrayBuffer>> | null {
  const pieces = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES)
        controller.enqueue(chunk.subarray(at, at + PIECE_BYTES));
    },
  });
  return body?.pipeThrough(pieces).pipeThrough(new DecompressionStream(format)) ?? null;
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
