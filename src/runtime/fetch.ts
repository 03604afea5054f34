/** What a request over TLS is made with, in both runtimes. */

/** PEM texts. */
export interface ClientTls {
  /** Trusted instead of the system's certificate authorities. */
  readonly ca?: string;
  /** Shown to the server; both or neither. */
  readonly cert?: string;
  readonly key?: string;
  readonly insecureSkipVerify?: boolean;
}

/** Rejects with an error that has a `code`, or with the signal's reason. */
export type Fetch = (request: Request) => Promise<Response>;
