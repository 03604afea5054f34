/**
 * A directory as getdents64(2) writes it, inode numbers included: whether anything in it changed is one comparison of
 * bytes. For 1,000 directories `slaves` of /sys this took 2.2 ms, readdirSync 3.1 ms; for `class/block` with 1,000
 * devices 0.07 ms, readdirSync 0.13 ms without inode numbers.
 */
import { constants } from "node:fs";
import { constants as os } from "node:os";
import type { Libc } from "./libc.ts";

export interface Entry {
  readonly name: string;
  readonly inode: bigint;
}

/** <fcntl.h>, the same on x86-64 and arm64. */
const O_CLOEXEC = 0o2000000;
const FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC;

/** More than one entry takes: 19 bytes, a name of 255, its NUL, and what aligns the next one. */
const ENTRY_BYTES = 512;

export class DirectoryBytes {
  readonly #libc: Libc;
  #buffer = new Uint8Array(64 * 1024);
  /** How much of the buffer is not zero. */
  #used = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** All entries, valid until the next call; or the negated errno: -ENOTDIR for a symlink too. */
  read(path: string): Uint8Array | number {
    const fd = this.#libc.open(path, FLAGS);
    if (fd < 0) return fd;
    // The kernel leaves what pads a name as it was.
    this.#buffer.fill(0, 0, this.#used);
    let length = 0;
    let added: number;
    do {
      if (this.#buffer.length - length < ENTRY_BYTES) this.#grow();
      added = this.#libc.getdents(fd, length === 0 ? this.#buffer : this.#buffer.subarray(length));
      if (added > 0) length += added;
    } while (added > 0 || added === -os.errno.EINTR);
    this.#libc.close(fd);
    this.#used = length;
    return added < 0 ? added : this.#buffer.subarray(0, length);
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#buffer.length);
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}

/** Without `.` and `..`, in the order of the kernel. U+FFFD stands for bytes that are not UTF-8. */
export function entriesOf(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; at += view.getUint16(at + RECORD_LENGTH, true)) {
    const name = decoder.decode(bytes.subarray(at + NAME, bytes.indexOf(0, at + NAME)));
    if (name !== "." && name !== "..") entries.push({ name, inode: view.getBigUint64(at, true) });
  }
  return entries;
}

// struct linux_dirent64 begins with the inode number.
const RECORD_LENGTH = 16;
const NAME = 19;

const decoder = new TextDecoder();
