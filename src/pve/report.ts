/** What one collector has to tell of one target in one scrape. */
import type { Descriptor } from "../metrics/descriptor.ts";
import { type LabelValues, Samples } from "../metrics/samples.ts";
import type { States } from "../metrics/states.ts";
import type { Report, SkipReason } from "./contract.ts";
import { PveFailure } from "./failure.ts";

export class CollectorReport implements Report {
  readonly samples = new Samples();
  readonly skipped = new Map<SkipReason, number>();
  /** The first of each reason. */
  readonly failures = new Map<SkipReason, PveFailure>();
  /** Reasons for which something that was needed is missing. */
  readonly lost = new Set<SkipReason>();

  /** `always`: families that are exported also without a sample. */
  constructor(always: readonly Descriptor[]) {
    for (const descriptor of always) this.samples.declare(descriptor);
  }

  get success(): boolean {
    return this.lost.size === 0;
  }

  declare(descriptor: Descriptor): void {
    this.samples.declare(descriptor);
  }

  add<Label extends string>(
    descriptor: Descriptor<Label | "cluster", "counter" | "gauge">,
    labels: LabelValues<Exclude<Label, "cluster">>,
    value: number,
  ): void {
    this.samples.push(descriptor, labels, value);
  }

  addStates<Label extends string, State extends Label>(
    descriptor: Descriptor<Label | "cluster", "gauge">,
    labels: LabelValues<Exclude<Label, State | "cluster">>,
    states: States<State>,
  ): void {
    this.samples.push(descriptor, labels, states);
  }

  leaveOut(reason: SkipReason, count = 1): void {
    if (count > 0) this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + count);
  }

  lose(reason: SkipReason, count = 1): void {
    if (count <= 0) return;
    this.leaveOut(reason, count);
    this.lost.add(reason);
  }

  failed(error: unknown): void {
    if (!(error instanceof PveFailure)) throw error;
    // Between the list and the call a guest may go.
    if (error.reason === "gone") this.leaveOut("gone");
    else this.lose(error.reason);
    if (!this.failures.has(error.reason)) this.failures.set(error.reason, error);
  }
}
