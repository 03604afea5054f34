/** A request of the client and how it ended, as plain values: the same in each runtime. */
import { inspect } from "node:util";
import { RestClient, type RestTarget } from "../../src/rest/client.ts";
import { RestFailure } from "../../src/rest/failure.ts";

export interface Asking extends Partial<RestTarget> {
  readonly base: string;
  readonly path?: string;
  readonly limitMs?: number;
  readonly maxBytes?: number;
  /** With one client; the last outcome counts. */
  readonly times?: number;
}

export interface Outcome {
  readonly json?: unknown;
  readonly reason?: string;
  readonly status?: number | undefined;
  readonly kind?: string | undefined;
  readonly message?: string;
  /** All that a log could make of the error. */
  readonly inspected?: string;
}

export function restClient(target: Partial<RestTarget> & { readonly base: string }): RestClient {
  const none = { tokenFile: undefined, caFile: undefined, certFile: undefined, keyFile: undefined };
  return new RestClient({ ...none, insecureSkipVerify: false, ...target });
}

const PATIENCE_MS = 20_000;
export const SMALL = 1 << 20;

export async function outcomeOf(client: RestClient, asking: Omit<Asking, "base"> = {}): Promise<Outcome> {
  const { path = "/nodes", limitMs = PATIENCE_MS, maxBytes = SMALL } = asking;
  const { signal } = new AbortController();
  try {
    return { json: await client.getJson(path, { signal, deadline: performance.now() + limitMs, maxBytes }) };
  } catch (error) {
    if (!(error instanceof RestFailure)) return { message: `no RestFailure: ${inspect(error)}` };
    const { reason, status, kind, message } = error;
    return { reason, status, kind, message, inspected: inspect(error, { depth: 9, showHidden: true }) };
  }
}

export async function ask({ path, limitMs, maxBytes, times = 1, ...target }: Asking): Promise<Outcome> {
  const client = restClient(target);
  const limits = {
    ...(path === undefined ? {} : { path }),
    ...(limitMs === undefined ? {} : { limitMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
  for (let time = 1; time < times; time++) await outcomeOf(client, limits);
  const outcome = await outcomeOf(client, limits);
  client.close();
  return outcome;
}
