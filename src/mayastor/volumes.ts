/** Volumes: `GET /v0/volumes`, page by page; their status, target, replicas and rebuilds. */
import type { Descriptor } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import type { Tally } from "./model.ts";

export const VOLUME_DESCRIPTORS: readonly Descriptor[] = [];

export interface Volume {
  readonly uuid: string;
  /** The node of its target; `""` where it has none. */
  readonly targetNodeId: string;
}

/** By uuid. `getPage` is given a path below `/v0`. Throws RestFailure `bad_body` where a page is none, or the pages do not end. */
export async function readVolumes(
  getPage: (path: string) => Promise<unknown>,
  tally: Tally,
): Promise<Volume[]> {
  throw new Error(`to be done ${getPage} ${tally}`);
}

/** Uuids of volumes by those of their replicas. */
export function volumeOfReplica(volumes: readonly Volume[]): ReadonlyMap<string, string> {
  throw new Error(`to be done ${volumes}`);
}

export function addVolumes(samples: Samples, volumes: readonly Volume[]): void {
  throw new Error(`to be done ${samples} ${volumes}`);
}
