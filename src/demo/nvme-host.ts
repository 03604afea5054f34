/**
 * Builds a simulated host in a directory: `sys/` with NVMe controllers and namespaces as Linux shows them (the links
 * of class/ into devices/, the padding, the paths of a multipath namespace), and `dev/` with a recording in place of
 * each controller's node.
 */
import { join } from "node:path";
import { addBlockDevices } from "./block-devices.ts";
import { type FileContents, FileTree, writeTree } from "./file-tree.ts";
import type { RecordedAnswer, RecordingInput } from "./nvme-recording.ts";

export interface HostDescription {
  readonly controllers: readonly ControllerDescription[];
  /** How class/nvme looks: as it should, as on a host that never loaded the driver, or so that it cannot be listed. */
  readonly listing?: "present" | "missing" | "unreadable";
  /** Milliseconds since 1970 from which the changes on pages count. */
  readonly since?: number;
  /** Keep a log of all commands in `<directory>/commands.jsonl`. */
  readonly logCommands?: boolean;
}

export interface ControllerDescription {
  /** `nvme0`; major:minor follows from its number. */
  readonly name: string;
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
  /** `pcie` where it is left out. */
  readonly transport?: string;
  /** `live` where it is left out. */
  readonly state?: string;
  /** Number of the subsystem; the controller's own where it is left out. */
  readonly subsystem?: number;
  /** Files of the controller's directory exactly as given, or missing where undefined. */
  readonly files?: FileContents;
  readonly namespaces: readonly NamespaceDescription[];
  readonly node?: NodeDescription;
  readonly answers: readonly RecordedAnswer[];
}

/** What stands at `<devfs>/nvmeN`. */
export type NodeDescription =
  | { readonly kind: "missing" }
  | { readonly kind: "ordinary_file" }
  | { readonly kind: "other_device"; readonly dev: string }
  | { readonly kind: "unopenable"; readonly errno: number };

export interface NamespaceDescription {
  /** The block device: `nvme0n1`. */
  readonly name: string;
  /** Directory within the controller's; given where a multipath head stands above: `nvme0c1n1`. */
  readonly path?: string;
  readonly nsid: number;
  /** How many logical blocks. */
  readonly blocks: bigint;
  /** 512 where it is left out. */
  readonly logicalBlockBytes?: number;
  /** `nuse` in logical blocks; no such file (Linux before 6.8) where it is left out. */
  readonly usedBlocks?: bigint;
  readonly anaState?: string;
  /** Files of the path's directory exactly as given, or missing where undefined. */
  readonly files?: FileContents;
  /** The head is not there (yet), though its path is. */
  readonly headMissing?: boolean;
}

export interface BuiltHost {
  readonly sysfs: string;
  readonly devfs: string;
  readonly commandLog: string;
}

/** `directory` must exist; what is made in it is `sys`, `dev` and, once commands came, `commands.jsonl`. */
export function buildHost(directory: string, host: HostDescription): BuiltHost {
  const built = builtHost(directory);
  const tree = new FileTree();
  tree.graft("sys", addNvme(tree, host, built));
  writeTree(directory, tree);
  return built;
}

/** Where things are on the host that is built in `directory`. */
export function builtHost(directory: string): BuiltHost {
  return {
    sysfs: join(directory, "sys"),
    devfs: join(directory, "dev"),
    commandLog: join(directory, "commands.jsonl"),
  };
}

/** Adds `dev` to the tree of the host's directory, and answers the tree that is to be its `sys`. */
export function addNvme(tree: FileTree, host: HostDescription, built: BuiltHost): FileTree {
  const sysfs = new FileTree();
  sysfs.directory("class/block");
  tree.directory("dev");
  if (host.listing === "unreadable") sysfs.file("class/nvme", "not a directory\n");
  if (host.listing === undefined || host.listing === "present") {
    addControllers(sysfs, host);
    for (const controller of host.controllers) addNode(tree, built, host, controller);
  }
  return sysfs;
}

function addControllers(sysfs: FileTree, { controllers }: HostDescription): void {
  sysfs.directory("class/nvme");
  sysfs.directory("class/nvme-subsystem");
  const heads = new Map<string, NamespaceDescription>();
  let minor = 0;
  const nextDevice = (): string => `${BLOCK_EXTENDED_MAJOR}:${minor++}`;
  for (const controller of controllers) {
    addController(sysfs, controller, nextDevice);
    for (const namespace of controller.namespaces) {
      if (namespace.path !== undefined && namespace.headMissing !== true)
        heads.set(namespace.name, namespace);
    }
  }
  for (const head of heads.values()) addHead(sysfs, head, nextDevice());
}

/** BLOCK_EXT_MAJOR of include/linux/major.h: minors are given out as devices come. */
const BLOCK_EXTENDED_MAJOR = 259;

