/** Calls into libc that no JavaScript runtime offers: ioctl, flock, statx of a descriptor, datagrams to systemd. */

export interface FileStat {
  readonly isCharacterDevice: boolean;
  readonly isRegularFile: boolean;
  /** The device that a device node stands for, `major:minor`; `0:0` for any other file. */
  readonly device: string;
  readonly uid: number;
  readonly sizeBytes: bigint;
}

/** Every call answers a negated errno (−13 for EACCES) where it fails. */
export interface Libc {
  open(path: string, flags: number, mode?: number): number;
  close(fd: number): number;
  ioctl(fd: number, request: bigint, argument: Uint8Array): number;
  stat(fd: number): FileStat | number;
  /** The address of the first byte; valid while `bytes` is referenced. */
  addressOf(bytes: Uint8Array): bigint;
}

export interface FileLock {
  unlock(): void;
}

/** Opens libc on the first call of a thread. Throws LibcError where no libc can be loaded. */
export function libc(): Libc {
  throw new Error("not written yet");
}

/** `EACCES` for 13; `errno 4711` for what has no name here. Takes the sign as it comes. */
export function errnoName(errno: number): string {
  return `errno ${errno}`;
}

/**
 * Takes the lock of a file, which is created where it is missing (0600), without waiting: the kernel frees it when
 * its process ends, however it ends. Throws LibcError where the file cannot be opened.
 */
export function flockExclusive(_path: string): FileLock | "locked" {
  throw new Error("not written yet");
}

/** Sends one datagram to $NOTIFY_SOCKET (`/run/…`, or `@name` of an abstract socket). Throws LibcError. */
export function notifySystemd(_socketPath: string, _message: string): void {
  throw new Error("not written yet");
}
