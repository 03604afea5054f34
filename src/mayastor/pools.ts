/** Pools: `GET /v0/pools`, their status and space, also under the names of the official exporter. */
import { type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import type { Tally } from "./model.ts";

export const POOL_DESCRIPTORS: readonly Descriptor[] = [];

export interface Pool {
  readonly id: string;
  /** `""` where the service does not say. */
  readonly nodeId: string;
}

/** By node and id. Throws RestFailure `bad_body` where this is no list. */
export function decodePools(json: unknown, tally: Tally): Pool[] {
  throw new Error(`to be done ${json} ${tally}`);
}

export function addPools(
  samples: Samples,
  pools: readonly Pool[],
  options: { readonly officialNames: boolean },
): void {
  throw new Error(`to be done ${samples} ${pools} ${options} ${gauge}`);
}
