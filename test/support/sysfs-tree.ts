/** Builds the block devices of a /sys in a directory, with the builder of the demo's own, and changes them. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { basename, join, resolve } from "node:path";

export { type BlockDevice, buildBlockDevices } from "../../src/demo/block-devices.ts";

/** Takes a device away with its partitions, as the kernel does; slaves of others that link to it stay, and dangle. */
export function removeBlockDevice(sysfs: string, name: string): void {
  const link = join(sysfs, "class/block", sysfsName(name));
  const directory = resolve(link, "..", readlinkSync(link));
  const inside = readdirSync(directory, { withFileTypes: true });
  const partitions = inside.filter(({ name }) => name.startsWith(basename(directory)));
  for (const partition of partitions) removeBlockDevice(sysfs, partition.name);
  rmSync(join(sysfs, "dev/block", readFileSync(join(directory, "dev"), "utf8").trim()));
  rmSync(link);
  rmSync(join(sysfs, "block", sysfsName(name)), { force: true });
  rmSync(directory, { recursive: true });
}

/** What a device stands on from now on; it need not exist. */
export function setSlaves(sysfs: string, name: string, slaves: readonly string[]): void {
  const directory = join(sysfs, "class/block", sysfsName(name), "slaves");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  for (const slave of slaves.map(sysfsName)) symlinkSync(`../../${slave}`, join(directory, slave));
}

const sysfsName = (name: string): string => name.replaceAll("/", "!");
