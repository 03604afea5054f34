/** The events of a watch, one JSON document a line, as they come. */
import type { KubernetesObject } from "./object.ts";

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  /** Of a BOOKMARK nothing but `metadata.resourceVersion` counts. */
  readonly object: KubernetesObject;
}
