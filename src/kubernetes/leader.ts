/**
 * The election of a leader by a Lease, with the times that client-go uses: a leader that has not renewed for 10 s
 * stops, and the others wait for 15 s in which the Lease has not changed before one takes it.
 */
import * as v from "valibot";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { KubernetesApi } from "./client/api.ts";
import { pause } from "./client/backoff.ts";
import { ApiFailure } from "./client/failure.ts";
import { type KubernetesObject, LEASE } from "./object.ts";

export const LEASE_NAME = "plumbline-operator";

export interface LeaseTiming {
  readonly durationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

export const LEASE_TIMING: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

/** From taking the Lease to losing it. */
export interface Term {
  /** Aborts as soon as the Lease is lost or given back. */
  readonly signal: AbortSignal;
  /** By the clocks, not by a timer: a process that was stopped or starved for long learns here that its time is over. */
  isOver(): boolean;
}

const LeaseSpecSchema = v.looseObject({
  holderIdentity: v.fallback(v.nullish(v.string(), ""), ""),
  leaseTransitions: v.fallback(v.nullish(v.number(), 0), 0),
  acquireTime: v.fallback(v.nullish(v.string()), undefined),
});

interface Observed {
  readonly lease: KubernetesObject;
  readonly holder: string;
  readonly transitions: number;
  readonly acquireTime: string | undefined;
}

export class Election {
  readonly #api: KubernetesApi;
  readonly #namespace: string;
  readonly #identity: string;
  readonly #log: Log;
  readonly #faults: FaultLog;
  readonly #timing: LeaseTiming;
  #observed: Observed | undefined;
  /** When the Lease was last seen to change, on the clock of `performance.now()`. */
  #changedAt = performance.now();
  /** When the last renewal that succeeded was begun; undefined where it does not lead. */
  #renewedAt: Clocks | undefined;

  constructor(
    api: KubernetesApi,
    place: { readonly namespace: string; readonly identity: string },
    log: Log,
    timing: LeaseTiming = LEASE_TIMING,
  ) {
    this.#api = api;
    this.#namespace = place.namespace;
    // Two processes that bear one name, as a container that is started again does, must not both hold the Lease.
    this.#identity = `${place.identity}_${crypto.randomUUID()}`;
    this.#log = log;
    this.#faults = new FaultLog(log);
    this.#timing = timing;
  }

  /** Who holds the Lease, without the part that tells processes of one name apart. */
  get leader(): string | undefined {
    const holder = this.#observed?.holder ?? "";
    return holder === "" ? undefined : holder.replace(/_[0-9a-f-]{36}$/, "");
  }

  get isLeader(): boolean {
    return this.#renewedAt !== undefined && !this.#isOver();
  }

