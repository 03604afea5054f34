/** One host that answers for a cluster, and how it is asked: every name and number is checked by the configuration. */
import type { PveCredentials, PveTls } from "../config/pve.ts";

export type { PveCredentials, PveTls } from "../config/pve.ts";

export interface PveEndpoint {
  /** `https://host:port` and a prefix where a proxy has one, without a slash at the end. */
  readonly url: string;
  readonly tls: PveTls;
  readonly credentials: PveCredentials;
  /** Of one call; the calls' own limits are in `CallLimits`, this one is for logging in. */
  readonly timeoutMs: number;
}

/** `plumbline@pve!metrics`, or `plumbline@pve`: as the access control lists have it. */
export const identityOf = (credentials: PveCredentials): string =>
  credentials.kind === "token" ? `${credentials.user}!${credentials.tokenName}` : credentials.user;
