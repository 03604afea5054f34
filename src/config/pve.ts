/** Proxmox VE in the settings: the clusters that are asked at every scrape, and how hosts that /pve is sent to are asked. */
import type { Secret } from "./secret.ts";

export interface PveSettings {
  /** Hosts that /pve may be sent to, names with `*` or CIDR ranges; undefined: all. */
  readonly allowedTargets: readonly string[] | undefined;
  /** Whether pve_ha_state and pve_lock_state also say what is not the case. */
  readonly zeroStates: boolean;
  readonly deprecatedGauges: boolean;
  /** Whether the calls behind /pve, and its answers, are told as prometheus-pve-exporter does, each in its metrics. */
  readonly apiMetrics: boolean;
  readonly targetMetrics: boolean;
  readonly targets: readonly PveTarget[];
  /** Of pve.yml or the variables PVE_…, by name. */
  readonly modules: ReadonlyMap<string, PveHostModule>;
}

export interface PveTarget {
  /** The label `target`; no other target has it. */
  readonly name: string;
  /** `https://host:port` or `https://host:port/prefix`, at least one; all of the same cluster, the first preferred. */
  readonly endpoints: readonly string[];
  readonly module: PveModule;
  /** The label `cluster`; undefined: what the cluster calls itself. */
  readonly cluster: string | undefined;
  /** By bare name, "physical-disks": only those that this target's section switches on or off. */
  readonly collectors: Readonly<Record<string, boolean>>;
  readonly physicalDisks: {
    /** 0: a full call every scrape. */
    readonly smartIntervalMs: number | "never";
    readonly excludeNodes: readonly string[];
  };
  /** With more guests the collector `config` asks nothing. */
  readonly configGuestLimit: number;
}

/** How somebody logs in: a module of pve.yml, or the part of a target that says the same. */
export interface PveModule {
  readonly credentials: PveCredentials;
  readonly tls: PveTls;
  /** Longest time of one call. */
  readonly timeoutMs: number;
}

/** A module for hosts that are yet to be named. */
export interface PveHostModule extends PveModule {
  readonly port: number;
  /** `/prefix` of a proxy in front, or empty. */
  readonly pathPrefix: string;
}

export type PveCredentials =
  /** `user` with its realm, `plumbline@pve`; `tokenName` is the part after `!`. */
  | { readonly kind: "token"; readonly user: string; readonly tokenName: string; readonly secret: Secret }
  | {
      readonly kind: "password";
      readonly user: string;
      readonly password: Secret;
      readonly otp?: Secret | undefined;
    };

export interface PveTls {
  /** PEM; read again at each call. */
  readonly caFile?: string | undefined;
  /** SHA-256 of the server's certificate in hex, with or without colons; nothing else of it is verified then. */
  readonly fingerprint?: string | undefined;
  readonly verify: boolean;
}

/** Of a program that was told nothing of Proxmox VE. */
export const NO_PVE: PveSettings = {
  allowedTargets: undefined,
  zeroStates: true,
  deprecatedGauges: true,
  apiMetrics: false,
  targetMetrics: false,
  targets: [],
  modules: new Map(),
};