function addController(sysfs: FileTree, controller: ControllerDescription, nextDevice: () => string): void {
  const { name, transport = "pcie" } = controller;
  const number = numberOf(name);
  const address = `0000:${(number + 1).toString(16).padStart(2, "0")}:00.0`;
  const subsystem = controller.subsystem ?? number;
  const directory =
    transport === "pcie"
      ? `devices/pci0000:00/0000:00:${(number + 4).toString(16).padStart(2, "0")}.0/${address}/nvme/${name}`
      : `devices/virtual/nvme-fabrics/ctl/${name}`;
  sysfs.files(directory, {
    address: `${transport === "pcie" ? address : "traddr=192.0.2.10,trsvcid=4420"}\n`,
    cntlid: `${number + 1}\n`,
    dev: `${deviceOf(name)}\n`,
    firmware_rev: `${controller.firmware.padEnd(8)}\n`,
    model: `${controller.model.padEnd(40)}\n`,
    numa_node: "-1\n",
    queue_count: "3\n",
    serial: `${controller.serial.padEnd(20)}\n`,
    sqsize: "1023\n",
    state: `${controller.state ?? "live"}\n`,
    subsysnqn: qualifiedNameOf(subsystem),
    transport: `${transport}\n`,
    uevent: `NVME_TRTYPE=${transport}\n`,
    "power/control": "auto\n",
    [`hwmon${number + 2}/name`]: "nvme\n",
    [`hwmon${number + 2}/temp1_input`]: "40850\n",
    ...controller.files,
  });
  sysfs.link(`class/nvme/${name}`, directory);
  sysfs.link(`${directory}/subsystem`, "class/nvme");
  addSubsystem(sysfs, subsystem, controller, directory);
  for (const namespace of controller.namespaces) {
    addNamespace(sysfs, directory, name, namespace, nextDevice);
  }
}

function addSubsystem(
  sysfs: FileTree,
  number: number,
  controller: ControllerDescription,
  member: string,
): void {
  const directory = `devices/virtual/nvme-subsystem/nvme-subsys${number}`;
  sysfs.files(directory, {
    firmware_rev: `${controller.firmware.padEnd(8)}\n`,
    iopolicy: "numa\n",
    model: `${controller.model.padEnd(40)}\n`,
    serial: `${controller.serial.padEnd(20)}\n`,
    subsysnqn: qualifiedNameOf(number),
    subsystype: "nvm\n",
  });
  sysfs.link(`${directory}/${controller.name}`, member);
  sysfs.link(`class/nvme-subsystem/nvme-subsys${number}`, directory);
}

function qualifiedNameOf(subsystem: number): string {
  return `nqn.2014.08.org.nvmexpress:uuid:00000000-0000-4000-8000-${subsystem.toString(16).padStart(12, "0")}\n`;
}

function addNamespace(
  sysfs: FileTree,
  controllerDirectory: string,
  controller: string,
  namespace: NamespaceDescription,
  nextDevice: () => string,
): void {
  const path = namespace.path ?? namespace.name;
  const isHidden = namespace.path !== undefined;
  const files = {
    ...blockFiles(namespace),
    hidden: isHidden ? "1\n" : "0\n",
    ...(namespace.anaState !== undefined && { ana_state: `${namespace.anaState}\n` }),
    ...namespace.files,
  };
  addBlockDevices(sysfs, [
    { name: path, ...(!isHidden && { dev: nextDevice() }), parent: controllerDirectory, files },
  ]);
  sysfs.link(`${controllerDirectory}/${path}/device`, controllerDirectory);
  sysfs.file(`${controllerDirectory}/ng${numberOf(controller)}n${namespace.nsid}/dev`, "244:0\n");
}

/** The block device above all paths of a namespace. */
function addHead(sysfs: FileTree, head: NamespaceDescription, dev: string): void {
  const parent = `devices/virtual/nvme-subsystem/nvme-subsys${numberOf(head.name)}`;
  addBlockDevices(sysfs, [{ name: head.name, dev, parent, files: { ...blockFiles(head), hidden: "0\n" } }]);
}

function blockFiles(namespace: NamespaceDescription): Record<string, string> {
  const { blocks, logicalBlockBytes = 512, usedBlocks } = namespace;
  return {
    nsid: `${namespace.nsid}\n`,
    /** In units of 512 bytes, whatever the logical block is. */
    size: `${(blocks * BigInt(logicalBlockBytes)) / 512n}\n`,
    wwid: `eui.${namespace.nsid.toString(16).padStart(16, "0")}\n`,
    "queue/logical_block_size": `${logicalBlockBytes}\n`,
    "queue/physical_block_size": "4096\n",
    ...(usedBlocks !== undefined && { nuse: `${usedBlocks}\n` }),
  };
}

function addNode(
  tree: FileTree,
  built: BuiltHost,
  host: HostDescription,
  controller: ControllerDescription,
): void {
  const { node } = controller;
  if (node?.kind === "missing") return;
  const recording: RecordingInput = {
    dev: node?.kind === "other_device" ? node.dev : deviceOf(controller.name),
    ...(node?.kind === "unopenable" && { openErrno: node.errno }),
    ...(host.since !== undefined && { since: host.since }),
    ...(host.logCommands === true && { commandLog: built.commandLog }),
    answers: [...controller.answers],
  };
  const text = node?.kind === "ordinary_file" ? "" : `${JSON.stringify(recording, undefined, 1)}\n`;
  tree.file(`dev/${controller.name}`, text);
}

function deviceOf(controller: string): string {
  return `245:${numberOf(controller)}`;
}

/** Of the controller `nvme12` and of the head `nvme12n1` alike: 12. */
function numberOf(name: string): number {
  const digits = /^nvme(\d+)/.exec(name)?.[1];
  if (digits === undefined) throw new Error(`"${name}" is no name of a controller or namespace`);
  return Number(digits);
}
