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

/** The mount table cannot be had. */
export class MountInfoError extends Error {
  override readonly name = "MountInfoError";
  /** `EACCES`; `EFBIG` where the table is larger than any that plumbline reads. */
  readonly code: string;

  constructor(message: string, code: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** Pure. Lines that do not concern `directory` (absolute, resolved) are skipped unparsed; so is what is no line of a mount table. */
export function parseMountInfo(_bytes: Uint8Array, _directory: string): MountsBelow {
  throw new Error("being written");
}

/** The mount points whose mount differs: what was read at or below them may be another file system's now. */
export function changedMountPoints(_before: MountsBelow, _after: MountsBelow): string[] {
  throw new Error("being written");
}

/** `<procfs>/self/mountinfo`, read again only where the kernel says that it changed. */
export class MountTable {
  constructor(_path: string) {}

  /** `generation` grows when `mounts` may differ. Throws MountInfoError. */
  read(_directory: string): { readonly mounts: MountsBelow; readonly generation: number } {
    throw new Error("being written");
  }

  /** The next read reads, whatever the kernel says: see above for what it does not tell of. */
  forget(): void {}

  close(): void {}
}
