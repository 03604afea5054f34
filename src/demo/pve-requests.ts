/** What a simulated Proxmox VE has been asked, for tests that count calls. */
import type { WireRequest } from "./pve-wire.ts";

export class PveRequests {
  /** In the order in which they came. */
  readonly seen: SeenRequest[] = [];
  /** By path without the query. */
  readonly counts = new Map<string, number>();
  /** Bodies that came with a request. */
  readonly bodies: string[] = [];
  /** Connections that were made. */
  connections = 0;
  /** How many requests were open at once. */
  highest = 0;
  /** The same of those for a node; what is about the cluster counts for the node that is asked. */
  readonly highestPerNode = new Map<string, number>();
  readonly #asked: string;
  readonly #open = new Set<SeenRequest>();

  constructor(asked: string) {
    this.#asked = asked;
  }

  get open(): number {
    return this.#open.size;
  }

  begin({ method, body }: WireRequest, path: string): SeenRequest {
    const [plain = path] = path.split("?");
    const node = /^\/nodes\/([^/]+)/.exec(plain)?.[1];
    const request = { method, path, node, status: 0 };
    this.seen.push(request);
    this.counts.set(plain, (this.counts.get(plain) ?? 0) + 1);
    if (body !== "") this.bodies.push(body);

    this.#open.add(request);
    this.highest = Math.max(this.highest, this.#open.size);
    const at = node ?? this.#asked;
    const there = [...this.#open].filter((open) => (open.node ?? this.#asked) === at).length;
    this.highestPerNode.set(at, Math.max(this.highestPerNode.get(at) ?? 0, there));
    return request;
  }

  /** It was answered, or whoever sent it is gone. */
  end(request: SeenRequest, status = request.status): void {
    request.status = status;
    this.#open.delete(request);
  }

  /** Forgets all but what is open. */
  clear(): void {
    this.seen.length = 0;
    this.bodies.length = 0;
    this.counts.clear();
    this.highestPerNode.clear();
    this.highest = 0;
    this.connections = 0;
  }
}

export interface SeenRequest {
  readonly method: string;
  /** After /api2/json, with its query. */
  readonly path: string;
  /** The node that it is for; undefined for the whole cluster. */
  readonly node: string | undefined;
  /** 0 until it is answered, and for one that never was. */
  status: number;
}
