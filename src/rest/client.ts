/** GET requests for JSON to one REST service: within a limit of time and size, with the credentials that files hold now. */
import ky from "ky";
import { type ClientTls, fetchWith, type Transport } from "../runtime/index.ts";
import { dropBody, readBody, TooLarge, UnknownEncoding } from "./body.ts";
import { readToken, TlsCredentials } from "./credentials.ts";
import { type FailureReason, RestFailure } from "./failure.ts";
import { unanswered } from "./unanswered.ts";
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

interface Connection {
  readonly tls: ClientTls;
  readonly transport: Promise<Transport>;
}

const MAX_ERROR_BYTES = 64 * 1024;
/** For the word in the body of an error answer, which is nothing to wait for. */
const ERROR_BODY_MS = 1000;

export class RestClient {
  readonly #target: RestTarget;
  readonly #credentials: TlsCredentials;
  #connection: Connection | undefined;

  constructor(target: RestTarget) {
    this.#target = target;
    this.#credentials = new TlsCredentials(target);
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
        const response = await this.#get(url, where, token, signal);
        hasBegun = true;
        if (!response.ok) throw await this.#refused(response, where, limits);
        return parse(await bodyOf(response, where, limits.maxBytes), where, response.status, token);
      },
      () => new RestFailure("timeout", lateMessage(where, limitMs, hasBegun)),
    );
  }

  /** Closes idle connections. */
  close(): void {
    void this.#connection?.transport.then((transport) => transport.close());
    this.#connection = undefined;
  }

  async #get(url: URL, where: string, token: string | undefined, signal: AbortSignal): Promise<Response> {
    const { tls, transport } = this.#connect();
    const { fetch } = await transport;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const showsCertificate = url.protocol === "https:" && tls.cert !== undefined;
    return ky.get(url, {
      headers: { accept: "application/json", "accept-encoding": "identity", ...authorization },
      redirect: "manual",
      retry: 0,
      throwHttpErrors: false,
      timeout: false,
      signal,
      fetch: (input, init) =>
        fetch(new Request(input, init)).catch((error) => {
          throw unanswered(error, where, showsCertificate);
        }),
    });
  }

  /** Connections of other certificates than the files hold now are not used again. */
  #connect(): Connection {
    const tls = this.#credentials.read();
    if (this.#connection?.tls === tls) return this.#connection;
    this.close();
    const { insecureSkipVerify } = this.#target;
    this.#connection = { tls, transport: fetchWith({ ...tls, insecureSkipVerify }) };
    return this.#connection;
  }

  async #refused(response: Response, where: string, { signal, deadline }: Limits): Promise<RestFailure> {
    const { status } = response;
    const reason = reasonOf(status);
    const hint = reason === "redirect" ? ", which is not followed" : "";
    const message = `${where} answered ${status}${hint}`;
    const kind = await this.#kindOf(response, {
      signal,
      deadline: Math.min(deadline, performance.now() + ERROR_BODY_MS),
    });
    return new RestFailure(reason, message, kind === undefined ? { status } : { status, kind });
  }

  /** Undefined for whatever else the body may be, or may not come to be. */
  async #kindOf(
    response: Response,
    limits: { readonly signal: AbortSignal; readonly deadline: number },
  ): Promise<string | undefined> {
    const { errorKindOf } = this.#target;
    try {
      if (errorKindOf === undefined) return undefined;
      return await within(
        limits,
        async () => errorKindOf(JSON.parse(text(await readBody(response, MAX_ERROR_BYTES)))),
        () => new Error("late"),
      );
    } catch {
      return undefined;
    } finally {
      void dropBody(response);
    }
  }
}

function reasonOf(status: number): FailureReason {
  if (status < 400) return "redirect";
  if (status === 401 || status === 403) return "unauthorized";
  if (status === 404) return "not_found";
  return status < 500 ? "http_4xx" : "http_5xx";
}

async function bodyOf(response: Response, where: string, maxBytes: number): Promise<Uint8Array> {
  const { status } = response;
  try {
    return await readBody(response, maxBytes);
  } catch (error) {
    if (error instanceof TooLarge)
      throw new RestFailure("too_large", `the answer of ${where} is larger than ${maxBytes} bytes`, {
        status,
      });
    const why =
      error instanceof UnknownEncoding
        ? "is packed in a way that nobody asked for"
        : "was cut off or damaged";
    throw new RestFailure("bad_body", `the answer of ${where} ${why}`, { status });
  }
}

/** The error of JSON.parse is dropped: it quotes what it could not read. */
function parse(body: Uint8Array, where: string, status: number, token: string | undefined): unknown {
  let json: unknown;
  let givesTokenBack: boolean;
  try {
    const plain = text(body);
    json = JSON.parse(plain);
    givesTokenBack = token !== undefined && holds(plain, json, token);
  } catch {
    throw new RestFailure("bad_body", `the answer of ${where} is not JSON`, { status });
  }
  if (givesTokenBack)
    throw new RestFailure("bad_body", `the answer of ${where} holds the token that it was asked with`, {
      status,
    });
  return json;
}

/** Whatever is shorter may be a word of any answer. */
const LEAST_SECRET_LENGTH = 16;

/** Texts of an answer become labels, which everybody reads. JSON may write any letter as `\u0061`. */
function holds(plain: string, json: unknown, token: string): boolean {
  if (token.length < LEAST_SECRET_LENGTH) return false;
  return plain.includes(token) || (plain.includes("\\") && JSON.stringify(json).includes(token));
}

const text = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

const lateMessage = (where: string, limitMs: number, hasBegun: boolean): string => {
  const seconds = Math.max(0, limitMs / 1000).toFixed(1);
  return hasBegun
    ? `the answer of ${where} did not end within ${seconds} s`
    : `no answer from ${where} within ${seconds} s`;
};
