/**
 * One resource as it is fetched scrape after scrape: behind a circuit, in time, all of it or nothing; and what is said
 * of the fetches in metrics and in the log.
 */
import type { FaultLog } from "../log/faults.ts";
import type { LogFields } from "../log/log.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import { counter, type Descriptor, gauge } from "../metrics/descriptor.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { Samples } from "../metrics/samples.ts";
import { Circuit } from "../rest/circuit.ts";
import { FAILURE_REASONS, RestFailure } from "../rest/failure.ts";
import { type EnumField, type Resource, SKIP_REASONS, Tally } from "./model.ts";

const NODE_FETCH = {
  success: gauge(
    "mayastor_node_status_fetch_success",
    "Whether this scrape's fetch of the nodes succeeded (1) or not (0)",
    [],
  ),
  duration: gauge(
    "mayastor_node_status_fetch_duration_seconds",
    "Seconds that this scrape's fetch of the nodes took; 0 where the open circuit made no request",
    [],
  ),
  errors: counter("mayastor_node_status_fetch_errors_total", "Fetches of the nodes that failed, by reason", [
    "reason",
  ]),
  last: gauge(
    "mayastor_node_status_last_fetch_seconds",
    "Unix time of the last fetch of the nodes that succeeded in seconds",
    [],
  ),
};
const FETCH = {
  success: gauge(
    "mayastor_fetch_success",
    "Whether this scrape's fetch of the pools, volumes or replicas succeeded (1) or not (0)",
    ["resource"],
  ),
  duration: gauge(
    "mayastor_fetch_duration_seconds",
    "Seconds that this scrape's fetch took, all pages together; 0 where the open circuit made no request",
    ["resource"],
  ),
  errors: counter(
    "mayastor_fetch_errors_total",
    "Fetches of the pools, volumes or replicas that failed, by reason",
    ["resource", "reason"],
  ),
  last: gauge(
    "mayastor_last_fetch_seconds",
    "Unix time of the last fetch of the pools, volumes or replicas that succeeded in seconds",
    ["resource"],
  ),
};
const ITEMS_SKIPPED = counter(
  "mayastor_items_skipped_total",
  "Entries of an answer, or values of one, that were left out: malformed, duplicate, or ignored because the configuration says so",
  ["resource", "reason"],
);
const UNRECOGNIZED_VALUES = counter(
  "mayastor_unrecognized_values_total",
  "Values of an enumeration that the service gave and plumbline does not know, by field",
  ["field"],
);

export const FETCH_DESCRIPTORS: readonly Descriptor[] = [
  ...Object.values(NODE_FETCH),
  ...Object.values(FETCH),
  ITEMS_SKIPPED,
  UNRECOGNIZED_VALUES,
];

/** Rejects with RestFailure, or with the reason of a signal that the caller aborted. */
export type Read<T> = (context: ScrapeContext, tally: Tally) => Promise<T>;

export class ResourceFetch<T> {
  readonly #resource: Resource;
  readonly #read: Read<T>;
  readonly #timeoutMs: number;
  readonly #own: OwnMetrics;
  readonly #faults: FaultLog;
  readonly #families: Families;
  readonly #circuit = new Circuit();

  constructor(resource: Resource, read: Read<T>, timeoutMs: number, own: OwnMetrics, faults: FaultLog) {
    this.#resource = resource;
    this.#read = read;
    this.#timeoutMs = timeoutMs;
    this.#own = own;
    this.#faults = faults;
    this.#families = resource === "nodes" ? ofNodes(own) : ofResource(own, resource);
    // So that a first failure is seen as an increase.
    for (const reason of FAILURE_REASONS) this.#families.failed(reason, 0);
    for (const reason of SKIP_REASONS) own.counter(ITEMS_SKIPPED).inc({ resource, reason }, 0);
    for (const field of FIELDS[resource]) own.counter(UNRECOGNIZED_VALUES).inc({ field }, 0);
  }

