/** Asks an API server with plain `fetch`: what the tests do and look at must not depend on what they test. */
import * as v from "valibot";
import {
  type Kind,
  type KubernetesObject,
  type Manifest,
  ObjectSchema,
} from "../../../src/kubernetes/object.ts";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const LIST = v.object({ items: v.array(ObjectSchema), metadata: v.object({ resourceVersion: v.string() }) });
const LIMIT_MS = 15_000;

export type PatchType = "merge-patch+json" | "strategic-merge-patch+json" | "apply-patch+yaml" | "json";

export class Client {
  readonly server: string;
  readonly #ca: string;
  readonly #token: string;

  constructor(server: string, ca: string, token: string) {
    this.server = server;
    this.#ca = ca;
    this.#token = token;
  }

  /** The same server, as another. */
  as(token: string): Client {
    return new Client(this.server, this.#ca, token);
  }

  open(
    method: string,
    path: string,
    init: RequestInit & { readonly type?: PatchType } = {},
  ): Promise<Response> {
    return fetch(`${this.server}${path}`, {
      ...init,
      method,
      headers: {
        ...(this.#token === "" ? {} : { authorization: `Bearer ${this.#token}` }),
        "content-type": `application/${init.type ?? "json"}`,
        ...init.headers,
      },
      tls: { ca: this.#ca },
    });
  }

  async request(method: string, path: string, body?: unknown, type: PatchType = "json"): Promise<Answer> {
    const response = await this.open(method, path, {
      type,
      signal: AbortSignal.timeout(LIMIT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
  }

  /** As `request`; any answer but a good one is an error. */
  async must(method: string, path: string, body?: unknown, type: PatchType = "json"): Promise<unknown> {
    const answer = await this.request(method, path, body, type);
    if (answer.status >= 300)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async get(kind: Kind, name: string, namespace?: string): Promise<KubernetesObject | undefined> {
    const { status, body } = await this.request("GET", pathOf(kind, namespace, name));
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`${kind.kind} ${name}: ${status} ${JSON.stringify(body)}`);
    return v.parse(ObjectSchema, body);
  }

  async list(kind: Kind, namespace?: string, query = ""): Promise<readonly KubernetesObject[]> {
    return v.parse(LIST, await this.must("GET", `${pathOf(kind, namespace)}${query}`)).items;
  }

  async create(kind: Kind, manifest: Manifest): Promise<KubernetesObject> {
    const { namespace } = manifest.metadata;
    return v.parse(ObjectSchema, await this.must("POST", pathOf(kind, namespace), manifest));
  }

  /** What a hand does with `kubectl edit`; `part` is `status` for a subresource. */
  async edit(
    kind: Kind,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    part?: string,
  ): Promise<void> {
    const path = [pathOf(kind, namespace, name), ...(part === undefined ? [] : [part])].join("/");
    await this.must("PATCH", path, patch, "merge-patch+json");
  }

  async remove(kind: Kind, name: string, namespace?: string, options?: unknown): Promise<void> {
    const { status, body } = await this.request("DELETE", pathOf(kind, namespace, name), options);
    if (status >= 300 && status !== 404)
      throw new Error(`${kind.kind} ${name}: ${status} ${JSON.stringify(body)}`);
  }

  /** A token for a service account, as the kubelet asks for one; it ends with the object that it is bound to. */
  async token(
    account: string,
    namespace: string,
    bound?: { readonly kind: string; readonly name: string; readonly uid: string },
  ): Promise<string> {
    const body = await this.must("POST", `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        expirationSeconds: 600,
        ...(bound === undefined ? {} : { boundObjectRef: { apiVersion: "v1", ...bound } }),
      },
    });
    return v.parse(v.object({ status: v.object({ token: v.string() }) }), body).status.token;
  }
}

export function pathOf({ apiVersion, plural }: Kind, namespace?: string, name?: string): string {
  return [
    apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`,
    ...(namespace === undefined ? [] : ["namespaces", namespace]),
    plural,
    ...(name === undefined ? [] : [name]),
  ].join("/");
}
