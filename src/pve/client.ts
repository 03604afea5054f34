/** Calls to the API of Proxmox VE at one endpoint: who asks, what of an answer counts, and why one gave nothing. */
import * as v from "valibot";
import { ConfigError } from "../config/error.ts";
import type { Secret } from "../config/secret.ts";
import type { Log } from "../log/log.ts";
import { counter } from "../metrics/descriptor.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { Connections } from "../rest/connections.ts";
import { TlsCredentials } from "../rest/credentials.ts";
import { RestFailure, tooLate } from "../rest/failure.ts";
import { readJson } from "../rest/json.ts";
import { within } from "../rest/within.ts";
import { identityOf, type PveEndpoint } from "./endpoint.ts";
import { PveFailure } from "./failure.ts";
import { failureOf, refusalOf } from "./refusal.ts";
import { Tickets } from "./ticket.ts";

export const API_REQUESTS_TOTAL = counter(
  "plumbline_pve_api_requests_total",
  "Requests to the API of Proxmox VE, by how they ended: ok, retried (the connection was closed, and the request is sent again), network (no answer), or the reason for which nothing could be made of the answer",
  ["result"],
);

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
  /** As in the metric. */
  readonly result: string;
}

/** Each is there from the start, so that a first failure is seen as an increase. */
const RESULTS = [
  "ok",
  "retried",
  "network",
  "unreachable",
  "timeout",
  "forbidden",
  "unauthorized",
  "gone",
  "error",
  "too_large",
  "invalid",
];

interface PveRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly form?: URLSearchParams;
  /** What the headers or the form hold that an answer must not give back. */
  readonly secrets: readonly string[];
}

export class PveClient {
  readonly #endpoint: PveEndpoint;
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #observe: (request: SentRequest) => void;
  readonly #base: URL;
  readonly #connections: Connections;
  readonly #tickets = new Tickets(() => this.#logIn());
  /** What was logged in with. */
  #sent: readonly string[] = [];
  readonly #closing = new AbortController();
  #serverDate: number | undefined;

