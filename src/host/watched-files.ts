/**
 * Directory listings and small files, remembered for as long as the kernel tells of no change to them. What it would
 * not tell of is read each time it is asked for.
 *
 * A directory is watched before it is listed (inotify), so that no change falls between. The watch also tells when one
 * of its entries becomes another file, or a file in it is written: whatever is in a watched directory needs no look of
 * its own. Paths whose parent directory nobody listed are compared with what stands there, at each refresh. inotify does
 * not tell of mounts, which is why `refresh` wants the mount table. It does not tell either of what is written to a file
 * through memory that is mapped to it, or through a hard link that was made elsewhere after it was read.
 */
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
} from "node:fs";
import type { Log } from "../log/log.ts";
import { type DirectoryEvent, IN, Inotify } from "./inotify.ts";
import { type Libc, libc } from "./libc.ts";
import { changedMountPoints, type MountsBelow } from "./mountinfo.ts";
import { codeOf } from "./system-error.ts";

export interface DirectoryEntry {
  /** U+FFFD stands for bytes that are not UTF-8: such a name cannot be opened (ENOENT). */
  readonly name: string;
  readonly type: "directory" | "file" | "symlink" | "other";
}

/** `code` is ELOOP for a symlink, ENOTDIR for any other file, EREMOTE where a file system is mounted that may not answer. */
export type Listing =
  | { readonly kind: "listed"; readonly entries: readonly DirectoryEntry[] }
  | { readonly kind: "failed"; readonly code: string };

/** `unsafe`: a symlink, directory, FIFO, socket or device. */
export type FileContent =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "unsafe" }
  | { readonly kind: "too_large" };

/**
 * Paths are absolute, without `.`, `..`, `//` and a slash at the end. An answer is the same object as the one before
 * for as long as it is remembered.
 */
export class WatchedFiles {
  readonly #log: Log | undefined;
  #inotify: Inotify | undefined;
  #isClosed = false;
  readonly #places = new Map<string, Place>();
  readonly #byWatch = new Map<number, readonly Place[]>();
  /** Places that no watch vouches for, and the `signature` that each had when it was read. */
  readonly #checked = new Map<Place, string>();
  /** By device number: whether whatever changes the file system is told of here. Good until the next refresh. */
  readonly #tellsAll = new Map<number, boolean>();
  #mounts: MountsBelow = { holder: undefined, below: new Map() };
  #generation = 0;
  /** Since the last refresh something changed, or was read of which nobody would tell that it did. */
  #hasChanged = false;
  readonly #warned = new Set<string>();

  constructor(log?: Log) {
    this.#log = log;
    this.#openInotify();
  }

