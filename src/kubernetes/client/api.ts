/** Requests to the API server: one method a verb, each within a limit of time and size. */
import * as v from "valibot";
import type { Log } from "../../log/log.ts";
import { dropBody, UnknownEncoding, unpackedBody } from "../../rest/body.ts";
import { Connections, type Sending } from "../../rest/connections.ts";
import { RestFailure, tooLate } from "../../rest/failure.ts";
import { readErrorJson, readJson } from "../../rest/json.ts";
import { within } from "../../rest/within.ts";
import { type Kind, type KubernetesObject, kindOf, type Manifest, ObjectSchema } from "../object.ts";
import type { ClusterAccess } from "./access.ts";
import { ApiFailure, type Asked, refusal, refusedWatch, unanswered } from "./failure.ts";
import { type WatchEvent, watchEvents } from "./watch.ts";

/** All of them, where nothing is given. */
export interface Scope {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ApiOptions {
  readonly log: Log;
  /** For each request, a watch's answer to begin included. Default: 10 s. */
  readonly timeoutMs?: number;
  /** How long a watch goes on. Default: 5 to 10 minutes. */
  readonly watchSeconds?: () => number;
}

export interface Page {
  readonly items: readonly KubernetesObject[];
  readonly resourceVersion: string;
}

/** Whom the fields belong to that the operator applies. */
export const FIELD_MANAGER = "plumbline-operator";

/** Every method rejects with ApiFailure, or with the signal's reason where that aborts. */
export class KubernetesApi {
  readonly #access: ClusterAccess;
  readonly #connections: Connections;
  readonly #log: Log;
  readonly #timeoutMs: number;
  readonly #watchSeconds: () => number;

  constructor(
    access: ClusterAccess,
    { log, timeoutMs = 10_000, watchSeconds = fiveToTenMinutes }: ApiOptions,
  ) {
    this.#access = access;
    this.#connections = new Connections({ read: () => access.tls });
    this.#log = log;
    this.#timeoutMs = timeoutMs;
    this.#watchSeconds = watchSeconds;
  }

