/** The graph of block devices in `/sys`: what a device number is called, and what lies below a device. */

export type BackingRole = "multipath" | "partition_parent" | "leaf";

/** What lies below a block device. */
export interface Backing {
  readonly devices: readonly { readonly device: string; readonly role: BackingRole }[];
  /** False: slaves could not be read, form a loop or go too deep, and `devices` is what is known all the same. */
  readonly complete: boolean;
}
