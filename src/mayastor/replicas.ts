/** Replicas: `GET /v0/replicas`, their status and space. */
import type { Descriptor } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import type { Tally } from "./model.ts";

export const REPLICA_DESCRIPTORS: readonly Descriptor[] = [];

export interface Replica {
  readonly uuid: string;
}

/** By node, pool and uuid. Throws RestFailure `bad_body` where this is no list. */
export function decodeReplicas(json: unknown, tally: Tally): Replica[] {
  throw new Error(`to be done ${json} ${tally}`);
}

export function addReplicas(
  samples: Samples,
  replicas: readonly Replica[],
  volumeOf: ReadonlyMap<string, string>,
): void {
  throw new Error(`to be done ${samples} ${replicas} ${volumeOf}`);
}
