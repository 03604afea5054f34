/** What a node need not have, ZFS or Ceph, is no failure where it is not. */
import { PveFailure } from "./failure.ts";

export const isNotInstalled = (error: unknown): boolean =>
  error instanceof PveFailure &&
  (error.status === 501 ||
    (error.status === 500 && /\bnot (?:installed|initiali[sz]ed)\b/.test(error.phrase ?? "")));
