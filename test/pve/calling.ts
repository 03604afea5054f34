/** A call of the client and how it ended, with all that anybody could read of it. */
import { inspect } from "node:util";
import { Secret } from "../../src/config/secret.ts";
import { PVE_TEST_CERTIFICATE } from "../../src/demo/pve-certificate.ts";
import type { Log, LogFields } from "../../src/log/log.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { API_REQUESTS_TOTAL, PveClient, type SentRequest } from "../../src/pve/client.ts";
import type { PveEndpoint } from "../../src/pve/endpoint.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import { type Conduct, HostileServer } from "../support/hostile-server.ts";

/** AUDITOR's. */
export const SECRET = "8c1e5f3a-0b7d-4c52-9e64-2f0a7d3b9c18";
export const PASSWORD = "correct horse";
export const FINGERPRINT = { fingerprint: PVE_TEST_CERTIFICATE.fingerprint, verify: true };
export const secret = (text: string): Secret => new Secret(() => text);

const USER = "plumbline@pve";
export const byToken = (text = SECRET): PveEndpoint["credentials"] => ({
  kind: "token",
  user: USER,
  tokenName: "metrics",
  secret: secret(text),
});
export const byPassword = (text = PASSWORD): PveEndpoint["credentials"] => ({
  kind: "password",
  user: USER,
  password: secret(text),
});

export const endpointAt = (url: string, more: Partial<PveEndpoint> = {}): PveEndpoint => ({
  url,
  tls: FINGERPRINT,
  credentials: byToken(),
  timeoutMs: 5000,
  ...more,
});

const MIB = 2 ** 20;
const PATIENCE_MS = 20_000;

export interface Outcome {
  readonly data?: unknown;
  readonly failure?: PveFailure;
}

export class Caller implements Disposable {
  readonly client: PveClient;
  readonly endpoint: PveEndpoint;
  readonly sent: SentRequest[] = [];
  readonly #own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  readonly #lines: unknown[] = [];

  constructor(url: string, more: Partial<PveEndpoint> = {}) {
    this.endpoint = endpointAt(url, more);
    const write = (message: string, fields?: LogFields) => void this.#lines.push([message, fields]);
    const log: Log = { debug: write, info: write, warn: write, error: write };
    this.client = new PveClient(this.endpoint, this.#own, log, (request) => void this.sent.push(request));
  }

  async get(
    path = "/version",
    { limitMs = PATIENCE_MS, maxBytes = MIB, signal = new AbortController().signal } = {},
  ): Promise<Outcome> {
    try {
      const deadline = performance.now() + limitMs;
      return { data: await this.client.get(path, { signal, deadline, maxBytes }) };
    } catch (failure) {
      if (!(failure instanceof PveFailure)) throw failure;
      this.#lines.push(inspect(failure, { depth: 9, showHidden: true }));
      return { failure };
    }
  }

  /** What the counter has of each result that came. */
  async results(): Promise<Record<string, number>> {
    return Object.fromEntries(Object.entries(await this.allResults()).filter(([, count]) => count > 0));
  }

  async allResults(): Promise<Record<string, number>> {
    const { values } = await this.#own.counter(API_REQUESTS_TOTAL).get();
    return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value]));
  }

  /** Logs, errors, what is told of requests. */
  get told(): string {
    return JSON.stringify([this.#lines, this.sent]);
  }

  [Symbol.dispose](): void {
    this.client.close();
  }
}

/** Of one call to a server that does this. */
export async function outcomeOf(
  conduct: Conduct,
  limits: { readonly limitMs?: number; readonly maxBytes?: number; readonly path?: string } = {},
) {
  const { path, ...rest } = limits;
  await using server = await hostile(conduct);
  using caller = new Caller(server.origin);
  const { data, failure } = await caller.get(path, rest);
  return { data, failure, results: await caller.results(), told: caller.told, asked: server.asked };
}

export const hostile = (conduct: Conduct): Promise<HostileServer> =>
  HostileServer.start(conduct, { tls: { cert: PVE_TEST_CERTIFICATE.cert, key: PVE_TEST_CERTIFICATE.key } });

/** A status line and a body, on a connection that ends then, as that of Proxmox VE does after an error. */
export const refusing =
  (line: string, body = ""): Conduct =>
  (connection) =>
    void connection.end(`HTTP/1.1 ${line}\r\nContent-Length: ${body.length}\r\n\r\n${body}`, "latin1");
