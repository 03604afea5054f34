/** What of a target outlives a scrape: its connections, its queue, and calls that go on between scrapes. */
import type { CallOptions } from "./contract.ts";
import { type Connect, type Connection, Endpoints, MAX_BYTES } from "./endpoints.ts";
import { PveFailure } from "./failure.ts";
import { Schedule } from "./schedule.ts";
import { SlowReadings } from "./slow.ts";
import type { PveTarget } from "./target.ts";

export class Site {
  readonly target: PveTarget;
  readonly schedule = new Schedule();
  readonly slow: SlowReadings;
  readonly endpoints: Endpoints;
  readonly #closing = new AbortController();

  constructor(target: PveTarget, connect: Connect, slow = new SlowReadings()) {
    this.target = target;
    this.slow = slow;
    this.endpoints = new Endpoints(target, this.schedule, connect);
  }

  /** Its time begins when it goes out. Rejects with PveFailure, also where the site was closed. */
  getLasting(
    connection: Connection,
    path: string,
    { node, limitMs, maxBytes = MAX_BYTES }: CallOptions & { readonly limitMs: number },
  ): Promise<unknown> {
    const { signal } = this.#closing;
    return this.schedule.run({ node, signal, isLasting: true }, () =>
      connection.get(path, { signal, deadline: performance.now() + limitMs, maxBytes }),
    );
  }

  close(): void {
    this.#closing.abort(new PveFailure("timeout", "/", "the target is asked no longer"));
    this.endpoints.close();
  }
}
