/** An API server that is asked by plain fetch: the kit's, or a real one. */
import { expect } from "bun:test";
import type { Rule } from "../contract.ts";
import { at, listOf, type Members, membersOf, textOf } from "../json.ts";

export interface Target {
  readonly server: string;
  readonly ca: string;
  /** Of one that may do everything. */
  readonly token: string;
  /** A token of an account with these rights and no others. */
  tokenFor(rules: readonly Rule[], namespace: string): Promise<string>;
}

export interface Answer {
  readonly status: number;
  readonly body: Members;
}

/** What a behaviour is shown with: the server, and a namespace of its own. */
export interface Bed {
  readonly ask: Ask;
  readonly namespace: string;
  readonly target: Target;
  /** /api/v1/namespaces/NAMESPACE */
  readonly core: string;
  readonly apps: string;
}

/** How an API server behaves, in one sentence. */
export interface Behaviour {
  readonly name: string;
  /** The minor version of Kubernetes that began with it, if that is later than 1.20. */
  readonly since?: number;
  run(bed: Bed): Promise<void>;
}

export const MERGE = "application/merge-patch+json";
export const APPLY = "application/apply-patch+yaml";

export class Ask {
  readonly #target: Target;
  readonly #token: string;

  constructor(target: Target, token: string = target.token) {
    this.#target = target;
    this.#token = token;
  }

  get(path: string): Promise<Answer> {
    return this.send("GET", path);
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.send("POST", path, body);
  }

  put(path: string, body: unknown): Promise<Answer> {
    return this.send("PUT", path, body);
  }

  patch(path: string, body: unknown): Promise<Answer> {
    return this.send("PATCH", path, body, MERGE);
  }

  delete(path: string, body?: unknown): Promise<Answer> {
    return this.send("DELETE", path, body);
  }

  /** Server-side apply. */
  apply(path: string, manager: string, body: unknown, isForced = false): Promise<Answer> {
    const query = `fieldManager=${manager}${isForced ? "&force=true" : ""}`;
    return this.send("PATCH", `${path}?${query}`, body, APPLY);
  }

  /** In another form than that of the whole object. */
  getAs(path: string, accept: string): Promise<Answer> {
    return this.send("GET", path, undefined, undefined, { accept });
  }

  async send(
    method: string,
    path: string,
    body?: unknown,
    type = "application/json",
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const text = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
    const response = await fetch(`${this.#target.server}${path}`, {
      method,
      ...text,
      ...this.#options({ "content-type": type, ...headers }),
      signal: AbortSignal.timeout(20_000),
    });
    return { status: response.status, body: parsed(await response.text()) };
  }

  /** Events until there are as many as asked for, or until the server ends the watch. */
  async watch(path: string, count: number): Promise<Answer["body"][]> {
    const events: Members[] = [];
    for await (const event of this.events(path)) {
      events.push(event);
      if (events.length === count) break;
    }
    return events;
  }

  async *events(path: string): AsyncGenerator<Members> {
    const signal = AbortSignal.timeout(30_000);
    const response = await fetch(`${this.#target.server}${path}`, { ...this.#options({}), signal });
    expect(response.status).toBe(200);
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      const lines = `${rest}${decoder.decode(bytes, { stream: true })}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield parsed(line);
    }
    expect(rest).toBe("");
  }

  #options(headers: Readonly<Record<string, string>>) {
    const agent = { "user-agent": "conformance/1", authorization: `Bearer ${this.#token}` };
    return { headers: { ...agent, ...headers }, tls: { ca: this.#target.ca } };
  }
}

function parsed(text: string): Members {
  try {
    return membersOf(JSON.parse(text));
  } catch {
    return { text };
  }
}

/** Waits until it is so; the limit is far beyond what any server needs. */
export async function soon(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error("it never came");
    await Bun.sleep(50);
  }
}

export const versionOf = (object: unknown): string => textOf(at(object, "metadata", "resourceVersion")) ?? "";

/** fieldsV1 of one manager. */
export function ownedBy(object: unknown, manager: string, operation = "Apply"): unknown {
  const entries = listOf(at(object, "metadata", "managedFields"));
  const entry = entries.find((one) => at(one, "manager") === manager && at(one, "operation") === operation);
  return at(entry, "fieldsV1");
}

export const configMap = (name: string, data: unknown = {}, metadata: Members = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});

export const daemonSet = (name: string, container: Members = {}, spec: Members = {}) => ({
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  metadata: { name },
  spec: {
    ...spec,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        // No node has it, so that no pod runs.
        nodeSelector: { conformance: "nowhere" },
        containers: [{ name: "main", image: "example.com/main:1", ...container }],
      },
    },
  },
});

export const lease = (name: string, spec: Members, metadata: Members = {}) => ({
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  metadata: { name, ...metadata },
  spec,
});

/** What a failure's Status says, without its words. */
export function failure({ status, body }: Answer) {
  expect(body).toMatchObject({ kind: "Status", apiVersion: "v1", status: "Failure", code: status });
  return { status, reason: body["reason"] };
}
