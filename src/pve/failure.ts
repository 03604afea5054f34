/** Why a call to the API of Proxmox VE gave nothing, in words that hold nothing secret and no body of an answer. */
import type { SkipReason } from "./contract.ts";

export interface PveAnswer {
  readonly status?: number;
  readonly phrase?: string | undefined;
  readonly missing?: MissingRight | undefined;
  readonly network?: "connect" | "tls" | undefined;
}

export interface MissingRight {
  /** `Sys.Audit`, or several of which one suffices: `Sys.Audit|Datastore.Audit`. */
  readonly privilege: string;
  readonly path: string;
}

export class PveFailure extends Error {
  override readonly name = "PveFailure";
  readonly reason: SkipReason;
  /** Below /api2/json, without a query. */
  readonly path: string;
  /** Undefined where no answer came. */
  readonly status: number | undefined;
  /** HTTP reason phrase, made safe: one line, bounded, printable. Never shown where it could hold what was sent. */
  readonly phrase: string | undefined;
  /** Of a 403: what is missing where. */
  readonly missing: MissingRight | undefined;
  /** Why the endpoint itself gave no answer (`unreachable`); undefined where it answered that a node is unreachable. */
  readonly network: "connect" | "tls" | undefined;

  constructor(reason: SkipReason, path: string, message: string, answer: PveAnswer = {}) {
    super(message);
    this.reason = reason;
    this.path = path;
    this.status = answer.status;
    this.phrase = answer.phrase;
    this.missing = answer.missing;
    this.network = answer.network;
  }
}
