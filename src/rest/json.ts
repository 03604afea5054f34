/** What the JSON of an answer says, as long as it holds nothing that it was asked with. */
import { dropBody, readBody, TooLarge, UnknownEncoding } from "./body.ts";
import { RestFailure } from "./failure.ts";
import { within } from "./within.ts";

/** `secrets`: what was sent. Rejects with RestFailure `too_large` or `bad_body`, in words that hold nothing of it. */
export async function readJson(
  response: Response,
  where: string,
  maxBytes: number,
  secrets: readonly string[],
): Promise<unknown> {
  const body = await bodyOf(response, where, maxBytes);
  const { status } = response;
  const mostValues = maxBytes / LEAST_BYTES_PER_VALUE;
  if (body.length > mostValues && valuesIn(body) > mostValues)
    throw new RestFailure("too_large", `the answer of ${where} has too many values`, { status });
  return parse(body, where, status, secrets);
}

/**
 * An answer near its limit has more than 20 bytes a value. Millions of tiny ones take many times their bytes in memory,
 * and seconds in which nothing else goes on: 64 MiB of `{},` are 1.8 GiB and 2 s.
 */
const LEAST_BYTES_PER_VALUE = 16;

/** About: commas in texts count as well. */
function valuesIn(json: Uint8Array): number {
  let commas = 0;
  for (let at = 0; at < json.length; at++) if (json[at] === COMMA) commas++;
  return commas;
}

const COMMA = 0x2c;

async function bodyOf(response: Response, where: string, maxBytes: number): Promise<Uint8Array> {
  const { status } = response;
  try {
    return await readBody(response, maxBytes);
  } catch (error) {
    if (error instanceof TooLarge)
      throw new RestFailure("too_large", `the answer of ${where} is larger than ${maxBytes} bytes`, {
        status,
      });
    const why =
      error instanceof UnknownEncoding
        ? "is packed in a way that nobody asked for"
        : "was cut off or damaged";
    throw new RestFailure("bad_body", `the answer of ${where} ${why}`, { status });
  }
}

/** The error of JSON.parse is dropped: it quotes what it could not read. */
function parse(body: Uint8Array, where: string, status: number, secrets: readonly string[]): unknown {
  let json: unknown;
  let givesSecretBack: boolean;
  try {
    const plain = textOf(body);
    json = JSON.parse(plain);
    givesSecretBack = holdsAny(plain, json, secrets);
  } catch {
    throw new RestFailure("bad_body", `the answer of ${where} is not JSON`, { status });
  }
  if (givesSecretBack)
    throw new RestFailure("bad_body", `the answer of ${where} holds what it was asked with`, { status });
  return json;
}

/** Whatever is shorter may be a word of any answer. */
const LEAST_SECRET_LENGTH = 16;

/** Texts of an answer become labels, which everybody reads. JSON may write any letter as `\u0061`, and / as `\/`. */
function holdsAny(plain: string, json: unknown, secrets: readonly string[]): boolean {
  const long = secrets.filter(({ length }) => length >= LEAST_SECRET_LENGTH);
  if (long.length === 0) return false;
  const isHeldBy = (text: string) => long.some((secret) => text.includes(secret));
  return isHeldBy(plain) || (/\\[u/]/.test(plain) && isHeldBy(JSON.stringify(json)));
}

const MAX_ERROR_BYTES = 64 * 1024;
/** For a word in the body of an error answer, which is nothing to wait for. */
const ERROR_BODY_MS = 1000;

/** Undefined for whatever is no JSON, is large, or does not come soon. */
export async function readErrorJson(
  response: Response,
  { signal, deadline }: { readonly signal: AbortSignal; readonly deadline: number },
): Promise<unknown> {
  try {
    return await within(
      { signal, deadline: Math.min(deadline, performance.now() + ERROR_BODY_MS) },
      async () => JSON.parse(textOf(await readBody(response, MAX_ERROR_BYTES))),
      () => new Error("late"),
    );
  } catch {
    return undefined;
  } finally {
    void dropBody(response);
  }
}

const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
