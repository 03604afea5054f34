/** What is asked: clusters of plumbline's configuration, and hosts that a caller of /pve names. All of it already validated. */
import type { PveCredentials, PveTls } from "./endpoint.ts";

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

export interface PveSettings {
  /** Hosts that /pve may be sent to, names with `*` or CIDR ranges; undefined: any. */
  readonly allowedTargets: readonly string[] | undefined;
  /** Whether pve_ha_state and pve_lock_state also say what is not the case. */
  readonly zeroStates: boolean;
  readonly deprecatedGauges: boolean;
  readonly targets: readonly PveTarget[];
  readonly modules: ReadonlyMap<string, PveModule>;
}

/** Of a program that was told nothing of Proxmox VE. */
export const NO_PVE: PveSettings = {
  allowedTargets: undefined,
  zeroStates: true,
  deprecatedGauges: true,
  targets: [],
  modules: new Map(),
};