  /** What was read; undefined where it failed, which `samples`, the counters and the log then tell. */
  async run(context: ScrapeContext, samples: Samples): Promise<T | undefined> {
    const startedAt = performance.now();
    const tally = new Tally();
    try {
      const found = await this.#circuit.guard((limitMs) => this.read(context, tally, limitMs));
      this.#families.ended(samples, true, (performance.now() - startedAt) / 1000);
      this.#families.succeeded(Date.now() / 1000);
      this.#faults.recover(
        this.#key("fetch"),
        `Mayastor's ${this.#resource} can be fetched again`,
        this.#fields,
      );
      this.#tell(tally);
      return found;
    } catch (error) {
      if (!(error instanceof RestFailure)) throw error;
      const isUnasked = error.reason === "circuit_open";
      this.#families.ended(samples, false, isUnasked ? 0 : (performance.now() - startedAt) / 1000);
      this.#families.failed(error.reason, 1);
      const { reason, status, kind, message } = error;
      const fields = { ...this.#fields, reason, status, kind, err: message };
      this.#faults.fail(this.#key("fetch"), `cannot fetch Mayastor's ${this.#resource}`, fields, "warn");
      return undefined;
    }
  }

  /** Reads once, whatever the circuit says, within what the scrape and the settings allow. */
  read({ signal, deadline }: ScrapeContext, tally: Tally, limitMs = Number.POSITIVE_INFINITY): Promise<T> {
    const now = performance.now();
    const left = deadline - now;
    const mostMs = Math.min(left - Math.min(RESERVE_MS, left / 2), this.#timeoutMs, limitMs);
    return this.#read({ signal, deadline: now + mostMs }, tally);
  }

  #tell({ skipped, unrecognized }: Tally): void {
    const resource = this.#resource;
    for (const reason of SKIP_REASONS) {
      const entries = skipped.get(reason) ?? 0;
      this.#own.counter(ITEMS_SKIPPED).inc({ resource, reason }, entries);
      const told = `Mayastor's ${resource} is left out`;
      // Whoever has entries ignored knows of them.
      if (reason !== "ignored")
        this.#note(
          reason,
          entries,
          `something of ${told}: ${reason}`,
          `nothing of ${told} any more: ${reason}`,
          { reason },
        );
    }
    for (const field of FIELDS[resource]) {
      const values = unrecognized.get(field) ?? 0;
      this.#own.counter(UNRECOGNIZED_VALUES).inc({ field }, values);
      this.#note(
        field,
        values,
        `Mayastor's ${resource} have a ${field} that plumbline does not know`,
        `every ${field} of Mayastor's ${resource} is known again`,
        { field },
      );
    }
  }

  #note(fault: string, count: number, message: string, end: string, about: LogFields): void {
    const fields = { ...this.#fields, ...about };
    if (count === 0) this.#faults.recover(this.#key(fault), end, fields);
    else this.#faults.fail(this.#key(fault), message, { ...fields, values: count }, "warn");
  }

  #key(fault: string): string {
    return `mayastor ${this.#resource} ${fault}`;
  }

  get #fields() {
    return { collector: "mayastor", resource: this.#resource };
  }
}

/** What is left of the scrape's time when a fetch has taken all of its own. */
const RESERVE_MS = 200;

/** Enumerations that the resource's answers have. */
const FIELDS: Readonly<Record<Resource, readonly EnumField[]>> = {
  nodes: ["node_status", "cordon_state"],
  pools: ["pool_status", "pool_spec_status"],
  volumes: ["volume_status", "target_state", "replica_status", "child_status"],
  replicas: ["replica_status"],
};

/** The metrics of the nodes' fetches have names of their own. */
interface Families {
  ended(samples: Samples, success: boolean, seconds: number): void;
  succeeded(unixSeconds: number): void;
  failed(reason: string, times: number): void;
}

function ofNodes(own: OwnMetrics): Families {
  const errors = own.counter(NODE_FETCH.errors);
  const last = own.gauge(NODE_FETCH.last);
  return {
    ended(samples, success, seconds) {
      samples.add(NODE_FETCH.success, {}, success ? 1 : 0);
      samples.add(NODE_FETCH.duration, {}, seconds);
    },
    succeeded: (unixSeconds) => last.set(unixSeconds),
    failed: (reason, times) => errors.inc({ reason }, times),
  };
}

function ofResource(own: OwnMetrics, resource: Resource): Families {
  const errors = own.counter(FETCH.errors);
  const last = own.gauge(FETCH.last);
  return {
    ended(samples, success, seconds) {
      samples.add(FETCH.success, { resource }, success ? 1 : 0);
      samples.add(FETCH.duration, { resource }, seconds);
    },
    succeeded: (unixSeconds) => last.set({ resource }, unixSeconds),
    failed: (reason, times) => errors.inc({ resource, reason }, times),
  };
}
