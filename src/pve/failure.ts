/** Why a call to the API of Proxmox VE gave nothing, in words that hold nothing secret and no body of an answer. */
import type { SkipReason } from "./contract.ts";

export class PveFailure extends Error {
  override readonly name = "PveFailure";
  readonly reason: SkipReason;
  /** Below /api2/json, without a query. */
  readonly path: string;
  readonly status: number | undefined;
  /** HTTP reason phrase, made safe: one line, bounded, printable. Never shown where it could hold what was sent. */
  readonly phrase: string | undefined;
  /** Of a 403: what is missing where. */
  readonly missing: { readonly privilege: string; readonly path: string } | undefined;

  constructor(
    reason: SkipReason,
    path: string,
    message: string,
    answer: {
      readonly status?: number;
      readonly phrase?: string;
      readonly missing?: { readonly privilege: string; readonly path: string };
    } = {},
  ) {
    super(message);
    this.reason = reason;
    this.path = path;
    this.status = answer.status;
    this.phrase = answer.phrase;
    this.missing = answer.missing;
  }
}
