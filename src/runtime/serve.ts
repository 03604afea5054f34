/** What serving HTTP means in both runtimes: the types that `bun.ts` and `deno.ts` share. */

export type Handle = (request: Request) => Promise<Response>;

export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface Limits {
  /** A connection on which nothing moves for so long is closed. */
  readonly idleTimeoutS: number;
}

export interface Listening {
  /** Where it really listens: with port 0 the one that the kernel chose. */
  readonly address: ListenAddress;
  /** Stops accepting, lets running requests end for at most `graceMs`, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

export type ServePlain = (address: ListenAddress, handle: Handle, limits: Limits) => Promise<Listening>;

/** `0.0.0.0:9847`, `[::]:9847`, `unix:///run/plumbline.sock`. */
export function printableAddress(address: ListenAddress): string {
  if (address.kind === "unix") return `unix://${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
