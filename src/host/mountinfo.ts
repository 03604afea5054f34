/** The mount table of this process's mount namespace: `/proc/self/mountinfo`; proc_pid_mountinfo(5). */
import { closeSync, openSync, readSync } from "node:fs";
import { type Libc, libc } from "./libc.ts";
import { codeOf, reasonOf } from "./system-error.ts";

/** One line. Paths are unescaped; U+FFFD stands for bytes that are not UTF-8. */
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

/** Pure. `directory` is absolute and resolved; a line that is none of a mount table is skipped. */
export const parseMountInfo = (bytes: Uint8Array, directory: string): MountsBelow =>
  parseTable(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), directory, everything).mounts;

/** Whether a mount at a path below the directory (`/pods/…`, escaped as in the table) is to be known. */
export type IsWanted = (path: string) => boolean;

const everything: IsWanted = () => true;

/** The mount points whose mount is another: what was read there may be another file system's now. */
export function changedMountPoints(before: MountsBelow, after: MountsBelow): string[] {
  const changed: string[] = [];
  for (const [point, mount] of before.below) {
    const now = after.below.get(point);
    if (now === undefined || !isSame(mount, now)) changed.push(point);
  }
  for (const point of after.below.keys()) if (!before.below.has(point)) changed.push(point);
  return changed;
}

const areSame = (one: MountsBelow, other: MountsBelow): boolean =>
  one.below.size === other.below.size &&
  isSame(one.holder, other.holder) &&
  changedMountPoints(one, other).length === 0;

const isSame = (one: Mount | undefined, other: Mount | undefined): boolean =>
  one === other ||
  (one?.device === other?.device &&
    one?.root === other?.root &&
    one?.mountPoint === other?.mountPoint &&
    one?.fstype === other?.fstype &&
    one?.source === other?.source);

const START_BYTES = 64 * 1024;
const MAX_TABLE_BYTES = 64 * 1024 * 1024;

/** `f_type` of procfs; <linux/magic.h>. */
const PROC_SUPER_MAGIC = 0x9fa0;
/** <poll.h> */
const POLLPRI = 0x02;

/**
 * `<procfs>/self/mountinfo`, read again only where the kernel says that a mount came, went or moved: fs/proc_namespace.c
 * answers poll() with POLLERR|POLLPRI once for each such change. Where poll() does not tell (no FFI, a plain file in the
 * place of procfs), it is read each time. Reading takes the kernel about 1 µs a mount, by whatever call.
 */
export class MountTable {
  readonly #path: string;
  readonly #isWanted: IsWanted;
  /** Open for as long as the kernel tells of changes through it. */
  #polled: { readonly fd: number; readonly calls: Libc } | undefined;
  #buffer = Buffer.alloc(START_BYTES);
  /** Takes the place of `#buffer` when that one holds the table that is known. */
  #spare = Buffer.alloc(START_BYTES);
  #table: Table | undefined;
  /** False: the table must be read, whatever the kernel says. */
  #isFresh = false;
  #generation = 0;

  constructor(path: string, isWanted = everything) {
    this.#path = path;
    this.#isWanted = isWanted;
  }

  /** `generation` grows when `mounts` may differ; until then they are the same object. Throws MountInfoError. */
  read(directory: string): { readonly mounts: MountsBelow; readonly generation: number } {
    // First the question, then the reading: a change between the two is told of next time.
    const isQuiet = this.#polled !== undefined && this.#polled.calls.poll(this.#polled.fd, POLLPRI) === 0;
    const before = this.#table;
    if (before?.directory === directory && isQuiet && this.#isFresh && before.isTold) {
      return this.#answer(before);
    }

    this.#isFresh = false;
    const bytes = this.#readTable();
    const isSame = before?.directory === directory && before.bytes.equals(bytes);
    const table = isSame ? before : this.#update(bytes, directory);
    this.#isFresh = true;
    return this.#answer(table);
  }

  /**
   * Makes the next `read` read. Two changes that neither the kernel nor the table itself tells of: a directory above a
   * mount point is renamed, and a device node that is bind mounted is deleted, so that its root ends in `//deleted`.
   */
  forget(): void {
    this.#isFresh = false;
  }

