/**
 * The one seam between Bun and Deno: each of `bun.ts` and `deno.ts` implements the same exports, and only the one
 * that belongs to the running runtime is ever loaded.
 */
import type { ServePlain } from "./serve.ts";

export type { Handle, Listening, ListenAddress, ServePlain } from "./serve.ts";
export { printableAddress } from "./serve.ts";

export const name: "bun" | "deno" = "Deno" in globalThis ? "deno" : "bun";

/** The version of the runtime itself, "1.4.5". */
export const version: string = process.versions[name] ?? "unknown";

/** Serves plain HTTP on one address. Rejects with a `ListenError` where the address cannot be had. */
export const servePlain: ServePlain = async (address, handle, limits) => {
  const runtime = name === "deno" ? await import("./deno.ts") : await import("./bun.ts");
  return runtime.servePlain(address, handle, limits);
};
