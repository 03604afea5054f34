/** What the shared calls of a scrape say, read once: `/cluster/status` and `/cluster/resources`. */

export interface ClusterStatus {
  /** Undefined on a standalone host. */
  readonly cluster: ClusterRow | undefined;
  /** In the order of their names. */
  readonly nodes: readonly NodeRow[];
  /** Rows that could not be used. */
  readonly invalid: number;
  readonly duplicate: number;
}

export interface ClusterRow {
  readonly name: string;
  readonly nodes: number | undefined;
  readonly version: number | undefined;
  readonly quorate: boolean | undefined;
}

export interface NodeRow {
  readonly name: string;
  readonly nodeid: number | undefined;
  readonly level: string;
  readonly isOnline: boolean;
  readonly isLocal: boolean;
}

/** One row of `/cluster/resources`, checked for its identity alone: `type`, `id` and what they are made of. */
export interface ResourceRow {
  readonly type: "node" | "qemu" | "lxc" | "storage" | "pool" | "sdn" | "network";
  /** `node/pve1`, `qemu/100`, `storage/pve1/local`, `/pool/x`, `sdn/…`, `network/…`. */
  readonly id: string;
  /** Undefined for a pool. */
  readonly node: string | undefined;
  /** Of a guest. */
  readonly vmid: number | undefined;
  /** All members, as they came. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Resources {
  /** In the order of their ids. */
  readonly rows: readonly ResourceRow[];
  readonly invalid: number;
  /** Rows of a type that only a later release knows. */
  readonly unknown: number;
  readonly duplicate: number;
}
