/** Deno's half of the seam. */
import { promisify } from "node:util";
import zlib from "node:zlib";
import { compare } from "bcryptjs";
import { serveNode } from "./node-http.ts";
import { GZIP_LEVEL, type ServePlain } from "./serve.ts";

/** Deno.serve waits for the end of a request's head forever and answers 400 to one that is too long. */
export const servePlain: ServePlain = (address, handle) => serveNode(address, handle);

/** bcryptjs computes on the event loop, but gives it back every 100 ms. */
export function verifyBcrypt(password: string, hash: string): Promise<boolean> {
  return compare(password, hash);
}

const compress = promisify(zlib.gzip);

export const gzip = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await compress(bytes, { level: GZIP_LEVEL }));

/** V8 lends its collector to nobody, and gives memory back by itself. */
export const collectGarbage = (): void => {};
