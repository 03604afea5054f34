/** What is asked of Mayastor's REST service for each resource, and what its answers are read as. */
import * as v from "valibot";
import { linearPattern } from "../config/linear-pattern.ts";
import type { Settings } from "../config/settings.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import { RestClient } from "../rest/client.ts";
import type { Tally } from "./model.ts";
import { decodeNode, decodeNodes, type Node } from "./nodes.ts";
import { decodePools, type Pool } from "./pools.ts";
import { decodeReplicas, type Replica } from "./replicas.ts";
import { readVolumes, type Volume } from "./volumes.ts";

const MIB = 2 ** 20;
const MAX_BYTES = 16 * MIB;
/** They come all at once, however many there are. */
const MAX_REPLICAS_BYTES = 64 * MIB;

/** Each method rejects with RestFailure, or with the reason of a signal that the caller aborted. */
export class MayastorClient {
  readonly #rest: RestClient;
  /** `/nodes/…` of the only node that is asked about; undefined for the whole cluster. */
  readonly #ownNode: string | undefined;
  readonly #isIgnored: (id: string) => boolean;

  constructor(endpoint: string, settings: Settings["mayastor"]) {
    const { nodeName, ignoreNodes, tokenFile, caFile, certFile, keyFile, insecureSkipVerify } = settings;
    const target = { base: endpoint, tokenFile, caFile, certFile, keyFile, insecureSkipVerify };
    this.#rest = new RestClient({ ...target, errorKindOf });
    this.#ownNode = nodeName === undefined ? undefined : `/nodes/${encodeURIComponent(nodeName)}`;
    const ignored = ignoreNodes.flatMap((pattern) => linearPattern(pattern) ?? []);
    this.#isIgnored = (id) => ignored.some((matches) => matches(id));
  }

  async nodes(context: ScrapeContext, tally: Tally): Promise<Node[]> {
    const json = await this.#get(this.#ownNode ?? "/nodes", context);
    return (this.#ownNode === undefined ? decodeNodes : decodeNode)(json, tally, this.#isIgnored);
  }

  async pools(context: ScrapeContext, tally: Tally): Promise<Pool[]> {
    return decodePools(await this.#get(`${this.#ownNode ?? ""}/pools`, context), tally);
  }

  /** Of the whole cluster, always: the service cannot tell those of one node. */
  volumes(context: ScrapeContext, tally: Tally): Promise<Volume[]> {
    return readVolumes((path) => this.#get(path, context), tally);
  }

  async replicas(context: ScrapeContext, tally: Tally): Promise<Replica[]> {
    const json = await this.#get(`${this.#ownNode ?? ""}/replicas`, context, MAX_REPLICAS_BYTES);
    return decodeReplicas(json, tally);
  }

  close(): void {
    this.#rest.close();
  }

  #get(path: string, { signal, deadline }: ScrapeContext, maxBytes = MAX_BYTES): Promise<unknown> {
    return this.#rest.getJson(path, { signal, deadline, maxBytes });
  }
}

/** RestJsonError of the API. Its other members may hold the token. */
const ErrorSchema = v.object({
  kind: v.picklist([
    "Timeout",
    "Deserialize",
    "Internal",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "NotShared",
    "NotPublished",
    "AlreadyPublished",
    "AlreadyShared",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Unavailable",
    "Unauthenticated",
    "Unauthorized",
    "Conflict",
    "FailedPersist",
    "Deleting",
    "InUse",
    "CapacityLimitExceeded",
    "NotAcceptable",
  ]),
});

function errorKindOf(body: unknown): string | undefined {
  const parsed = v.safeParse(ErrorSchema, body);
  return parsed.success ? parsed.output.kind : undefined;
}
