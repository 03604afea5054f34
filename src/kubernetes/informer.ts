/** Keeps a copy of the objects of one kind, and tells of each that changes. */
import type { Log } from "../log/log.ts";
import type { KubernetesApi, Scope } from "./api.ts";
import type { ApiFailure, ApiReason } from "./failure.ts";
import type { Kind, KubernetesObject } from "./object.ts";

export type Change = "added" | "modified" | "deleted";
/** `ended`: as watches do after some minutes. */
export type RestartReason = ApiReason | "ended";

export interface InformerOptions {
  readonly log: Log;
  /** The store holds the change already. For "deleted": the object as it was last. */
  onChange(object: KubernetesObject, change: Change): void;
  /** A watch or a list that ended is begun again. */
  onRestart?(reason: RestartReason): void;
  /** What of an object is kept, for large ones that come by the thousand. */
  keep?(object: KubernetesObject): KubernetesObject;
}

export class Informer {
  constructor(_api: KubernetesApi, _kind: Kind, _scope: Scope, _options: InformerOptions) {}

  /** Goes on until the signal aborts, then resolves. */
  run(_signal: AbortSignal): Promise<void> {
    return Promise.reject(new Error("not yet"));
  }

  /** Whether the store has held all objects once. */
  get hasSynced(): boolean {
    return false;
  }

  /** False: the server does not know the kind, and the store is empty. */
  get exists(): boolean {
    return false;
  }

  /** Of the last attempt. */
  get failure(): ApiFailure | undefined {
    return undefined;
  }

  get(_name: string, _namespace?: string): KubernetesObject | undefined {
    return undefined;
  }

  list(): readonly KubernetesObject[] {
    return [];
  }
}
