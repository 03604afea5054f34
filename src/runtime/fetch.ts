/** What a request is sent with, in both runtimes. */

/** PEM texts. */
export interface ClientTls {
  /** Trusted instead of the runtime's own certificate authorities. */
  readonly ca?: string | undefined;
  /** Shown to a server that asks; both or neither. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly insecureSkipVerify?: boolean;
  /**
   * SHA-256 of the server's certificate in hex, which it has to have before anything is sent. Nothing else of the
   * certificate is verified then. Otherwise the error's code is `FINGERPRINT_MISMATCH`.
   */
  readonly fingerprint?: string | undefined;
  /** The name that the server's certificate has to have, where it is not the one in the URL. */
  readonly serverName?: string | undefined;
}

export const FINGERPRINT_MISMATCH = "ERR_TLS_FINGERPRINT";

export interface ClientOptions extends ClientTls {
  /**
   * Asked where the server closed the connection before an answer came: whether to send the request once more, on a new
   * connection. Default: where the connection had been kept, so that it may have been closed for being idle.
   */
  readonly sendsAgain?: (wasKept: boolean) => boolean;
}

export interface Transport {
  /**
   * Follows no redirect, asks no proxy, unpacks nothing. The answer's `statusText` is the server's, without characters
   * that control anything. Rejects with an error that has a `code`, or with the reason of the request's signal; so does
   * the body of the answer.
   */
  fetch(request: Request): Promise<Response>;
  /** Closes idle connections at once, and those in use when their answer has ended. */
  close(): void;
}
