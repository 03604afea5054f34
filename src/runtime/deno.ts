/** Deno's half of the seam. */
import { compare } from "bcryptjs";
import { serveNode } from "./node-http.ts";
import type { ServePlain } from "./serve.ts";

/** Deno.serve waits for the end of a request's head forever and answers 400 to one that is too long. */
export const servePlain: ServePlain = (address, handle) => serveNode(address, handle);

/** bcryptjs computes on the event loop, but gives it back every 100 ms. */
export function verifyBcrypt(password: string, hash: string): Promise<boolean> {
  return compare(password, hash);
}

/** V8 lends its collector to nobody, and gives memory back by itself. */
export const collectGarbage = (): void => {};
