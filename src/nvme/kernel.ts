/**
 * The ioctl seam: all that asking an NVMe controller needs of an operating system. `host/` fills it with libc, the
 * demo and the tests with a simulator; it lives inside a Worker, because every call may block.
 */

export interface NodeStat {
  readonly isCharacterDevice: boolean;
  /** `major:minor`, as in sysfs `dev`. */
  readonly device: string;
}

/** Every call answers a negated errno (−13 for EACCES) where it fails. */
export interface Kernel {
  /** O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC; the file descriptor. */
  open(path: string): number;
  stat(fd: number): NodeStat | number;
  /**
   * NVME_IOCTL_ADMIN_CMD. `command` is struct nvme_passthru_cmd (72 bytes, little endian) with `addr` and `data_len`
   * still 0; the implementation points them at `page`. 0: `page` is filled; > 0: the NVMe status.
   */
  adminCommand(fd: number, command: Uint8Array, page: Uint8Array): number;
  close(fd: number): void;
}
