/**
 * The one seam between Bun and Deno: `bun.ts` and `deno.ts` have the same exports, and only the one that belongs to
 * the running runtime is ever loaded.
 */
import type { ClientOptions, Transport } from "./fetch.ts";
import type { ServePlain, ServeTls } from "./serve.ts";

export type { ClientOptions, ClientTls, Transport } from "./fetch.ts";
export { FINGERPRINT_MISMATCH } from "./fetch.ts";
export type { Handle, ListenAddress, Listening, ServePlain, ServeTls, TlsGate } from "./serve.ts";
export { errorCode } from "./serve.ts";

export const name: "bun" | "deno" = "Deno" in globalThis ? "deno" : "bun";

/** The version of the runtime itself, "1.4.5". */
export const version: string = process.versions[name] ?? "unknown";

const ownRuntime = () => (name === "deno" ? import("./deno.ts") : import("./bun.ts"));

/** Serves plain HTTP on one address. Rejects with the error of the system call where the address cannot be had. */
export const servePlain: ServePlain = async (address, handle) =>
  (await ownRuntime()).servePlain(address, handle);

/**
 * Serves HTTPS on one address, always with node:tls in front of node:http: Bun.serve hides the client's certificate
 * and keeps an old server certificate in force, Deno.serve does neither client certificates nor renewal.
 */
export const serveTls: ServeTls = async (address, handle, gate) =>
  (await import("./node-http.ts")).serveNode(address, handle, gate);

/** Whether the password is that of the bcrypt hash ($2a$, $2b$, $2y$). */
export const verifyBcrypt = async (password: string, hash: string): Promise<boolean> =>
  (await ownRuntime()).verifyBcrypt(password, hash);

/** Compressed as `Content-Encoding: gzip` has it, at the level that costs least for what it saves. */
export const gzip = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  (await ownRuntime()).gzip(bytes);

/** A whole garbage collection, at once; where the runtime offers none to programs, nothing. */
export const collectGarbage = async (): Promise<void> => (await ownRuntime()).collectGarbage();

/** Sends requests and trusts as told. Loaded when it is first asked for: node:http costs 7 MB. */
export const fetchWith = async (options: ClientOptions): Promise<Transport> =>
  (await import("./node-fetch.ts")).nodeTransport(options);
