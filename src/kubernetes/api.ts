/** Requests to the API server: one method a verb, each within a limit of time and size. */
import type { Log } from "../log/log.ts";
import type { ClusterAccess } from "./access.ts";
import type { Kind, KubernetesObject, Manifest } from "./object.ts";
import type { WatchEvent } from "./watch.ts";

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

/** Every method rejects with ApiFailure, or with the signal's reason where that aborts. */
export class KubernetesApi {
  constructor(_access: ClusterAccess, _options: ApiOptions) {}

  /** Undefined: there is no such object, or no such kind (404). */
  get(
    _kind: Kind,
    _name: string,
    _namespace: string | undefined,
    _signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    return notYet();
  }

  list(
    _kind: Kind,
    _scope: Scope,
    _signal: AbortSignal,
  ): Promise<{ items: KubernetesObject[]; resourceVersion: string }> {
    return notYet();
  }

  /** The same list, page by page. */
  async *pages(_kind: Kind, _scope: Scope, _signal: AbortSignal): AsyncGenerator<Page> {
    yield await notYet();
  }

  /** Ends when the server ends it, or has said nothing for too long. */
  async *watch(
    _kind: Kind,
    _scope: Scope,
    _resourceVersion: string,
    _signal: AbortSignal,
  ): AsyncGenerator<WatchEvent> {
    yield await notYet();
  }

  /** ApiFailure("conflict") where it exists. */
  create(_manifest: Manifest, _signal: AbortSignal): Promise<KubernetesObject> {
    return notYet();
  }

  /** Server-side apply; what another manager holds of the manifest's fields is taken over. */
  apply(
    _manifest: Manifest,
    _signal: AbortSignal,
    _options: { readonly subresource?: "status"; readonly fieldManager?: string } = {},
  ): Promise<KubernetesObject> {
    return notYet();
  }

  /** JSON merge patch. */
  patch(
    _kind: Kind,
    _name: string,
    _namespace: string | undefined,
    _mergePatch: unknown,
    _signal: AbortSignal,
    _options: { readonly subresource?: "status" } = {},
  ): Promise<KubernetesObject> {
    return notYet();
  }

  /** ApiFailure("conflict") where it has another resourceVersion by now. */
  replace(_object: KubernetesObject, _signal: AbortSignal): Promise<KubernetesObject> {
    return notYet();
  }

  /** Resolves as well where there is no such object. */
  delete(_kind: Kind, _name: string, _namespace: string | undefined, _signal: AbortSignal): Promise<void> {
    return notYet();
  }

  /** Closes idle connections. */
  close(): void {}
}

const notYet = (): Promise<never> => Promise.reject(new Error("not yet"));
