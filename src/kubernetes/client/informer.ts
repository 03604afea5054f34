/** Keeps a copy of the objects of one kind, and tells of each that changes. */
import { FaultLog } from "../../log/faults.ts";
import type { Log } from "../../log/log.ts";
import type { Kind, KubernetesObject } from "../object.ts";
import type { KubernetesApi, Scope } from "./api.ts";
import { Backoff, pause } from "./backoff.ts";
import { ApiFailure, type ApiReason } from "./failure.ts";
import type { WatchEvent } from "./watch.ts";

export type Change = "added" | "modified" | "deleted";
/** `ended`: as watches do after some minutes. */
export type RestartReason = ApiReason | "ended";

export interface InformerOptions {
  readonly log: Log;
  /** The store holds the change already. For "deleted": the object as it was last. */
  onChange(object: KubernetesObject, change: Change): void;
  /** A watch, or a list, that ended or failed is begun anew. */
  onRestart?(reason: RestartReason): void;
  /** It watches again: `failure` is none any more. */
  onRecover?(): void;
  /** What of an object is kept, for large ones that come by the thousand; name, namespace, uid and version in any case. */
  keep?(object: KubernetesObject): KubernetesObject;
}

export class Informer {
  readonly #api: KubernetesApi;
  readonly #kind: Kind;
  readonly #scope: Scope;
  readonly #options: InformerOptions;
  readonly #faults: FaultLog;
  readonly #backoff = new Backoff();
  #store = new Map<string, KubernetesObject>();
  /** From which a watch goes on; undefined: only a list tells what there is. */
  #resourceVersion: string | undefined;
  #hasSynced = false;
  #exists = false;
  #failure: ApiFailure | undefined;
  /** The last watch began and then failed: that the next one begins as well says little. */
  #brokeOff = false;
  #wake = new AbortController();

  constructor(api: KubernetesApi, kind: Kind, scope: Scope, options: InformerOptions) {
    this.#api = api;
    this.#kind = kind;
    this.#scope = scope;
    this.#options = options;
    this.#faults = new FaultLog(options.log);
  }

  /** Goes on until the signal aborts, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.retryNow(), { once: true });
    while (!signal.aborted) {
      const startedAt = performance.now();
      const reason = await this.#attempt(signal);
      if (signal.aborted) return;
      this.#options.onRestart?.(reason);
      if (reason === "ended" && performance.now() - startedAt > SHORT_MS) this.#backoff.reset();
      else await this.#pause(reason);
    }
  }

  /** Does not wait any longer for the next attempt: the kind may be known by now. */
  retryNow(): void {
    this.#wake.abort();
  }

  /** Whether it is known what there is. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** False: the server does not know the kind, and the store is empty. */
  get exists(): boolean {
    return this.#exists;
  }

  /** Of the last attempt. */
  get failure(): ApiFailure | undefined {
    return this.#failure;
  }

  get(name: string, namespace?: string): KubernetesObject | undefined {
    return this.#store.get(`${namespace ?? ""}/${name}`);
  }

  list(): readonly KubernetesObject[] {
    return [...this.#store.values()];
  }

  /** Lists where that is needed, and watches; why that came to an end. */
  async #attempt(signal: AbortSignal): Promise<RestartReason> {
    let hasBegun = false;
    try {
      this.#resourceVersion ??= await this.#relist(signal);
      const events = await this.#api.watch(this.#kind, this.#scope, this.#resourceVersion, signal);
      hasBegun = true;
      this.#succeeded();
      await this.#follow(events);
      this.#recovered();
      return "ended";
    } catch (error) {
      if (signal.aborted) return "ended";
      if (!(error instanceof ApiFailure)) throw error;
      this.#brokeOff = hasBegun;
      this.#failed(error);
      return error.reason;
    }
  }

