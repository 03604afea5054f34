/** What the kernel tells of changes in directories: inotify(7). */
import { errnoName, type Libc } from "./libc.ts";

export interface DirectoryEvent {
  readonly watch: number;
  readonly mask: number;
  /** The entry of the directory that it is about; empty where it is the directory itself. */
  readonly name: string;
}

/** The bits of `mask`; <linux/inotify.h>. */
export const IN = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  MOVED_FROM: 0x40,
  MOVED_TO: 0x80,
  CREATE: 0x100,
  DELETE: 0x200,
  DELETE_SELF: 0x400,
  MOVE_SELF: 0x800,
  UNMOUNT: 0x2000,
  Q_OVERFLOW: 0x4000,
  IGNORED: 0x8000,
} as const;

/** All that changes what a directory lists, or what is in a file of it. UNMOUNT, Q_OVERFLOW and IGNORED come unasked. */
const CHANGES =
  IN.MODIFY | IN.ATTRIB | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF;
const ONLYDIR = 0x0100_0000;
const DONT_FOLLOW = 0x0200_0000;

/** More than the kernel's queue holds (fs.inotify.max_queued_events is 16,384). */
const MAX_READS = 100;

export class Inotify {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(64 * 1024);

  /** Answers the name of an error, such as `EMFILE`, where there can be none. */
  static open(libc: Libc): Inotify | string {
    const fd = libc.inotifyOpen();
    return fd < 0 ? errnoName(fd) : new Inotify(libc, fd);
  }

  private constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /** The number of the watch, which is that of the directory's inode; or the name of an error, such as `ENOSPC`. */
  watch(directory: string): number | string {
    const watch = this.#libc.inotifyAdd(this.#fd, directory, CHANGES | ONLYDIR | DONT_FOLLOW);
    return watch < 0 ? errnoName(watch) : watch;
  }

  /** Nothing happens where the kernel has removed it by itself. */
  unwatch(watch: number): void {
    this.#libc.inotifyRemove(this.#fd, watch);
  }

  /** What happened since the last call; "overflow" where it was more than can be told. */
  events(): readonly DirectoryEvent[] | "overflow" {
    const events: DirectoryEvent[] = [];
    for (let reads = 0; reads < MAX_READS; reads++) {
      const length = this.#libc.read(this.#fd, this.#buffer);
      if (length <= 0) return events;
      decodeEvents(this.#buffer.subarray(0, length), events);
      if (events.some(({ mask }) => (mask & IN.Q_OVERFLOW) !== 0)) return "overflow";
    }
    return "overflow";
  }

  close(): void {
    this.#libc.close(this.#fd);
  }
}

/** struct inotify_event: s32 wd, u32 mask, u32 cookie, u32 len, char name[len] filled with NUL. */
function decodeEvents(bytes: Buffer, events: DirectoryEvent[]): void {
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 12);
    const name = bytes.subarray(at + 16, at + 16 + length);
    const nul = name.indexOf(0);
    events.push({
      watch: bytes.readInt32LE(at),
      mask: bytes.readUInt32LE(at + 4),
      name: name.toString("utf8", 0, nul < 0 ? name.length : nul),
    });
    at += 16 + length;
  }
}
