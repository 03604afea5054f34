/** Asks a simulated Proxmox VE: over the wire as a client does, or for the answer alone. */
import { request as plainRequest } from "node:http";
import { type Agent, request as tlsRequest } from "node:https";
import { answerTo, nodeNamed } from "../../src/demo/pve-answers.ts";
import { PVE_TEST_ROOT } from "../../src/demo/pve-certificate.ts";
import { randomOf } from "../../src/demo/pve-chance.ts";
import type { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR, AUDITOR_TOKEN, type PveToken, type PveUser, rightsOf } from "../../src/demo/pve-users.ts";

export interface Told {
  readonly status: number;
  readonly phrase: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

export interface Asking {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly body?: string;
  readonly agent?: Agent;
}

/** What stands after /api2/json. With the auditor's token, unless `headers` are given. */
export function ask(base: string, path: string, asking: Asking = {}): Promise<Told> {
  const { headers = { authorization: AUDITOR_TOKEN }, method = "GET", body, agent } = asking;
  const length = body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` };
  const request = base.startsWith("https:") ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const options = {
      ca: PVE_TEST_ROOT,
      method,
      headers: { ...headers, ...length },
      ...(agent && { agent }),
    };
    const asked = request(`${base}/api2/json${path}`, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode = 0, statusMessage = "" } = response;
        const body = Buffer.concat(chunks);
        resolve({ status: statusCode, phrase: statusMessage, headers: response.headers, body });
      });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

export interface Asker {
  readonly user?: PveUser;
  readonly token?: PveToken;
  /** The node that is asked. */
  readonly node?: string;
}

export type Row = Readonly<Record<string, unknown>>;

/** The answer at a moment, as an object with JavaScript's own types. Throws a Refusal. */
export function answered(cluster: PveCluster, path: string, atMs = 0, asker: Asker = {}): unknown {
  const { user = AUDITOR, token, node = "pve1" } = asker;
  const state = cluster.at(atMs);
  const { pathname, searchParams } = new URL(path, "http://localhost");
  return answerTo(pathname, {
    state,
    asked: nodeNamed(node, { state }),
    rights: rightsOf(user, token),
    query: searchParams,
    random: randomOf(1, path),
  });
}

/** The rows of a list. */
export function rows(cluster: PveCluster, path: string, atMs = 0, asker: Asker = {}): Row[] {
  const list = answered(cluster, path, atMs, asker);
  if (!Array.isArray(list)) throw new Error(`${path} is no list`);
  return list;
}
