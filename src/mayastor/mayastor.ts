/** Collector `mayastor`: nodes, pools, volumes and replicas as the control plane sees them in this very scrape. */
import type { Settings } from "../config/settings.ts";
import type { FaultLog } from "../log/faults.ts";
import type { Collection, Collector, CollectorDescription, ScrapeContext } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { Samples } from "../metrics/samples.ts";
import type { MayastorClient } from "./client.ts";
import { FETCH_DESCRIPTORS, type Read, ResourceFetch } from "./fetch.ts";
import { findingsOf } from "./findings.ts";
import type { Resource } from "./model.ts";
import { addNodes, NODE_DESCRIPTORS, type Node } from "./nodes.ts";
import { addPools, POOL_DESCRIPTORS, type Pool } from "./pools.ts";
import { addReplicas, REPLICA_DESCRIPTORS, type Replica } from "./replicas.ts";
import { addVolumes, VOLUME_DESCRIPTORS, type Volume, volumeOfReplica } from "./volumes.ts";

export const MAYASTOR: CollectorDescription = {
  name: "mayastor",
  help: "Nodes, pools, volumes and replicas of Mayastor, from its control plane",
  descriptors: [
    ...NODE_DESCRIPTORS,
    ...POOL_DESCRIPTORS,
    ...VOLUME_DESCRIPTORS,
    ...REPLICA_DESCRIPTORS,
    ...FETCH_DESCRIPTORS,
  ],
};

export class MayastorCollector implements Collector {
  readonly name = MAYASTOR.name;
  readonly #settings: Settings["mayastor"];
  /** Undefined: it is not asked for. */
  readonly #nodes: ResourceFetch<Node[]> | undefined;
  readonly #pools: ResourceFetch<Pool[]> | undefined;
  readonly #volumes: ResourceFetch<Volume[]> | undefined;
  readonly #replicas: ResourceFetch<Replica[]> | undefined;

  constructor(
    client: Pick<MayastorClient, Resource>,
    settings: Settings["mayastor"],
    own: OwnMetrics,
    faults: FaultLog,
  ) {
    const { resources, timeoutMs } = settings;
    const fetchOf = <T>(resource: Resource, read: Read<T>): ResourceFetch<T> | undefined =>
      resources.includes(resource) ? new ResourceFetch(resource, read, timeoutMs, own, faults) : undefined;
    this.#settings = settings;
    this.#nodes = fetchOf("nodes", (context, tally) => client.nodes(context, tally));
    this.#pools = fetchOf("pools", (context, tally) => client.pools(context, tally));
    this.#volumes = fetchOf("volumes", (context, tally) => client.volumes(context, tally));
    this.#replicas = fetchOf("replicas", (context, tally) => client.replicas(context, tally));
  }

  /** What could be fetched is served, be it that another resource could not. */
  async collect(context: ScrapeContext): Promise<Collection> {
    const samples = new Samples();
    const [nodes, pools, volumes, replicas] = await Promise.all([
      this.#nodes?.run(context, samples),
      this.#pools?.run(context, samples),
      this.#volumes?.run(context, samples),
      this.#replicas?.run(context, samples),
    ]);
    const { resources, officialPoolNames: officialNames, nodeName } = this.#settings;
    if (nodes !== undefined) addNodes(samples, nodes);
    if (pools !== undefined) addPools(samples, pools, { officialNames });
    if (volumes !== undefined) addVolumes(samples, targetedAt(nodeName, volumes));
    if (replicas !== undefined) addReplicas(samples, replicas, volumeOfReplica(volumes ?? []));
    const read = [nodes, pools, volumes, replicas].filter((found) => found !== undefined);
    return { samples, success: read.length === resources.length };
  }

  check(context: ScrapeContext) {
    return findingsOf(this.#settings, context, {
      nodes: this.#nodes,
      pools: this.#pools,
      volumes: this.#volumes,
      replicas: this.#replicas,
    });
  }
}

const targetedAt = (nodeName: string | undefined, volumes: readonly Volume[]): readonly Volume[] =>
  nodeName === undefined ? volumes : volumes.filter(({ targetNodeId }) => targetNodeId === nodeName);