  /**
   * Takes in what changed. The number is the same only if nothing did in anything that was read through this object.
   * `mounts`: those below the directory that is read, as they are now; without them a mount over what is remembered
   * would go unseen.
   */
  refresh(mounts?: MountsBelow): number {
    this.#tellsAll.clear();
    if (this.#inotify === undefined) this.#openInotify();
    else this.#takeEvents(this.#inotify);
    for (const [place, before] of this.#checked) {
      if (signatureOf(lstat(place.path)) !== before) this.#drop(place);
    }
    if (mounts !== undefined && mounts !== this.#mounts) {
      for (const point of changedMountPoints(this.#mounts, mounts)) this.forget(point);
      this.#mounts = mounts;
    }
    if (this.#hasChanged) this.#generation++;
    this.#hasChanged = false;
    return this.#generation;
  }

  /** Sorted by name, in the order of UTF-16 code units. */
  list(directory: string): Listing {
    const known = this.#places.get(directory)?.listing;
    if (known !== undefined) return known;
    if (this.#isRemote(directory)) return this.#keepAway(directory);
    const before = lstat(directory);
    // First the watch, then the reading: a change between the two is told of at the next refresh.
    const watch = isDirectory(before) ? this.#watch(directory, before) : 0;
    const listing = isDirectory(before) ? readDirectory(directory) : noDirectory(before);
    const isLasting = listing.kind === "listed" ? watch > 0 : this.#isLastingFailure(directory, listing.code);
    const place = isLasting ? this.#remember(directory, signatureOf(before)) : this.#disown(directory);
    if (place !== undefined) {
      this.#setWatch(place, watch);
      place.listing = listing;
    } else if (watch > 0) this.#release(watch);
    return listing;
  }

  /** At most `maxBytes`, of a regular file. */
  read(path: string, maxBytes: number): FileContent {
    const known = this.#places.get(path)?.file;
    if (known?.maxBytes === maxBytes) return known.content;
    if (this.#isRemote(path)) return this.#keepAway(path);
    const { content, before } = readFile(path, maxBytes);
    const place = this.#isLasting(path, content, before)
      ? this.#remember(path, signatureOf(before))
      : this.#disown(path);
    if (place !== undefined) place.file = { content, maxBytes };
    return content;
  }

  /**
   * Stands for all that was read at and below a directory: the same object for as long as nothing of it has changed.
   * Undefined where not everything of it is remembered.
   */
  token(directory: string): object | undefined {
    const place = this.#places.get(directory);
    if (place?.listing === undefined || place.hasGaps) return undefined;
    place.token ??= {};
    return place.token;
  }

  /** Forgets a path and all below it. */
  forget(path: string): void {
    const place = this.#places.get(path);
    if (place !== undefined) this.#drop(place);
  }

  forgetAll(): void {
    if (this.#places.size > 0) this.#hasChanged = true;
    this.#places.clear();
    this.#byWatch.clear();
    this.#checked.clear();
    this.#inotify?.close();
    this.#inotify = undefined;
    this.#openInotify();
  }

  /** All is read each time from here on. */
  close(): void {
    this.#isClosed = true;
    this.forgetAll();
  }

  #openInotify(): void {
    const calls = this.#isClosed ? undefined : loadLibc();
    if (calls === undefined) return;
    const opened = Inotify.open(calls);
    if (typeof opened === "string")
      this.#warn(opened, "cannot watch directories: they are read again at each scrape");
    else this.#inotify = opened;
  }

  /** Whoever looks at what is mounted there may wait for ever; the file system that holds everything answered before. */
  #isRemote(path: string): boolean {
    const mount = this.#mounts.below.get(path);
    return mount !== undefined && mount !== this.#mounts.holder && REMOTE.test(mount.fstype);
  }

  /** Remembered until the mount table says that it is another mount. */
  #keepAway(path: string): typeof AWAY {
    this.#place(path).listing = AWAY;
    return AWAY;
  }

  /** 0 where no watch would tell of all changes. */
  #watch(directory: string, { dev }: Stats): number {
    const tellsAll = this.#tellsAll.get(dev) ?? (this.#inotify !== undefined && isLocal(directory));
    this.#tellsAll.set(dev, tellsAll);
    if (this.#inotify === undefined || !tellsAll) return 0;
    const watch = this.#inotify.watch(directory);
    if (typeof watch === "number") return watch;
    if (watch === "ENOSPC" || watch === "ENOMEM") {
      this.#warn(watch, `cannot watch ${directory}: it is read again at each scrape`);
    }
    return 0;
  }

  #warn(code: string, message: string): void {
    if (this.#warned.has(code)) return;
    this.#warned.add(code);
    const limit = LIMITS[code];
    const remedy = limit === undefined ? {} : { remedy: `raise ${limit} with sysctl` };
    this.#log?.warn(message, { reason: code, ...remedy });
  }

  #takeEvents(inotify: Inotify): void {
    const events = inotify.events();
    if (events === "overflow") {
      this.#hasChanged = true;
      this.forgetAll();
      return;
    }
    for (const event of events) {
      for (const place of this.#byWatch.get(event.watch) ?? []) this.#takeEvent(place, event);
    }
  }

  #takeEvent(place: Place, { mask, name }: DirectoryEvent): void {
    if (name === "") {
      this.#drop(place);
      return;
    }
    if ((mask & ENTRY_CHANGES) !== 0 && place.listing !== undefined) {
      place.listing = undefined;
      this.#change(place);
    }
    this.forget(place.path === "/" ? `/${name}` : `${place.path}/${name}`);
  }

  #isLasting(path: string, content: FileContent, before: Stats | string): boolean {
    if (content.kind === "failed") return this.#isLastingFailure(path, content.code);
    // Its type is a part of the signature.
    if (content.kind === "unsafe") return true;
    // What is written through another name, or where the mount on it comes from, is told to other directories only.
    const hasOtherNames = typeof before !== "string" && before.nlink !== 1;
    return !hasOtherNames && this.#isVouchedFor(path) && !this.#mounts.below.has(path);
  }

  #isLastingFailure(path: string, code: string): boolean {
    return IN_SIGNATURE.has(code) || (code === "EACCES" && this.#isVouchedFor(path));
  }

  /** Whether a watch tells when the path becomes another file's, and when that file or its rights change. */
  #isVouchedFor(path: string): boolean {
    return (this.#places.get(parentOf(path))?.watch ?? 0) > 0;
  }

  /** The place of a path that has been read; undefined where nothing would tell of a change. `before`: its signature then. */
  #remember(path: string, before: string): Place | undefined {
    if (this.#inotify === undefined) return this.#disown(path);
    if (!this.#isVouchedFor(path)) {
      const isReplaced = signatureOf(lstat(path)) !== before;
      if (isReplaced || this.#checked.size >= MAX_CHECKED) return this.#disown(path);
      this.#checked.set(this.#place(path), before);
    }
    return this.#place(path);
  }

  /** An answer is given that cannot be remembered. */
  #disown(path: string): undefined {
    this.#hasChanged = true;
    this.forget(path);
    for (let above = path; above !== "/"; ) {
      above = parentOf(above);
      const place = this.#places.get(above);
      if (place !== undefined) place.hasGaps = true;
    }
  }

  #change(place: Place): void {
    this.#hasChanged = true;
    for (let at: Place | undefined = place; at !== undefined; at = at.parent) at.token = undefined;
  }

  #place(path: string): Place {
    const known = this.#places.get(path);
    if (known !== undefined) return known;
    const parent = path === "/" ? undefined : this.#place(parentOf(path));
    const place: Place = {
      path,
      parent,
      children: new Set(),
      watch: 0,
      listing: undefined,
      file: undefined,
      token: undefined,
      hasGaps: false,
    };
    parent?.children.add(place);
    this.#places.set(path, place);
    return place;
  }