  close(): void {
    this.#table = undefined;
    if (this.#polled !== undefined) closeSync(this.#polled.fd);
    this.#polled = undefined;
  }

  #answer({ mounts }: Table): { readonly mounts: MountsBelow; readonly generation: number } {
    return { mounts, generation: this.#generation };
  }

  /** Keeps `bytes`, which are those of `#buffer`. */
  #update(bytes: Buffer, directory: string): Table {
    const before = this.#table;
    const parsed = parseTable(bytes, directory, this.#isWanted, before);
    const isSame = before !== undefined && areSame(before.mounts, parsed.mounts);
    if (!isSame) this.#generation++;
    this.#table = isSame ? { ...parsed, mounts: before.mounts } : parsed;
    [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
    return this.#table;
  }

  /** Valid until the next call. */
  #readTable(): Buffer {
    let fd = this.#polled?.fd;
    try {
      fd ??= openSync(this.#path, "r");
      const bytes = this.#readAll(fd);
      this.#polled ??= this.#pollable(fd);
      return bytes;
    } catch (error) {
      if (error instanceof MountInfoError) throw error;
      const message = `cannot read the mount table ${this.#path}: ${reasonOf(error)}`;
      throw new MountInfoError(message, codeOf(error) ?? "EIO", error);
    } finally {
      if (fd !== undefined && fd !== this.#polled?.fd) closeSync(fd);
    }
  }

  #readAll(fd: number): Buffer {
    for (let length = 0; ; ) {
      if (length > MAX_TABLE_BYTES) {
        this.#buffer = Buffer.alloc(START_BYTES);
        throw new MountInfoError(`the mount table ${this.#path} is larger than 64 MiB`, "EFBIG");
      }
      if (length === this.#buffer.length) this.#buffer = Buffer.concat([this.#buffer], length * 2);
      const count = readSync(fd, this.#buffer, length, this.#buffer.length - length, length);
      if (count === 0) return this.#buffer.subarray(0, length);
      length += count;
    }
  }

  #pollable(fd: number): { readonly fd: number; readonly calls: Libc } | undefined {
    try {
      const calls = libc();
      return calls.filesystemType(this.#path) === PROC_SUPER_MAGIC ? { fd, calls } : undefined;
    } catch {
      // No FFI here, as under Deno without --allow-ffi.
      return undefined;
    }
  }
}

interface Line {
  /** Where it starts in the table. */
  readonly start: number;
  readonly mount: Mount;
}

interface Table {
  readonly bytes: Buffer;
  readonly directory: string;
  /** Those that concern the directory. */
  readonly lines: readonly Line[];
  readonly mounts: MountsBelow;
  /** The kernel tells of each change. */
  readonly isTold: boolean;
}

/**
 * Parses only what differs from `before`: parsing ten thousand lines takes as long as reading them, and a mount that
 * comes or goes is one line. Keeps `bytes`.
 */
function parseTable(bytes: Buffer, directory: string, isWanted: IsWanted, before?: Table): Table {
  const lines =
    before?.directory === directory
      ? updatedLines(before, bytes, isWanted)
      : parseLines(bytes, 0, bytes.length, directory, isWanted);
  const below = new Map<string, Mount>();
  let holder: Mount | undefined;
  for (const { mount } of lines) {
    if (isWithin(mount.mountPoint, directory)) below.set(mount.mountPoint, mount);
    // The innermost one holds it, whatever the order of the lines; of those at one place the last.
    if (
      isWithin(directory, mount.mountPoint) &&
      mount.mountPoint.length >= (holder?.mountPoint.length ?? 0)
    ) {
      holder = mount;
    }
  }
  const isTold = !below.values().some((mount) => canChangeUntold(mount, holder));
  return { bytes, directory, lines, mounts: { holder, below }, isTold };
}

/**
 * btrfs can be given another disk while it is mounted (`btrfs replace`), and a directory that is bound can be deleted or
 * renamed: the line is another one then. On the file system that holds everything that makes no difference, and of a
 * device node that is deleted /sys tells.
 */
const canChangeUntold = ({ device, root, fstype }: Mount, holder: Mount | undefined): boolean =>
  device !== holder?.device && (fstype === "btrfs" || (root !== "/" && fstype !== "devtmpfs"));

function updatedLines(before: Table, bytes: Buffer, isWanted: IsWanted): Line[] {
  const { head, tail } = commonLines(before.bytes, bytes);
  const moved = bytes.length - before.bytes.length;
  const first = countBelow(before.lines, head);
  const rest = countBelow(before.lines, before.bytes.length - tail);
  return before.lines.slice(0, first).concat(
    parseLines(bytes, head, bytes.length - tail, before.directory, isWanted),
    before.lines.slice(rest).map(({ start, mount }) => ({ start: start + moved, mount })),
  );
}

/** How many bytes at the start and at the end of two tables are the same whole lines; they do not overlap. */
function commonLines(one: Buffer, other: Buffer): { readonly head: number; readonly tail: number } {
  const shorter = Math.min(one.length, other.length);
  const sameHead = common(shorter, (from, to) => one.subarray(from, to).equals(other.subarray(from, to)));
  const head = sameHead === 0 ? 0 : one.lastIndexOf(NEWLINE, sameHead - 1) + 1;
  const sameTail = common(shorter - head, (from, to) =>
    one
      .subarray(one.length - to, one.length - from)
      .equals(other.subarray(other.length - to, other.length - from)),
  );
  const newline = one.indexOf(NEWLINE, one.length - sameTail);
  return { head, tail: sameTail === 0 || newline < 0 ? 0 : one.length - newline - 1 };
}

/** How many of `limit` bytes are the same from 0 on; looks at hardly any twice. */
function common(limit: number, areSame: (from: number, to: number) => boolean): number {
  let from = 0;
  for (;;) {
    const to = Math.min(from + BLOCK_BYTES, limit);
    if (from === limit || !areSame(from, to))
      return from + longest(to - from, (length) => areSame(from, from + length));
    from = to;
  }
}

/** How many lines start before an offset. */
const countBelow = (lines: readonly Line[], offset: number): number =>
  longest(lines.length, (count) => (lines[count - 1]?.start ?? 0) < offset);

/** The largest of 0 … `limit` for which `holds`, which holds up to some number and for none beyond it. */
function longest(limit: number, holds: (length: number) => boolean): number {
  let low = 0;
  let high = limit;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const SPACE = 0x20;

/** The lines between two offsets that concern a directory. The others, of which there may be 100,000, are hardly looked at. */
function parseLines(bytes: Buffer, from: number, to: number, directory: string, isWanted: IsWanted): Line[] {
  // One character a byte, so that an index is an offset.
  const text = bytes.toString("latin1", from, to);
  const escaped = escapePath(directory);
  const lines: Line[] = [];
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const path = skipFields(text, start, end, 4);
    const mountPoint = text.slice(path, skipFields(text, path, end, 1) - 1);
    const isBelow = isWithin(mountPoint, escaped);
    if (isBelow ? !isWanted(mountPoint.slice(escaped.length)) : !isWithin(escaped, mountPoint)) continue;
    const mount = parseLine(text.slice(start, end));
    if (mount !== undefined) lines.push({ start: from + start, mount });
  }
  return lines;
}

function isWithin(path: string, directory: string): boolean {
  if (!path.startsWith(directory)) return false;
  return path.length === directory.length || directory === "/" || path[directory.length] === "/";
}

/** Where the field after the next `count` fields starts; `end + 1` where there is none. */
function skipFields(text: string, start: number, end: number, count: number): number {
  let left = count;
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) === SPACE && --left === 0) return at + 1;
  }
  return end + 1;
}

/** `id parent major:minor root mountpoint options [optional…] - fstype source superopts`; undefined where it is not so. */
function parseLine(line: string): Mount | undefined {
  const separator = line.indexOf(" - ");
  if (separator < 0) return undefined;
  const [, , device, root, mountPoint, options] = line.slice(0, separator).split(" ", 6);
  const [fstype, source, superOptions] = line.slice(separator + 3).split(" ", 3);
  if (device === undefined || root === undefined || mountPoint === undefined || options === undefined) {
    return undefined;
  }
  // A line that is cut off could have lost a part of any field but the last.
  if (fstype === undefined || source === undefined || superOptions === undefined) return undefined;
  if (!/^\d+:\d+$/.test(device) || !mountPoint.startsWith("/")) return undefined;
  return {
    device,
    root: decode(root),
    mountPoint: decode(mountPoint),
    fstype: decode(fstype),
    source: decode(source),
  };
}

/** seq_path() and mangle() of the kernel write these characters, and some versions `#`, as `\040`. */
const escapePath = (path: string): string =>
  Buffer.from(path)
    .toString("latin1")
    .replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);

const PLAIN = /^[!-[\]-~]*$/;

/** What a field stands for, of which each character is one byte. */
function decode(field: string): string {
  if (PLAIN.test(field)) return field;
  const bytes = field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
