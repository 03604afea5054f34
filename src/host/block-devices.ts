/**
 * The graph of block devices in `/sys`: what a device number is called, and what lies below a device.
 *
 * What was read is remembered for as long as the kernel cannot have changed it. Each device is linked to in
 * `class/block`, and in sysfs a link that is made again has another inode number (kernfs gives none twice), so one
 * listing of that directory tells which devices are still those that were read. While a device lives it keeps its name,
 * its number, the disk that it is a partition of, and the uuid that makes it a multipath device. What it stands on may
 * change (`pvmove`, `dmsetup reload`, `mdadm --add`), and nothing tells of it: that is listed anew in each discovery.
 */
import { Buffer } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import { type Backing, backingOf, type Layer } from "./backing.ts";
import { entriesOf } from "./directory-bytes.ts";
import { libc } from "./libc.ts";
import { kernelName, type LayerNow, SysfsBlock } from "./sysfs-block.ts";

export type { Backing, BackingRole } from "./backing.ts";

/** Names are the kernel's own (`cciss/c0d0`), not those of sysfs (`cciss!c0d0`). */
export class BlockDevices {
  readonly #sysfs: SysfsBlock;
  readonly #hasLastingInodes: (path: string) => boolean;
  #generation = 0;

  /** `class/block` as it was when the discovery began; inodes by device. */
  #links: Uint8Array | undefined;
  #inodes: ReadonlyMap<string, bigint> = new Map();

  readonly #names = new Map<string, string>();
  readonly #present = new Set<string>();
  readonly #layers = new Map<string, LayerNow>();
  readonly #dmDevices = new Map<string, string>();
  readonly #unknownDmNames = new Set<string>();
  /** The names of all dm devices, if this discovery had to look for one. */
  #dmNames: ReadonlyMap<string, string> | undefined;
  /** Somebody was told that there is no such device. */
  #saidMissing = false;

  /** `hasLastingInodes`: whether the file system that has `path` gives no inode number twice. */
  constructor(sysfs: string, hasLastingInodes = isSysfs) {
    this.#sysfs = new SysfsBlock(sysfs);
    this.#hasLastingInodes = hasLastingInodes;
  }

  /**
   * The start of a discovery: answers from here on are as true as if nothing had been asked before. The generation
   * is the same as before only if every answer that was given is so too.
   */
  refresh(): number {
    this.#dmNames = undefined;
    const dropped = [this.#dropReplaced(), this.#dropRestacked(), this.#dropRenamed()];
    if (!dropped.includes(true)) return this.#generation;
    this.#saidMissing = false;
    this.#unknownDmNames.clear();
    return ++this.#generation;
  }

  /** Name of the device with the number `major:minor`; undefined where there is none. */
  nameOf(majorMinor: string): string | undefined {
    const name = this.#names.get(majorMinor) ?? this.#sysfs.nameOf(majorMinor);
    if (name === undefined) this.#saidMissing = true;
    else this.#names.set(majorMinor, name);
    return name;
  }

  exists(name: string): boolean {
    const exists = this.#present.has(name) || this.#sysfs.exists(name);
    if (exists) this.#present.add(name);
    else this.#saidMissing = true;
    return exists;
  }

  /** `dm-3` for the name that `/dev/mapper` has for it. */
  dmNamed(dmName: string): string | undefined {
    const known = this.#dmDevices.get(dmName);
    if (known !== undefined) return known;
    this.#dmNames ??= this.#sysfs.dmNames();
    const device = this.#dmNames.get(dmName);
    if (device === undefined) this.#unknownDmNames.add(dmName);
    else this.#dmDevices.set(dmName, device);
    return device;
  }

  /** Of a device that is not there: nothing, which is not complete. */
  backing(name: string): Backing {
    return backingOf(name, (name) => this.#layer(name));
  }

  #layer(name: string): Layer {
    const known = this.#layers.get(name);
    if (known !== undefined) return known.layer;
    const now = this.#sysfs.layer(name);
    if (now.layer.kind === "missing") this.#saidMissing = true;
    else this.#layers.set(name, now);
    return now.layer;
  }

  /** Drops what is known of devices that are gone, or are others by now; true if there is such, or may be. */
  #dropReplaced(): boolean {
    const links = this.#sysfs.deviceLinks();
    if (links === undefined || !this.#hasLastingInodes(this.#sysfs.devices)) {
      for (const known of [this.#names, this.#present, this.#layers, this.#dmDevices]) known.clear();
      this.#links = undefined;
      this.#inodes = new Map();
      return true;
    }
    if (this.#links !== undefined && Buffer.compare(this.#links, links) === 0) return false;
    const before = this.#inodes;
    const now = new Map(entriesOf(links).map(({ name, inode }) => [kernelName(name), inode]));
    this.#links = links.slice();
    this.#inodes = now;
    const isReplaced = (name: string): boolean => !before.has(name) || before.get(name) !== now.get(name);
    // Whoever was told that a device is missing asks again.
    let dropped = this.#saidMissing;
    for (const [number, name] of this.#names) if (isReplaced(name)) dropped = this.#names.delete(number);
    for (const name of this.#present) if (isReplaced(name)) dropped = this.#present.delete(name);
    for (const name of this.#layers.keys()) if (isReplaced(name)) dropped = this.#layers.delete(name);
    return dropped;
  }

  #dropRestacked(): boolean {
    let dropped = false;
    for (const [name, known] of this.#layers) {
      if (!this.#holds(name, known)) dropped = this.#layers.delete(name);
    }
    return dropped;
  }

  #holds(name: string, known: LayerNow): boolean {
    if (known.lasts === "with the device") return true;
    if (known.lasts === "with its slaves") return this.#sysfs.isStill(known.slaves);
    return isDeepStrictEqual(this.#sysfs.layer(name).layer, known.layer);
  }

  /** A dm device can be renamed while it lives. */
  #dropRenamed(): boolean {
    let dropped = false;
    for (const [dmName, device] of this.#dmDevices) {
      if (this.#sysfs.dmName(device) !== dmName) dropped = this.#dmDevices.delete(dmName);
    }
    if (this.#unknownDmNames.size === 0) return dropped;
    this.#dmNames = this.#sysfs.dmNames();
    return dropped || !this.#unknownDmNames.isDisjointFrom(this.#dmNames);
  }
}

/** <linux/magic.h> */
const SYSFS_MAGIC = 0x62656572;

/** Calls FFI. */
const isSysfs = (path: string): boolean => libc().filesystemType(path) === SYSFS_MAGIC;
