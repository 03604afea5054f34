/** GET requests for JSON to one REST service: within a limit of time and size, with the credentials that files hold now. */
import { dropBody } from "./body.ts";
import { Connections } from "./connections.ts";
import { readToken, TlsCredentials } from "./credentials.ts";
import { type FailureReason, RestFailure, tooLate } from "./failure.ts";
import { readErrorJson, readJson } from "./json.ts";
import { within } from "./within.ts";

export interface RestTarget {
  /** `https://host:port/v0`, no slash at the end, no user and password. */
  readonly base: string;
  readonly tokenFile: string | undefined;
  /** PEM. */
  readonly caFile: string | undefined;
  /** PEM; both or neither. */
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly insecureSkipVerify: boolean;
  /** The service's own word for an error, if the body of an error answer holds a known one: nothing else of it is kept. */
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
  readonly #connections: Connections;

  constructor(target: RestTarget) {
    this.#target = target;
    const { caFile, certFile, keyFile, insecureSkipVerify } = target;
    const credentials = new TlsCredentials({ ca: caFile, cert: certFile, key: keyFile });
    this.#connections = new Connections(credentials, { insecureSkipVerify });
  }

  /**
   * `path` begins with a slash and may have a query. Rejects with RestFailure, or with the signal's reason where the
   * caller aborted.
   */
  async getJson(path: string, limits: Limits): Promise<unknown> {
    const url = new URL(this.#target.base + path);
    const where = url.origin + url.pathname;
    const limitMs = limits.deadline - performance.now();
    let hasBegun = false;
    return within(
      limits,
      async (signal) => {
        const { tokenFile } = this.#target;
        const token = tokenFile === undefined ? undefined : readToken(tokenFile);
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
        const response = await this.#connections.send({ url, where, headers, signal });
        hasBegun = true;
        if (!response.ok) throw await this.#refused(response, where, limits);
        return readJson(response, where, limits.maxBytes, token === undefined ? [] : [token]);
      },
      () => tooLate(where, limitMs, hasBegun),
    );
  }

  /** Closes idle connections. */
  close(): void {
    this.#connections.close();
  }

  async #refused(response: Response, where: string, limits: Limits): Promise<RestFailure> {
    const { status } = response;
    const reason = reasonOf(status);
    const hint = reason === "redirect" ? ", which is not followed" : "";
    const message = `${where} answered ${status}${hint}`;
    const kind = await this.#kindOf(response, limits);
    return new RestFailure(reason, message, kind === undefined ? { status } : { status, kind });
  }

  async #kindOf(response: Response, limits: Limits): Promise<string | undefined> {
    const { errorKindOf } = this.#target;
    if (errorKindOf === undefined) return void dropBody(response);
    try {
      return errorKindOf(await readErrorJson(response, limits));
    } catch {
      return undefined;
    }
  }
}

function reasonOf(status: number): FailureReason {
  if (status < 400) return "redirect";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404) return "not_found";
  return status < 500 ? "http_4xx" : "http_5xx";
}