  constructor(
    endpoint: PveEndpoint,
    own: OwnMetrics,
    log: Log,
    observe: (request: SentRequest) => void = () => {},
  ) {
    this.#endpoint = endpoint;
    this.#own = own;
    this.#log = log;
    this.#observe = observe;
    this.#base = new URL(`${endpoint.url}/api2/json`);
    for (const result of RESULTS) own.counter(API_REQUESTS_TOTAL).inc({ result }, 0);
    const { caFile, fingerprint, verify } = endpoint.tls;
    this.#connections = new Connections(new TlsCredentials({ ca: caFile }), {
      fingerprint,
      insecureSkipVerify: !verify,
      sendsAgain: () => {
        this.#count("retried");
        return true;
      },
    });
  }

  /**
   * `data` of what is answered to a GET. `path` begins with a slash, below /api2/json, and may have a query. Rejects with
   * PveFailure, or with the signal's reason where the caller aborted.
   */
  async get(path: string, limits: CallLimits): Promise<unknown> {
    const { credentials } = this.#endpoint;
    if (credentials.kind === "token") {
      const secret = reveal(credentials.secret, path);
      const authorization = `PVEAPIToken=${identityOf(credentials)}=${secret}`;
      // The runtime's own error for it would hold it.
      if (!/^[\x20-\x7e]+$/.test(authorization))
        throw new PveFailure("unauthorized", plain(path), "the token holds what no header may hold");
      return this.#request({ path, headers: { authorization }, secrets: [secret] }, limits);
    }
    const ticket = await this.#ticket(() => this.#tickets.current(), path, limits);
    try {
      return await this.#getWith(ticket, path, limits);
    } catch (error) {
      if (!(error instanceof PveFailure) || error.status !== 401) throw error;
      const another = await this.#ticket(() => this.#tickets.insteadOf(ticket), path, limits);
      return this.#getWith(another, path, limits);
    }
  }

  /** What the last answer's `Date` said, in Unix ms; it has whole seconds. */
  get serverDate(): number | undefined {
    return this.#serverDate;
  }

  /** Closes idle connections, and gives up to log in. */
  close(): void {
    this.#closing.abort(new PveFailure("error", LOGIN, "the client was closed while it logged in"));
    this.#connections.close();
  }

  #getWith(ticket: string, path: string, limits: CallLimits): Promise<unknown> {
    const value = encodeURIComponent(ticket);
    const headers = { cookie: `PVEAuthCookie=${value}` };
    return this.#request({ path, headers, secrets: [ticket, value, ...this.#sent] }, limits);
  }

  /** The time that logging in takes is the call's own, but who logs in goes on for the others. */
  #ticket(ticket: () => Promise<string>, path: string, limits: CallLimits): Promise<string> {
    const late = () =>
      new PveFailure("timeout", plain(path), `no time was left to log in at ${this.#endpoint.url}`);
    return within(limits, ticket, late);
  }

  async #logIn(): Promise<string> {
    const { credentials, timeoutMs, url } = this.#endpoint;
    if (credentials.kind === "token") throw new Error("a token buys no ticket");
    const { user } = credentials;
    const password = reveal(credentials.password, LOGIN);
    const { otp } = credentials;
    const second = otp === undefined ? {} : { otp: reveal(otp, LOGIN) };
    const form = new URLSearchParams({ username: user, password, ...second });
    this.#sent = [password];
    const limits = {
      signal: this.#closing.signal,
      deadline: performance.now() + timeoutMs,
      maxBytes: MAX_TICKET_BYTES,
    };
    const answer = await this.#request({ path: LOGIN, headers: {}, form, secrets: this.#sent }, limits);
    const parsed = v.safeParse(TicketSchema, answer);
    if (!parsed.success)
      throw new PveFailure("invalid", LOGIN, `${url} answered something else than a ticket`);
    const { ticket, NeedTFA: needsSecondFactor } = parsed.output;
    if (needsSecondFactor === 1 || needsSecondFactor === "1")
      throw new PveFailure(
        "unauthorized",
        LOGIN,
        `${url} wants a second factor of ${user}; use an API token, which needs none`,
      );
    return ticket;
  }

  /** One request, counted and told of. */
  async #request(request: PveRequest, limits: CallLimits): Promise<unknown> {
    const url = this.#urlOf(request.path);
    const startedAt = performance.now();
    let result = "given up";
    try {
      const data = await this.#answerTo(request, url, limits);
      result = "ok";
      this.#count(result);
      return data;
    } catch (error) {
      const failure = error instanceof RestFailure ? failureOf(error, plain(request.path)) : error;
      if (failure instanceof PveFailure && failure !== limits.signal.reason) {
        result = failure.network === undefined ? failure.reason : "network";
        this.#count(result);
      }
      throw failure;
    } finally {
      const seconds = (performance.now() - startedAt) / 1000;
      const method = request.form === undefined ? "GET" : "POST";
      this.#observe({ method, url: url.href, seconds, result });
      this.#log.debug("asked Proxmox VE", {
        url: url.href,
        result,
        seconds: Math.round(seconds * 1e4) / 1e4,
      });
    }
  }

  #answerTo({ path, headers, form, secrets }: PveRequest, url: URL, limits: CallLimits): Promise<unknown> {
    const where = url.origin + url.pathname;
    const limitMs = limits.deadline - performance.now();
    let hasBegun = false;
    return within(
      limits,
      async (signal) => {
        const sending = { url, where, headers, signal };
        const response = await this.#connections.send(
          form === undefined ? sending : { ...sending, method: "post", body: form },
        );
        hasBegun = true;
        const date = Date.parse(response.headers.get("date") ?? "");
        if (!Number.isNaN(date)) this.#serverDate = date;
        if (!response.ok) throw await refusalOf(response, plain(path), where, secrets, limits);
        const json = await readJson(response, where, limits.maxBytes, secrets);
        if (typeof json === "object" && json !== null && "data" in json) return json.data;
        throw new PveFailure("invalid", plain(path), `the answer of ${where} has no data`);
      },
      () => tooLate(where, limitMs, hasBegun),
    );
  }

  /** A path that would become another one, as `/../access` does, is asked of nobody. */
  #urlOf(path: string): URL {
    const { href, pathname } = this.#base;
    const url = URL.parse(href + path);
    if (url !== null && url.pathname === pathname + plain(path) && url.hash === "") return url;
    throw new PveFailure("invalid", plain(path), "no request is sent for a path that is not plain");
  }

  #count(result: string): void {
    this.#own.counter(API_REQUESTS_TOTAL).inc({ result });
  }
}

const LOGIN = "/access/ticket";
const MAX_TICKET_BYTES = 64 * 1024;

/** `NeedTFA`: the ticket is good for nothing but to send a second factor with it. */
const TicketSchema = v.object({
  ticket: v.pipe(v.string(), v.nonEmpty()),
  NeedTFA: v.optional(v.unknown()),
});

function reveal(secret: Secret, path: string): string {
  try {
    return secret.reveal();
  } catch (error) {
    if (error instanceof ConfigError) throw new PveFailure("unauthorized", plain(path), error.message);
    throw error;
  }
}

const plain = (path: string): string => path.replace(/\?.*$/s, "");
