/**
 * A Mayastor REST service that is simulated: real HTTP or HTTPS in front of a cluster that is a function. It answers
 * as the API description says, in another order each time, and goes wrong in whichever way it is told.
 */
import type { Cluster } from "./mayastor-cluster.ts";

export type Fault =
  /** An error of the service, or (`html`) of a proxy in front of it. */
  | { readonly kind: "status"; readonly status: number; readonly word?: string; readonly html?: boolean }
  /** The 401 that repeats the token which it refuses. */
  | { readonly kind: "echo_token" }
  /** No header ever. */
  | { readonly kind: "hang" }
  /** Headers and half of the body, then nothing. */
  | { readonly kind: "hang_in_body" }
  /** The right answer, late. */
  | { readonly kind: "slow"; readonly ms: number }
  /** The connection ends in the middle of the body. */
  | { readonly kind: "truncated" }
  /** A body that never ends, as fast as it is read. */
  | { readonly kind: "endless" }
  | { readonly kind: "redirect"; readonly to: string }
  | { readonly kind: "not_json" }
  /** The connection is reset before any header. */
  | { readonly kind: "reset" };

export interface MayastorRestOptions {
  /** What a request has to show; without it anybody is answered. */
  readonly token?: string;
  /** Texts in PEM; with `clientCa` a client has to show a certificate of it. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa?: string };
  /** In [0, 1): from it comes the order of lists. */
  readonly random?: () => number;
  /** What goes wrong with a request for this path, query included. */
  readonly fault?: (path: string) => Fault | undefined;
  readonly host?: string;
  readonly port?: number;
}

export interface SeenRequest {
  /** With its query. */
  readonly path: string;
  readonly authorized: boolean;
}

export class MayastorRest {
  readonly requests: readonly SeenRequest[] = [];

  constructor(_cluster: () => Cluster, _options: MayastorRestOptions = {}) {}

  /** Answers the base address, `http(s)://127.0.0.1:port`. Rejects with the system's error where it cannot listen. */
  start(): Promise<string> {
    return Promise.reject(new Error("not built yet"));
  }

  async stop(): Promise<void> {}
}
