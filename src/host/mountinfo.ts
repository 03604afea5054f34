/** The mount table of this process's mount namespace: `/proc/self/mountinfo`; proc_pid_mountinfo(5). */

/** One line. Paths are unescaped. */
export interface Mount {
  /** `major:minor` of the file system's device; major 0 where it has none. */
  readonly device: string;
  /** Which directory or file of the file system is mounted: `/`, `/nvme1n1` for a bind mount of a device node. */
  readonly root: string;
  readonly mountPoint: string;
  readonly fstype: string;
  /** `/dev/sdb`, `10.0.0.1:/export`, or a word without meaning. */
  readonly source: string;
}

/** The part of a mount table that concerns one directory. */
export interface MountsBelow {
  /** The mount that holds the directory itself; undefined where the table has none, not even of `/`. */
  readonly holder: Mount | undefined;
  /** By mount point: those at and below the directory; the last line of a mount point wins. */
  readonly below: ReadonlyMap<string, Mount>;
}
