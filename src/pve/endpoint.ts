/** One host that answers for a cluster, and how it is asked: every name and number is checked by the configuration. */
import type { Secret } from "../config/secret.ts";

export interface PveEndpoint {
  /** `https://host:port` and a prefix where a proxy has one, without a slash at the end. */
  readonly url: string;
  readonly tls: PveTls;
  readonly credentials: PveCredentials;
  /** Of one call; the calls' own limits are in `CallLimits`, this one is for logging in. */
  readonly timeoutMs: number;
}

export interface PveTls {
  /** PEM; read again at each call. */
  readonly caFile?: string | undefined;
  /** SHA-256 of the server's certificate in hex, with or without colons; nothing else of it is verified then. */
  readonly fingerprint?: string | undefined;
  readonly verify: boolean;
}

export type PveCredentials =
  | { readonly kind: "token"; readonly user: string; readonly tokenName: string; readonly secret: Secret }
  | {
      readonly kind: "password";
      readonly user: string;
      readonly password: Secret;
      readonly otp?: Secret | undefined;
    };

/** `plumbline@pve!metrics`, or `plumbline@pve`: as the access control lists have it. */
export const identityOf = (credentials: PveCredentials): string =>
  credentials.kind === "token" ? `${credentials.user}!${credentials.tokenName}` : credentials.user;
