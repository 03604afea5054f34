/** GET requests for JSON to one REST service: within a limit of time and size, with the credentials that files hold now. */
import { RestFailure } from "./failure.ts";

export interface RestTarget {
  /** `https://host:port/v0`, no slash at the end. */
  readonly base: string;
  readonly tokenFile: string | undefined;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly insecureSkipVerify: boolean;
  /** The service's own word for an error, if the body of an error answer holds a known one. */
  readonly errorKindOf?: (body: unknown) => string | undefined;
}

export interface Limits {
  /** The caller's: whoever aborts it is answered with its reason, and nothing has failed. */
  readonly signal: AbortSignal;
  /** On the clock of `performance.now()`. Covers connecting, TLS, headers and body. */
  readonly deadline: number;
  /** Of the body, unpacked. */
  readonly maxBytes: number;
}

export class RestClient {
  readonly #target: RestTarget;

  constructor(target: RestTarget) {
    this.#target = target;
  }

  /** `path` begins with a slash and may have a query. Rejects with RestFailure alone, or with the signal's reason. */
  getJson(path: string, limits: Limits): Promise<unknown> {
    return Promise.reject(new RestFailure("connect", `${this.#target.base}${path} ${limits.deadline}`));
  }

  /** Closes idle connections. */
  close(): void {}
}