  /** Runs `lead` for each term, until the signal; the Lease is then given back. Never rejects. */
  async run(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      if (await this.#attempt(signal)) await this.#term(signal, lead);
      else await pause(this.#timing.retryMs * (1 + Math.random() * 0.2), signal);
    }
  }

  async #term(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<void> {
    this.#log.info("leading", { lease: `${this.#namespace}/${LEASE_NAME}` });
    const ended = new AbortController();
    const leading = lead({
      signal: AbortSignal.any([signal, ended.signal]),
      isOver: () => signal.aborted || ended.signal.aborted || this.#isOver(),
    });
    await this.#renew(signal);
    ended.abort();
    if (signal.aborted) {
      await leading;
      await this.#release();
    } else {
      this.#log.warn("the Lease is lost; nothing is written any more until it is taken again", {
        lease: `${this.#namespace}/${LEASE_NAME}`,
      });
      this.#renewedAt = undefined;
      await leading;
    }
  }

  /** Until the signal, or until the Lease is lost. */
  async #renew(signal: AbortSignal): Promise<void> {
    const { retryMs } = this.#timing;
    while (!signal.aborted && !this.#isOver()) {
      await pause(Math.min(retryMs, this.#leftMs()), signal);
      if (signal.aborted) return;
      if (!this.#isOver() && !(await this.#attempt(signal)) && this.#renewedAt === undefined) return;
    }
  }

  #isOver(): boolean {
    return this.#leftMs() <= 0;
  }

  #leftMs(): number {
    return this.#renewedAt === undefined ? 0 : this.#timing.renewDeadlineMs - elapsedMs(this.#renewedAt);
  }

  /** Takes or renews the Lease; whether it is held now. A failed renewal leaves the term to run out. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const begun = clocks();
    const longestMs = this.#timing.renewDeadlineMs / 2;
    const limitMs = this.#renewedAt === undefined ? longestMs : Math.min(longestMs, this.#leftMs());
    try {
      const limit = AbortSignal.timeout(Math.max(1, Math.ceil(limitMs)));
      const isHeld = await this.#takeOrRenew(AbortSignal.any([signal, limit]));
      this.#renewedAt = isHeld ? begun : undefined;
      this.#faults.recover("lease", "the Lease can be read and written again");
      return isHeld;
    } catch (error) {
      // Somebody was faster: how the Lease stands now is what the next attempt looks at.
      if (!signal.aborted && !isConflict(error)) this.#complain(error);
      return false;
    }
  }

  async #takeOrRenew(signal: AbortSignal): Promise<boolean> {
    const found = await this.#api.get(LEASE, LEASE_NAME, this.#namespace, signal);
    if (found === undefined) {
      const { apiVersion, kind } = LEASE;
      const metadata = { name: LEASE_NAME, namespace: this.#namespace };
      const spec = this.#spec(undefined);
      this.#observe(await this.#api.create({ apiVersion, kind, metadata, spec }, signal));
      return true;
    }
    const observed = this.#observe(found);
    const isFree = observed.holder === "" || performance.now() - this.#changedAt >= this.#timing.durationMs;
    if (observed.holder !== this.#identity && !isFree) return false;
    this.#observe(await this.#api.replace({ ...found, spec: this.#spec(observed) }, signal));
    return true;
  }

  #observe(lease: KubernetesObject): Observed {
    const spec = v.parse(LeaseSpecSchema, lease["spec"] ?? {});
    if (lease.metadata.resourceVersion !== this.#observed?.lease.metadata.resourceVersion)
      this.#changedAt = performance.now();
    this.#observed = {
      lease,
      holder: spec.holderIdentity ?? "",
      transitions: spec.leaseTransitions ?? 0,
      acquireTime: spec.acquireTime ?? undefined,
    };
    return this.#observed;
  }

  #spec(observed: Observed | undefined) {
    const now = microTime();
    const isMine = observed?.holder === this.#identity;
    return {
      holderIdentity: this.#identity,
      leaseDurationSeconds: Math.ceil(this.#timing.durationMs / 1000),
      acquireTime: isMine ? (observed.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: observed === undefined ? 0 : observed.transitions + (isMine ? 0 : 1),
    };
  }

  /**
   * So that the next one need not wait. What is not given back in time runs out by itself. A renewal that was cut off
   * may have been written, or be written yet: the Lease is read anew, and once more if it changed meanwhile.
   */
  async #release(): Promise<void> {
    if (this.#renewedAt === undefined || this.#isOver()) return;
    this.#renewedAt = undefined;
    const limit = AbortSignal.timeout(2000);
    try {
      await this.#giveBack(limit).catch((error) => {
        if (!isConflict(error)) throw error;
        return this.#giveBack(limit);
      });
    } catch (error) {
      this.#log.warn("cannot give the Lease back; it runs out by itself", told(error));
    }
  }

  async #giveBack(signal: AbortSignal): Promise<void> {
    const found = await this.#api.get(LEASE, LEASE_NAME, this.#namespace, signal);
    if (found === undefined) return;
    const observed = this.#observe(found);
    if (observed.holder !== this.#identity) return;
    const spec = { ...this.#spec(observed), holderIdentity: "", leaseDurationSeconds: 1 };
    await this.#api.replace({ ...found, spec }, signal);
    this.#log.info("the Lease is given back");
  }

  #complain(error: unknown): void {
    this.#faults.fail("lease", "cannot take or renew the Lease", told(error));
  }
}

const told = (error: unknown) =>
  error instanceof ApiFailure
    ? { err: error.message, reason: error.reason }
    : { err: "the API server did not answer in time", reason: "timeout" };

const isConflict = (error: unknown): boolean => error instanceof ApiFailure && error.reason === "conflict";

interface Clocks {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

const clocks = (): Clocks => ({ monotonicMs: performance.now(), wallMs: Date.now() });

/** The longer of the two, so that a leader errs to its own loss: while a machine is suspended one of them stands still. */
const elapsedMs = ({ monotonicMs, wallMs }: Clocks): number =>
  Math.max(performance.now() - monotonicMs, Date.now() - wallMs);

/** As `metav1.MicroTime` is written. */
const microTime = (): string => new Date().toISOString().replace("Z", "000Z");