  /** Rejects where the watch was none: some proxy answers for the server, and changes would never be heard of. */
  async #follow(events: AsyncIterable<WatchEvent>): Promise<void> {
    const beganAt = performance.now();
    let isEmpty = true;
    for await (const event of events) {
      isEmpty = false;
      this.#take(event);
    }
    if (isEmpty && performance.now() - beganAt < SHORT_MS)
      throw new ApiFailure(
        "bad_body",
        `cannot watch ${this.#kind.plural}: the answer ended at once, without an event`,
      );
  }

  async #relist(signal: AbortSignal): Promise<string> {
    const found = new Map<string, KubernetesObject>();
    let resourceVersion = "";
    for await (const page of this.#api.pages(this.#kind, this.#scope, signal)) {
      for (const object of page.items) found.set(keyOf(object), this.#kept(object));
      resourceVersion = page.resourceVersion;
    }
    this.#exists = true;
    this.#hasSynced = true;
    this.#become(found);
    return resourceVersion;
  }

  /** What was deleted and made anew meanwhile is another object. */
  #become(found: Map<string, KubernetesObject>): void {
    const before = this.#store;
    this.#store = found;
    for (const [key, object] of before) {
      if (found.get(key)?.metadata.uid !== object.metadata.uid) this.#options.onChange(object, "deleted");
    }
    for (const [key, object] of found) {
      const { metadata } = before.get(key) ?? {};
      if (metadata?.uid !== object.metadata.uid || metadata === undefined)
        this.#options.onChange(object, "added");
      else if (metadata.resourceVersion !== object.metadata.resourceVersion)
        this.#options.onChange(object, "modified");
    }
  }

  #take({ type, object }: WatchEvent): void {
    if (this.#brokeOff) this.#recovered();
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
    this.#backoff.reset();
    if (type === "BOOKMARK") return;
    const key = keyOf(object);
    const isKnown = this.#store.has(key);
    const kept = this.#kept(object);
    if (type !== "DELETED") {
      this.#store.set(key, kept);
      this.#options.onChange(kept, isKnown ? "modified" : "added");
    } else if (this.#store.delete(key)) this.#options.onChange(kept, "deleted");
  }

  #kept(object: KubernetesObject): KubernetesObject {
    return this.#options.keep?.(object) ?? object;
  }

  #succeeded(): void {
    const hadFailed = this.#failure !== undefined;
    this.#failure = undefined;
    if (hadFailed) this.#options.onRecover?.();
    if (!this.#brokeOff) this.#recovered();
  }

  #recovered(): void {
    this.#brokeOff = false;
    this.#faults.recover("watch", "watches again", { kind: this.#kind.kind });
  }

  #failed(failure: ApiFailure): void {
    this.#failure = failure;
    const { reason, message } = failure;
    if (!RESUMED.has(reason)) this.#resourceVersion = undefined;
    if (reason === "not_found") {
      this.#exists = false;
      this.#hasSynced = true;
      this.#become(new Map());
    } else if (reason !== "gone")
      this.#faults.fail("watch", "cannot watch", { kind: this.#kind.kind, reason, err: message }, "warn");
  }

  async #pause(reason: RestartReason): Promise<void> {
    this.#wake = new AbortController();
    const ms = reason === "not_found" ? UNKNOWN_KIND_MS : this.#backoff.nextMs(this.#failure?.retryAfterMs);
    await pause(ms, this.#wake.signal);
  }
}

const keyOf = ({ metadata: { name, namespace = "" } }: KubernetesObject): string => `${namespace}/${name}`;

/** A watch that ends sooner, each time, is one of a server that has a fault. */
const SHORT_MS = 5000;
const UNKNOWN_KIND_MS = 30_000;

/** After these a watch goes on where it was; after all others there is a list first. */
const RESUMED: ReadonlySet<ApiReason> = new Set<ApiReason>([
  "connect",
  "tls",
  "timeout",
  "credentials",
  "unauthorized",
  "forbidden",
  "too_many_requests",
  "server_error",
]);