  #setWatch(place: Place, watch: number): void {
    if (place.watch === watch) return;
    // Another directory than before: what is known below is not of this one.
    this.#clear(place);
    place.watch = watch;
    if (watch > 0) this.#byWatch.set(watch, [...(this.#byWatch.get(watch) ?? []), place]);
  }

  /** Forgets a place, what is below it, and what is above it only for its sake. */
  #drop(place: Place): void {
    this.#clear(place);
    this.#checked.delete(place);
    for (let empty: Place | undefined = place; empty !== undefined && isEmpty(empty); empty = empty.parent) {
      this.#places.delete(empty.path);
      empty.parent?.children.delete(empty);
    }
  }

  #clear(place: Place): void {
    for (const child of place.children) this.#drop(child);
    if (place.listing !== undefined || place.file !== undefined) this.#change(place);
    place.listing = undefined;
    place.file = undefined;
    const { watch } = place;
    if (watch === 0) return;
    place.watch = 0;
    const others = this.#byWatch.get(watch)?.filter((other) => other !== place) ?? [];
    this.#byWatch.set(watch, others);
    this.#release(watch);
  }

  /** Ends a watch that no place has. */
  #release(watch: number): void {
    if ((this.#byWatch.get(watch)?.length ?? 0) > 0) return;
    this.#byWatch.delete(watch);
    this.#inotify?.unwatch(watch);
  }
}

/** A path of which something is known, or something below it. */
interface Place {
  readonly path: string;
  readonly parent: Place | undefined;
  readonly children: Set<Place>;
  /** 0: none. */
  watch: number;
  listing: Listing | undefined;
  file: { readonly content: FileContent; readonly maxBytes: number } | undefined;
  token: object | undefined;
  /** Something below was read that is not remembered. */
  hasGaps: boolean;
}

const isEmpty = ({ children, watch, listing, file }: Place): boolean =>
  children.size === 0 && watch === 0 && listing === undefined && file === undefined;

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

const ENTRY_CHANGES = IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO;

