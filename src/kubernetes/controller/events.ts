/**
 * Events of a Plumbline, as `kubectl describe plumbline` shows them: one for each transition. One that comes again soon
 * is counted on the same object.
 */
import { FaultLog } from "../../log/faults.ts";
import type { Log } from "../../log/log.ts";
import { ApiFailure } from "../client/failure.ts";
import { EVENT, type KubernetesObject, PLUMBLINE } from "../object.ts";
import { rfc3339, shortened } from "./conditions.ts";
import type { Writer } from "./writer.ts";

export interface Transition {
  readonly type: "Normal" | "Warning";
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Longer than that, and the same thing is news again. */
const SAME_WITHIN_MS = 10 * 60_000;
/** Of the API server: https://pkg.go.dev/k8s.io/kubernetes/pkg/apis/core/validation, `NoteLengthLimit`. */
const MAX_MESSAGE = 1024;
const SOURCE = "plumbline-operator";

interface Told {
  readonly name: string;
  count: number;
  at: number;
}

export class Events {
  readonly #writer: Writer;
  readonly #identity: string;
  readonly #faults: FaultLog;
  /** By Plumbline, reason and message. */
  readonly #told = new Map<string, Told>();

  constructor(writer: Writer, identity: string, log: Log) {
    this.#writer = writer;
    this.#identity = identity;
    this.#faults = new FaultLog(log);
  }

  /** Rejects only where nobody leads any more: an event that cannot be written is not worth failing for. */
  async tell(plumbline: KubernetesObject, transition: Transition): Promise<void> {
    this.#forget();
    const key = JSON.stringify([plumbline.metadata.uid, transition.reason, transition.message]);
    const told = this.#told.get(key);
    try {
      if (told === undefined || !(await this.#countAgain(told, plumbline)))
        await this.#create(key, plumbline, transition);
      this.#faults.recover("events", "events can be written again");
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      this.#faults.fail(
        "events",
        "cannot write an event",
        { reason: error.reason, err: error.message },
        "warn",
      );
    }
  }

  async #create(key: string, { metadata }: KubernetesObject, transition: Transition): Promise<void> {
    const { name, namespace = "", uid = "", resourceVersion = "" } = metadata;
    const eventName = `${name}.${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`;
    const now = rfc3339();
    const { type, reason, message } = transition;
    await this.#writer.create({
      apiVersion: EVENT.apiVersion,
      kind: EVENT.kind,
      metadata: { name: eventName, namespace },
      involvedObject: {
        apiVersion: PLUMBLINE.apiVersion,
        kind: PLUMBLINE.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
      type,
      reason,
      message: shortened(message, MAX_MESSAGE),
      source: { component: SOURCE },
      reportingComponent: SOURCE,
      reportingInstance: this.#identity,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    });
    this.#told.set(key, { name: eventName, count: 1, at: performance.now() });
  }

  /** False where the event is no longer there. */
  async #countAgain(told: Told, { metadata }: KubernetesObject): Promise<boolean> {
    try {
      const counted = { count: told.count + 1, lastTimestamp: rfc3339() };
      await this.#writer.patch(EVENT, told.name, metadata.namespace, counted);
      told.count++;
      told.at = performance.now();
      return true;
    } catch (error) {
      if (error instanceof ApiFailure && error.reason === "not_found") return false;
      throw error;
    }
  }

  #forget(): void {
    const oldest = performance.now() - SAME_WITHIN_MS;
    for (const [key, { at }] of this.#told) if (at < oldest) this.#told.delete(key);
  }
}
