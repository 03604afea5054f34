/** The graph of block devices in `/sys`: what a device number is called, and what lies below a device. */

export type BackingRole = "multipath" | "partition_parent" | "leaf";

/** What lies below a block device. */
export interface Backing {
  /** Sorted by name; each device once. */
  readonly devices: readonly { readonly device: string; readonly role: BackingRole }[];
  /** False: slaves could not be read, form a loop or go too deep, and `devices` is what is known all the same. */
  readonly complete: boolean;
}

/** Names are the kernel's own (`cciss/c0d0`), not those of sysfs (`cciss!c0d0`). */
export class BlockDevices {
  readonly sysfs: string;

  constructor(sysfs: string) {
    this.sysfs = sysfs;
  }

  /**
   * The start of a discovery: answers from here on are as true as if nothing had been asked before. The generation
   * is the same as before only if every answer that was given is so too.
   */
  refresh(): number {
    return 0;
  }

  /** Name of the device with the number `major:minor`; undefined where there is none. */
  nameOf(_majorMinor: string): string | undefined {
    return undefined;
  }

  exists(_name: string): boolean {
    return false;
  }

  /** `dm-3` for the name that `/dev/mapper` has for it. */
  dmNamed(_dmName: string): string | undefined {
    return undefined;
  }

  backing(_name: string): Backing {
    return { devices: [], complete: false };
  }

  close(): void {}
}