/** File systems that another machine or process answers for, which may be gone. */
const REMOTE = /^(?:nfs4?|cifs|smb3|ceph|glusterfs|lustre|9p|wekafs|fuse(?:\..*)?)$/;
const AWAY = { kind: "failed", code: "EREMOTE" } as const;

/** Failures that `signatureOf` tells. */
const IN_SIGNATURE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/** More would cost each refresh more than reading them again. */
const MAX_CHECKED = 1000;

const LIMITS: Readonly<Record<string, string>> = {
  EMFILE: "fs.inotify.max_user_instances",
  ENOSPC: "fs.inotify.max_user_watches",
};

/** File systems of which inotify tells all, for no other machine or layer writes them; <linux/magic.h>, `f_type`. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x01021994, // tmpfs
  0x2fc12fc1, // ZFS
]);

const isLocal = (path: string): boolean => LOCAL.has(loadLibc()?.filesystemType(path) ?? -1);

/** Undefined where FFI is not allowed, as under Deno without --allow-ffi. */
function loadLibc(): Libc | undefined {
  try {
    return libc();
  } catch {
    return undefined;
  }
}

/** Of the path itself, symlink or not; or the name of an error. */
function lstat(path: string): Stats | string {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) ?? "ENOENT";
  } catch (error) {
    return codeOf(error) ?? "EIO";
  }
}

const isDirectory = (stat: Stats | string): stat is Stats => typeof stat !== "string" && stat.isDirectory();

/** The same for as long as the path is the same file, or fails in the same way. */
const signatureOf = (stat: Stats | string): string =>
  typeof stat === "string" ? stat : `${stat.dev}:${stat.ino}:${stat.mode & constants.S_IFMT}`;

function noDirectory(stat: Stats | string): Listing {
  if (typeof stat === "string") return { kind: "failed", code: stat };
  return { kind: "failed", code: stat.isSymbolicLink() ? "ELOOP" : "ENOTDIR" };
}

function readDirectory(directory: string): Listing {
  try {
    const entries = readdirSync(directory, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      type: typeOf(entry) ?? typeOf(lstat(`${directory}/${entry.name}`)) ?? "other",
    }));
    return { kind: "listed", entries: entries.sort((one, other) => (one.name < other.name ? -1 : 1)) };
  } catch (error) {
    return { kind: "failed", code: codeOf(error) ?? "EIO" };
  }
}

/** Undefined where it is not known: some file systems do not list types. */
function typeOf(entry: Dirent | Stats | string): DirectoryEntry["type"] | undefined {
  if (typeof entry === "string") return undefined;
  if (entry.isDirectory()) return "directory";
  if (entry.isFile()) return "file";
  if (entry.isSymbolicLink()) return "symlink";
  const isOther = entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice();
  return isOther ? "other" : undefined;
}

/** `before`: what stood there before it was read. */
function readFile(
  path: string,
  maxBytes: number,
): { readonly content: FileContent; readonly before: Stats | string } {
  const before = lstat(path);
  if (typeof before === "string") return { content: { kind: "failed", code: before }, before };
  if (!before.isFile()) return { content: { kind: "unsafe" }, before };
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    // Deno 2.9 follows symlinks all the same.
    const isReplaced = signatureOf(fstatSync(fd)) !== signatureOf(before);
    return {
      content: isReplaced ? { kind: "failed", code: "ESTALE" } : readUpTo(fd, before.size, maxBytes),
      before,
    };
  } catch (error) {
    return { content: { kind: "failed", code: codeOf(error) ?? "EIO" }, before };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** `size` is what the file had a moment ago: it may grow, and files of the kernel have none. */
function readUpTo(fd: number, size: number, maxBytes: number): FileContent {
  if (size > maxBytes) return { kind: "too_large" };
  let buffer = Buffer.alloc(size + 1);
  for (let length = 0; ; ) {
    if (length > maxBytes) return { kind: "too_large" };
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(length * 2 + 512, maxBytes + 1));
    const count = readSync(fd, buffer, length, buffer.length - length, null);
    if (count === 0) return { kind: "read", bytes: buffer.subarray(0, length) };
    length += count;
  }
}
