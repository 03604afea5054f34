/**
 * Block devices of a simulated /sys as Linux shows them: directories in devices/, to which block/, class/block/ and
 * dev/block/ link, and links between a stacked device and what it stands on (slaves/, holders/).
 */
import { mkdirSync } from "node:fs";
import { type FileContents, FileTree, writeTree } from "./file-tree.ts";

export interface BlockDevice {
  /** As its node is called below /dev: `sda1`, `cciss/c0d0`. */
  readonly name: string;
  /** `major:minor`; a hidden device has none. */
  readonly dev?: string;
  /** Of 512 bytes; 2 GiB where it is left out. */
  readonly sectors?: bigint;
  /** The devices that it stands on. */
  readonly slaves?: readonly string[];
  /** The disk of which it is a partition. */
  readonly partitionOf?: string;
  readonly dm?: { readonly name: string; readonly uuid: string };
  /** Of a SCSI disk; `running` where the state is left out. */
  readonly scsi?: { readonly address: string; readonly state?: string };
  /** The directory that holds its own; what `scsi` or `partitionOf` says, or `devices/virtual/block`. */
  readonly parent?: string;
  /** Files of its directory exactly as given, or missing where undefined. */
  readonly files?: FileContents;
}

/** Adds the devices to the /sys in the directory `sysfs`, which is made where it is missing. */
export function buildBlockDevices(sysfs: string, devices: readonly BlockDevice[]): void {
  const tree = new FileTree();
  addBlockDevices(tree, devices);
  mkdirSync(sysfs, { recursive: true });
  writeTree(sysfs, tree);
}

/** Adds them to a tree that has /sys as its root. */
export function addBlockDevices(sysfs: FileTree, devices: readonly BlockDevice[]): void {
  for (const directory of ["block", "class/block", "dev/block"]) sysfs.directory(directory);
  // A disk before its partitions, wherever it stands in the list.
  const isPartition = ({ partitionOf }: BlockDevice) => partitionOf !== undefined;
  for (const device of devices.filter((device) => !isPartition(device))) addBlockDevice(sysfs, device);
  for (const device of devices.filter(isPartition)) addBlockDevice(sysfs, device);
  for (const { name, slaves = [] } of devices) {
    for (const slave of slaves) {
      sysfs.link(`${directoryOf(sysfs, name)}/slaves/${sysfsName(slave)}`, directoryOf(sysfs, slave));
      const holders = `${directoryOf(sysfs, slave)}/holders`;
      if (sysfs.has(holders)) sysfs.link(`${holders}/${sysfsName(name)}`, directoryOf(sysfs, name));
    }
  }
}

/** The directory that class/block/ links to; of a device that this tree does not have, where most would be. */
function directoryOf(sysfs: FileTree, name: string): string {
  return sysfs.linked(`class/block/${sysfsName(name)}`) ?? `${VIRTUAL}/${sysfsName(name)}`;
}

const VIRTUAL = "devices/virtual/block";

/** `major:minor`. Throws where the tree has no such device, or a hidden one. */
export function deviceNumberOf(sysfs: FileTree, name: string): string {
  const dev = sysfs.text(`${directoryOf(sysfs, name)}/dev`);
  if (dev === undefined) throw new Error(`the simulated /sys has no block device ${name} with a number`);
  return dev.trim();
}

function addBlockDevice(sysfs: FileTree, device: BlockDevice): void {
  const { name, dev, sectors = 4_194_304n, partitionOf, dm, scsi } = device;
  const directory = `${parentOf(sysfs, device)}/${sysfsName(name)}`;
  sysfs.directory(`${directory}/holders`);
  sysfs.files(directory, {
    ...(dev !== undefined && { dev: `${dev}\n` }),
    size: `${sectors}\n`,
    ...(dm !== undefined && { "dm/name": `${dm.name}\n`, "dm/uuid": `${dm.uuid}\n`, "dm/suspended": "0\n" }),
    ...(partitionOf === undefined
      ? { "queue/logical_block_size": "512\n" }
      : { partition: `${Number(/\d+$/.exec(name)?.[0])}\n` }),
    ...device.files,
  });
  // A partition has none.
  if (partitionOf === undefined) {
    sysfs.directory(`${directory}/slaves`);
    sysfs.link(`block/${sysfsName(name)}`, directory);
  }
  sysfs.link(`class/block/${sysfsName(name)}`, directory);
  if (dev !== undefined) sysfs.link(`dev/block/${dev}`, directory);
  if (scsi !== undefined) {
    const disk = scsiDirectory(scsi.address);
    sysfs.file(`${disk}/state`, `${scsi.state ?? "running"}\n`);
    sysfs.link(`${directory}/device`, disk);
  }
}

function parentOf(sysfs: FileTree, { partitionOf, scsi, parent }: BlockDevice): string {
  if (partitionOf !== undefined) return directoryOf(sysfs, partitionOf);
  if (scsi !== undefined) return `${scsiDirectory(scsi.address)}/block`;
  return parent ?? VIRTUAL;
}

/** Of the disk with the address host:channel:target:unit. */
function scsiDirectory(address: string): string {
  const [host, channel, target] = address.split(":");
  return `devices/platform/host${host}/target${host}:${channel}:${target}/${address}`;
}

/** kobject_set_name: a name in sysfs cannot hold a slash. */
function sysfsName(name: string): string {
  return name.replaceAll("/", "!");
}