  /** Undefined: there is no such object, or no such kind (404). */
  async get(
    kind: Kind,
    name: string,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    try {
      return await this.#object({ ...about("get", kind, { name, namespace }), method: "get" }, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async list(
    kind: Kind,
    scope: Scope,
    signal: AbortSignal,
  ): Promise<{ items: KubernetesObject[]; resourceVersion: string }> {
    const items: KubernetesObject[] = [];
    let resourceVersion = "";
    for await (const page of this.pages(kind, scope, signal)) {
      items.push(...page.items);
      resourceVersion = page.resourceVersion;
    }
    return { items, resourceVersion };
  }

  /** The same list, page by page. */
  pages(kind: Kind, scope: Scope, signal: AbortSignal): AsyncGenerator<Page> {
    return this.#pages(kind, scope, signal, {});
  }

  /** The same, of each object no more than `metadata`. */
  metadataPages(kind: Kind, scope: Scope, signal: AbortSignal): AsyncGenerator<Page> {
    return this.#pages(kind, scope, signal, { accept: METADATA_ONLY });
  }

  async *#pages(
    kind: Kind,
    scope: Scope,
    signal: AbortSignal,
    form: Pick<Asking, "accept">,
  ): AsyncGenerator<Page> {
    const { apiVersion } = kind;
    let next: string | undefined = "";
    for (let count = 0; next !== undefined; count++) {
      const query: Asking["query"] = {
        ...selectors(scope),
        limit: String(PAGE),
        ...(next === "" ? {} : { continue: next }),
      };
      const asking: Asking = { ...about("list", kind, scope), ...form, method: "get", query };
      if (count === MOST_PAGES) throw unanswered(asking.asked, endless(this.#where(asking)));
      const page: v.InferOutput<typeof ListSchema> = await this.#parsed(
        ListSchema,
        asking,
        signal,
        MAX_LIST_BYTES,
      );
      const { metadata, items } = page;
      // The entries of a list do not say what they are.
      const whole = (items ?? []).map((item) => ({ ...item, apiVersion, kind: kind.kind }));
      yield { items: whole, resourceVersion: metadata.resourceVersion };
      next = metadata.continue || undefined;
    }
  }

  /**
   * Resolves once the server has begun to answer. The events end when the server ends them, which it does after some
   * minutes, or has not done for too long.
   */
  async watch(
    kind: Kind,
    scope: Scope,
    resourceVersion: string,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<WatchEvent>> {
    const seconds = this.#watchSeconds();
    const query = {
      ...selectors(scope),
      watch: "1",
      resourceVersion,
      allowWatchBookmarks: "true",
      timeoutSeconds: String(seconds),
    };
    const asking: Asking = { ...about("watch", kind, scope), method: "get", query };
    // Not AbortSignal.any: a signal that lives as long as the operator remembers each that was made of it.
    const end = new AbortController();
    const giveUp = () => end.abort();
    signal.addEventListener("abort", giveUp, { once: true });
    const connection = {
      signal: end.signal,
      close() {
        signal.removeEventListener("abort", giveUp);
        end.abort();
      },
    };
    try {
      const response = await this.#answered(asking, signal, () => this.#send(asking, end.signal));
      return this.#events(asking, response, connection, (seconds + WATCH_PATIENCE_SECONDS) * 1000, signal);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** ApiFailure("conflict") where it exists. */
  create(manifest: Manifest, signal: AbortSignal): Promise<KubernetesObject> {
    const { name, namespace } = manifest.metadata;
    const { kind, path, asked } = about("create", kindOf(manifest), { namespace });
    const asking: Asking = {
      kind,
      path,
      asked: { ...asked, name },
      method: "post",
      query: { fieldManager: FIELD_MANAGER },
      body: json(manifest),
    };
    return this.#object(asking, signal);
  }

  /** Server-side apply; what another manager holds of the manifest's fields is taken over. */
  apply(manifest: Manifest, signal: AbortSignal): Promise<KubernetesObject> {
    const asking: Asking = {
      ...about("patch", kindOf(manifest), placeOf(manifest)),
      method: "patch",
      query: { fieldManager: FIELD_MANAGER, force: "true" },
      // All JSON is YAML.
      body: { type: "application/apply-patch+yaml", text: JSON.stringify(manifest) },
    };
    return this.#object(asking, signal);
  }

  /** JSON merge patch. */
  patch(
    kind: Kind,
    name: string,
    namespace: string | undefined,
    mergePatch: unknown,
    signal: AbortSignal,
    { subresource }: { readonly subresource?: "status" } = {},
  ): Promise<KubernetesObject> {
    const asking: Asking = {
      ...about("patch", kind, { name, namespace, subresource }),
      method: "patch",
      query: { fieldManager: FIELD_MANAGER },
      body: { type: "application/merge-patch+json", text: JSON.stringify(mergePatch) },
    };
    return this.#object(asking, signal);
  }

  /** ApiFailure("conflict") where it has another resourceVersion by now. */
  replace(object: KubernetesObject, signal: AbortSignal): Promise<KubernetesObject> {
    const asking: Asking = {
      ...about("update", kindOf(object), placeOf(object)),
      method: "put",
      query: { fieldManager: FIELD_MANAGER },
      body: json(object),
    };
    return this.#object(asking, signal);
  }

  /** Resolves as well where there is no such object. What it owns is deleted after it. */
  async delete(kind: Kind, name: string, namespace: string | undefined, signal: AbortSignal): Promise<void> {
    const body = json({ kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background" });
    const asking = { ...about("delete", kind, { name, namespace }), method: "delete", body } as const;
    try {
      // Either the object, or a Status.
      await this.#parsed(v.unknown(), asking, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#connections.close();
  }

  async #object(asking: Asking, signal: AbortSignal): Promise<KubernetesObject> {
    const { apiVersion, kind } = asking.kind;
    return { ...(await this.#parsed(ObjectSchema, asking, signal)), apiVersion, kind };
  }

  #parsed<T extends v.GenericSchema>(
    schema: T,
    asking: Asking,
    signal: AbortSignal,
    maxBytes = MAX_OBJECT_BYTES,
  ): Promise<v.InferOutput<T>> {
    return this.#answered(asking, signal, async (ends) => {
      const response = await this.#send(asking, ends);
      const parsed = v.safeParse(schema, await readJson(response, this.#where(asking), maxBytes, []));
      if (parsed.success) return parsed.output;
      throw new RestFailure("bad_body", `${this.#where(asking)} answered something else than was asked for`);
    });
  }

  /** Within the limit of time, logged, and with no other failure than ApiFailure. */
  async #answered<T>(
    asking: Asking,
    signal: AbortSignal,
    answer: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const startedAt = performance.now();
    const limits = { signal, deadline: startedAt + this.#timeoutMs };
    let result = "ok";
    try {
      return await within(limits, answer, () => tooLate(this.#where(asking), this.#timeoutMs, false));
    } catch (error) {
      const failure = error instanceof RestFailure ? unanswered(asking.asked, error) : error;
      result = failure instanceof ApiFailure ? failure.reason : "given up";
      // What connections were kept may all lead to where nobody is any more.
      if (result === "timeout") this.#connections.close();
      throw failure;
    } finally {
      const seconds = Math.round((performance.now() - startedAt) * 10) / 10_000;
      const { verb, resource, name, namespace } = asking.asked;
      this.#log.debug("asked the API server", { verb, resource, name, namespace, result, seconds });
    }
  }

  /** The answer, if it is a good one. Credentials that are refused are fetched anew, once. */
  async #send(asking: Asking, signal: AbortSignal): Promise<Response> {
    let response = await this.#sendOnce(asking, signal);
    if (response.status === 401) {
      void dropBody(response);
      this.#access.rejected();
      response = await this.#sendOnce(asking, signal);
    }
    if (response.ok) return response;
    const limits = { signal, deadline: performance.now() + this.#timeoutMs };
    const body = await readErrorJson(response, limits);
    throw refusal(asking.asked, response.status, body, response.headers.get("retry-after"));
  }

  async #sendOnce({ method, path, query, accept, body }: Asking, signal: AbortSignal): Promise<Response> {
    const url = new URL(this.#access.server + path);
    for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
    const authorization = await this.#access.authorization();
    return this.#connections.send({
      url,
      where: url.origin + url.pathname,
      method,
      headers: {
        "user-agent": FIELD_MANAGER,
        ...(authorization === undefined ? {} : { authorization }),
        ...(accept === undefined ? {} : { accept }),
        ...(body === undefined ? {} : { "content-type": body.type }),
      },
      body: body?.text,
      signal,
    });
  }

  /** Whatever happens, the connection is closed. */
  async *#events(
    asking: Asking,
    response: Response,
    connection: { readonly signal: AbortSignal; close(): void },
    mostMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    const late = setTimeout(() => connection.close(), mostMs);
    try {
      for await (const event of watchEvents(chunksOf(response, connection.signal), this.#where(asking))) {
        if (event.type === "ERROR") throw refusedWatch(asking.asked, event.object);
        yield event;
      }
    } catch (error) {
      if (!connection.signal.aborted)
        throw error instanceof RestFailure ? unanswered(asking.asked, error) : error;
    } finally {
      clearTimeout(late);
      connection.close();
    }
    signal.throwIfAborted();
  }

  /** For messages: without the query. */
  #where({ path }: Asking): string {
    return this.#access.server + path;
  }
}

/** As API servers have it by themselves for clients that do not say; nobody begins at the same time as all others. */
const fiveToTenMinutes = (): number => Math.round(300 + Math.random() * 300);
/** A connection may be gone without a word. */
const WATCH_PATIENCE_SECONDS = 30;

/** Entries of a list's page. */
const PAGE = 500;
/** A million entries: six times as many pods as Kubernetes has in a cluster. */
const MOST_PAGES = 2000;
const endless = (where: string): RestFailure =>
  new RestFailure("too_large", `${where} gives page after page without an end`);
/** https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches */
const METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const MAX_LIST_BYTES = 256 * 1024 * 1024;
/** etcd keeps none of more than 1.5 MiB. */
const MAX_OBJECT_BYTES = 16 * 1024 * 1024;

const ListSchema = v.object({
  metadata: v.object({ resourceVersion: v.string(), continue: v.optional(v.string()) }),
  items: v.nullish(v.array(ObjectSchema)),
});

interface Asking {
  readonly kind: Kind;
  readonly asked: Asked;
  readonly path: string;
  readonly method: NonNullable<Sending["method"]>;
  readonly query?: Readonly<Record<string, string>>;
  /** Default: JSON of the whole object. */
  readonly accept?: string;
  readonly body?: { readonly type: string; readonly text: string };
}

interface Place {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly subresource?: string | undefined;
}

/** Without a name: all of them, of all namespaces if none is given. */
function about(verb: Asked["verb"], kind: Kind, place: Place): Pick<Asking, "kind" | "asked" | "path"> {
  const { name, subresource } = place;
  const namespace = kind.isNamespaced ? place.namespace : undefined;
  if (kind.isNamespaced && namespace === undefined && (name !== undefined || verb === "create"))
    throw new Error(`a ${kind.kind} is in a namespace, and none is given`);
  const { apiVersion, plural } = kind;
  const path = [
    apiVersion.includes("/") ? "/apis" : "/api",
    apiVersion,
    ...(namespace === undefined ? [] : ["namespaces", encodeURIComponent(namespace)]),
    plural,
    ...(name === undefined ? [] : [encodeURIComponent(name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ].join("/");
  const group = apiVersion.includes("/") ? apiVersion.replace(/\/.*/, "") : "";
  const resource = subresource === undefined ? plural : `${plural}/${subresource}`;
  return { kind, path, asked: { verb, group, resource, name, namespace } };
}

const placeOf = ({
  metadata: { name, namespace },
}: Pick<Manifest | KubernetesObject, "metadata">): Place => ({
  name,
  namespace,
});

function selectors({ labelSelector, fieldSelector }: Scope): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

const json = (value: unknown) => ({ type: "application/json", text: JSON.stringify(value) });

const isNotFound = (error: unknown): boolean => error instanceof ApiFailure && error.reason === "not_found";

/** Ends where the signal aborts. Throws RestFailure where the answer was cut off. */
async function* chunksOf(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = bodyOf(response)?.getReader();
  if (reader === undefined) return;
  // A read that waits ends by this at once; a race with the signal would keep every chunk until the watch is over.
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch {
    throw new RestFailure("connect", "the connection was cut off");
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

function bodyOf(response: Response) {
  try {
    return unpackedBody(response);
  } catch (error) {
    if (error instanceof UnknownEncoding)
      throw new RestFailure("bad_body", "the answer is packed in a way that nobody asked for");
    throw error;
  }
}
