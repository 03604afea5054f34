/** Block devices as `/sys` shows them at this moment; nothing is remembered. Names are the kernel's: `cciss/c0d0`. */
import { Buffer } from "node:buffer";
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { constants as os } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { Layer } from "./backing.ts";
import { DirectoryBytes, entriesOf } from "./directory-bytes.ts";
import { LibcError, libc } from "./libc.ts";
import { codeOf } from "./system-error.ts";

/** A layer, and for how long what was read of it stays true. */
export type LayerNow =
  | { readonly layer: Layer; readonly lasts: "with the device" | "for no time" }
  | { readonly layer: Layer; readonly lasts: "with its slaves"; readonly slaves: Listing };

/** A directory and what was in it. */
export interface Listing {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export class SysfsBlock {
  /** Where each device has a link. */
  readonly devices: string;
  readonly #numbers: string;
  readonly #virtual: string;
  readonly #sysfs: string;
  readonly #directories = openDirectories();

  constructor(sysfs: string) {
    this.#sysfs = resolve(sysfs);
    this.devices = join(this.#sysfs, "class/block");
    this.#numbers = join(this.#sysfs, "dev/block");
    this.#virtual = join(this.#sysfs, "devices/virtual/block");
  }

  /** `class/block` with the inode of each device's link, valid until the next call; undefined where FFI is missing. */
  deviceLinks(): Uint8Array | undefined {
    const bytes = this.#directories?.read(this.devices);
    return bytes instanceof Uint8Array ? bytes : undefined;
  }

  nameOf(majorMinor: string): string | undefined {
    if (!/^\d+:\d+$/.test(majorMinor)) return undefined;
    const target = readLink(`${this.#numbers}/${majorMinor}`);
    if (target === undefined) return undefined;
    const name = kernelName(target.slice(target.lastIndexOf("/") + 1));
    return isName(name) ? name : undefined;
  }

  exists(name: string): boolean {
    return isName(name) && isThere(this.#link(name));
  }

  /** Of all dm devices, by the name that `/dev/mapper` has for them. */
  dmNames(): Map<string, string> {
    const names = new Map<string, string>();
    const devices = this.#list(this.devices)?.names ?? [];
    for (const device of devices.filter(isDm).sort()) {
      const dmName = this.dmName(device);
      if (dmName !== undefined && !names.has(dmName)) names.set(dmName, device);
    }
    return names;
  }

  dmName(device: string): string | undefined {
    return readAttribute(`${this.#link(device)}/dm/name`) || undefined;
  }

  layer(name: string): LayerNow {
    const directory = isName(name) ? this.#directory(name) : undefined;
    if (directory === undefined) return { layer: { kind: "missing" }, lasts: "for no time" };
    if (isThere(`${directory}/partition`)) {
      const disk = kernelName(basename(dirname(directory)));
      return { layer: { kind: "partition", disk }, lasts: "with the device" };
    }
    const uuid = readAttribute(`${directory}/dm/uuid`);
    if (uuid?.startsWith("mpath-")) return { layer: { kind: "multipath" }, lasts: "with the device" };

    const path = `${directory}/slaves`;
    const slaves = this.#list(path);
    const isSure = uuid !== undefined && slaves !== undefined;
    const layer: Layer = { kind: "whole", slaves: (slaves?.names ?? []).map(kernelName).sort(), isSure };
    // A dm device without a uuid may still be given one, and its directory `dm` comes a moment after its own.
    if (!isSure || (isDm(name) && uuid === "")) return { layer, lasts: "for no time" };
    if (layer.slaves.length === 0 && !this.#canBeStacked(name, directory)) {
      return { layer, lasts: "with the device" };
    }
    if (slaves.bytes === undefined) return { layer, lasts: "for no time" };
    return { layer, lasts: "with its slaves", slaves: { path, bytes: slaves.bytes } };
  }

  /** Whether a directory still has what it had. */
  isStill({ path, bytes }: Listing): boolean {
    const now = this.#directories?.read(path);
    return now instanceof Uint8Array && Buffer.compare(now, bytes) === 0;
  }

  /** A device's link and what it leads to, in which all of the device is. */
  #link(name: string): string {
    return `${this.devices}/${sysfsName(name)}`;
  }

  /** Undefined where there is no such device, or its link leads out of /sys. */
  #directory(name: string): string | undefined {
    const target = readLink(this.#link(name));
    if (target === undefined) return undefined;
    const directory = resolve(this.devices, target);
    return directory.startsWith(`${this.#sysfs}/`) ? directory : undefined;
  }

  /**
   * Whether a disk without slaves may have some later. Only dm, md, bcache and drbd put slaves there
   * (bd_link_disk_holder), whose devices are virtual; loop devices, of which there may be a thousand, are so too.
   */
  #canBeStacked(name: string, directory: string): boolean {
    return dirname(directory) === this.#virtual && !/^loop\d+$/.test(name);
  }

  /** Nothing where there is no such directory; undefined where it cannot be read. */
  #list(path: string): { readonly names: readonly string[]; readonly bytes?: Uint8Array } | undefined {
    if (this.#directories === undefined) {
      try {
        return { names: readdirSync(path) };
      } catch (error) {
        return codeOf(error) === "ENOENT" ? { names: [] } : undefined;
      }
    }
    const bytes = this.#directories.read(path);
    if (bytes instanceof Uint8Array) {
      return { names: entriesOf(bytes).map(({ name }) => name), bytes: bytes.slice() };
    }
    return bytes === -os.errno.ENOENT ? { names: [] } : undefined;
  }
}

/** kobject_set_name_vargs: a name in sysfs cannot hold a slash. */
export const kernelName = (name: string): string => name.replaceAll("!", "/");
const sysfsName = (name: string): string => name.replaceAll("/", "!");

/** Whether it can be one of a directory's entries: no name leads out of its directory. */
const isName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && name.length <= 255 && !name.includes("\0");

const isDm = (name: string): boolean => /^dm-\d+$/.test(name);

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

const isThere = (path: string): boolean => {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
};

/** An attribute is no larger than a page: Documentation/filesystems/sysfs.rst. */
const ATTRIBUTE_BYTES = 4096;

/** Without the newline at its end. Empty where it is missing; undefined where it cannot be read, or is no attribute. */
function readAttribute(path: string): string | undefined {
  try {
    // Most devices are none of dm: an open that fails costs twice as much.
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return "";
    if (!stat.isFile()) return undefined;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const bytes = Buffer.allocUnsafe(ATTRIBUTE_BYTES + 1);
      const length = readSync(fd, bytes);
      return length > ATTRIBUTE_BYTES ? undefined : bytes.toString("utf8", 0, length).replace(/\n$/, "");
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return codeOf(error) === "ENOENT" ? "" : undefined;
  }
}

function openDirectories(): DirectoryBytes | undefined {
  try {
    return new DirectoryBytes(libc());
  } catch (error) {
    // Deno without --allow-ffi: then what it is asked is read each time.
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}
