/** What a request is sent with, in both runtimes. */

/** PEM texts. */
export interface ClientTls {
  /** Trusted instead of the runtime's own certificate authorities. */
  readonly ca?: string | undefined;
  /** Shown to a server that asks; both or neither. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly insecureSkipVerify?: boolean;
}

export interface Transport {
  /**
   * Follows no redirect, asks no proxy, unpacks nothing. Rejects with an error that has a `code`, or with the reason
   * of the request's signal; so does the body of the answer.
   */
  fetch(request: Request): Promise<Response>;
  /** Closes idle connections at once, and those in use when their answer has ended. */
  close(): void;
}
