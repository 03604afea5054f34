/** Calls to the API of Proxmox VE at one endpoint: who asks, what of an answer counts, and why one gave nothing. */
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { PveEndpoint } from "./endpoint.ts";

export interface CallLimits {
  /** The caller's: whoever aborts it is answered with its reason, and nothing has failed. */
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. Covers connecting, TLS, headers and body. */
  readonly deadline: number;
  /** Of the body, unpacked. */
  readonly maxBytes: number;
}

/** A request that has ended, however it did. */
export interface SentRequest {
  readonly method: "GET" | "POST";
  /** With its query. */
  readonly url: string;
  readonly seconds: number;
  readonly result: string;
}

export class PveClient {
  constructor(endpoint: PveEndpoint, own: OwnMetrics, log: Log, observe?: (request: SentRequest) => void) {
    void [endpoint, own, log, observe];
  }

  /**
   * `data` of what is answered to a GET. `path` begins with a slash, below /api2/json, and may have a query. Rejects with
   * PveFailure, or with the signal's reason where the caller aborted.
   */
  get(path: string, limits: CallLimits): Promise<unknown> {
    void [path, limits];
    throw new Error("not yet");
  }

  /** What the last answer's `Date` said, in Unix ms; it has whole seconds. */
  get serverDate(): number | undefined {
    return undefined;
  }

  /** Closes idle connections. */
  close(): void {}
}
