/** What a collector of Proxmox VE is: one file in `collectors/`, which asks through a `Round` and tells a `Report`. */
import type { Descriptor, MetricType } from "../metrics/descriptor.ts";
import * as metrics from "../metrics/descriptor.ts";
import type { LabelValues } from "../metrics/samples.ts";
import type { States } from "../metrics/states.ts";
import type { ClusterStatus, Resources } from "./model.ts";
import type { SlowRound } from "./slow.ts";

export interface PveCollector {
  /** Without `pve-`: "node-status". */
  readonly name: string;
  /** One line for `--help`. */
  readonly help: string;
  /** Gated by `cluster=` or by `node=` of /pve. */
  readonly scope: "cluster" | "node";
  /** Whether it runs where nobody said anything; undefined: not to be had there. */
  readonly defaults: { readonly pve: boolean | undefined; readonly metrics: boolean };
  /** In the order of the documentation; those of `always` are exported with HELP and TYPE also without a sample. */
  readonly descriptors: readonly Descriptor[];
  readonly always: readonly Descriptor[];
  /** What it throws has failed as a whole; what it added before is served all the same. */
  collect(round: Round, report: Report): Promise<void>;
}

/** One scrape of one target. */
export interface Round {
  /** Of the answering endpoint, "9.2"; a major release that is not known counts as 9. */
  readonly release: () => Promise<{ readonly text: string; readonly major: number }>;
  /** Each asked at most once a round. */
  readonly status: () => Promise<ClusterStatus>;
  readonly resources: () => Promise<Resources>;
  /**
   * Nodes that collectors of scope `node` ask: on /pve the local one, else all that are online. Those that are offline
   * have been left out as `node_offline` for whoever asks this. Rejects with a PveFailure.
   */
  readonly nodes: () => Promise<readonly string[]>;
  /** `data` of a GET below /api2/json. Rejects with a PveFailure. */
  get(path: string, options?: CallOptions): Promise<unknown>;
  /** A call that goes on when the round is over, for `limitMs` of its own: for slow readings alone. */
  getLasting(path: string, options: CallOptions & { readonly limitMs: number }): Promise<unknown>;
  /** Of the target's `SlowReadings`, begun with this round. */
  readonly slow: SlowRound;
  /** On the clock of `performance.now()`: when what was collected is handed in. No `get` is waited for longer. */
  readonly end: number;
  readonly options: CollectorOptions;
}

/** What the configuration says to collectors. */
export interface CollectorOptions {
  /** Whether pve_ha_state and pve_lock_state also say what is not the case. */
  readonly zeroStates: boolean;
  readonly deprecatedGauges: boolean;
  readonly physicalDisks: {
    /** 0: a full call every scrape. */
    readonly smartIntervalMs: number | "never";
    readonly excludeNodes: readonly string[];
  };
  /** With more guests `config` asks nothing; undefined: there is no limit, as on /pve. */
  readonly configGuestLimit: number | undefined;
}

export interface CallOptions {
  /** Whose call it is: at most two at a time to one node, and none behind one that could not be reached. */
  readonly node?: string;
  /** The collector asks one thing after another: this goes before all that can be asked side by side. */
  readonly isFirst?: boolean;
  /** Less than the target's own `timeout`. */
  readonly limitMs?: number;
  readonly maxBytes?: number;
}

/** Why something was left out; bounded, and the label `reason`. */
export const SKIP_REASONS = [
  "node_offline",
  "unreachable",
  "timeout",
  "forbidden",
  "unauthorized",
  "gone",
  "error",
  "too_large",
  "invalid",
  "duplicate",
  "limit",
  "no_quorum",
  "stale",
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

export interface Report {
  /** The family is exported with its HELP and TYPE also without a sample: for those that the options decide on. */
  declare(descriptor: Descriptor): void;
  add<Label extends string>(
    descriptor: Descriptor<Label | "cluster", "counter" | "gauge">,
    labels: LabelValues<Exclude<Label, "cluster">>,
    value: number,
  ): void;
  /** One series for each state, whose label is the family's last. */
  addStates<Label extends string, State extends Label>(
    descriptor: Descriptor<Label | "cluster", "gauge">,
    labels: LabelValues<Exclude<Label, State | "cluster">>,
    states: States<State>,
  ): void;
  /** Something was left out as is to be expected: the collector has succeeded all the same. A count of 0 says nothing. */
  leaveOut(reason: SkipReason, count?: number): void;
  /** A call or a record that was needed is missing: the collector has not succeeded. */
  lose(reason: SkipReason, count?: number): void;
  /** The same for what was thrown; also tells the log. Anything but a PveFailure is a bug and is thrown on. */
  failed(error: unknown): void;
}

/**
 * A family of the label `cluster` as well, which a program with one target leaves out. It is the first, so that the
 * series of one target after the other are in order.
 */
export const pveGauge = <const Labels extends readonly string[]>(
  name: string,
  help: string,
  labels: Labels,
) => metrics.gauge(name, help, withCluster(labels));

export const pveCounter = <const Labels extends readonly string[]>(
  name: string,
  help: string,
  labels: Labels,
) => metrics.counter(name, help, withCluster(labels));

const withCluster = <const Labels extends readonly string[]>(
  labels: Labels,
): readonly ["cluster", ...Labels] => ["cluster", ...labels];

export type PveDescriptor<Label extends string, Type extends MetricType> = Descriptor<
  Label | "cluster",
  Type
>;
