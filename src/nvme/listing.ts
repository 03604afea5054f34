/** The NVMe controllers and namespaces of a host, as <sysfs>/class/nvme shows them at this moment. */
import { closeSync, constants, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { codeOf, reasonOf } from "../host/system-error.ts";
import type { Controller, Namespace } from "./model.ts";

export class ListingError extends Error {
  override readonly name = "ListingError";

  constructor(directory: string, cause: unknown) {
    super(`cannot list ${directory}: ${reasonOf(cause)}`, { cause });
  }
}

const CONTROLLER = /^nvme(\d{1,9})$/;
/** The path of a multipath namespace names its controller in the subsystem: `nvme1c2n1`. */
const NAMESPACE = /^(nvme\d+)(?:c\d+)?(n\d+)$/;

/** FFFFFFFFh means every namespace. */
const MAX_NSID = 0xfffffffen;

/** O_NONBLOCK: a FIFO in the place of an attribute must not stop the program. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** A sysfs attribute has at most a page. */
const MAX_ATTRIBUTE_BYTES = 4096;

/** By number; empty where the kernel has no class of that name. Throws ListingError where it cannot be read. */
export function listControllers(sysfs: string): Controller[] {
  const directory = `${sysfs}/class/nvme`;
  const controllers: { readonly number: number; readonly controller: Controller }[] = [];
  for (const name of entries(directory)) {
    const number = CONTROLLER.exec(name)?.[1];
    if (number === undefined) continue;
    const controller = readController(sysfs, `${directory}/${name}`, name);
    if (controller !== undefined) controllers.push({ number: Number(number), controller });
  }
  return controllers.sort((a, b) => a.number - b.number).map(({ controller }) => controller);
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw new ListingError(directory, error);
  }
}

/** Undefined where it went away meanwhile, or is no directory. */
function readController(sysfs: string, directory: string, name: string): Controller | undefined {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return undefined;
  }
  const text = (file: string): string => readAttribute(`${directory}/${file}`) ?? "";
  return {
    name,
    model: text("model"),
    serial: text("serial"),
    firmware: text("firmware_rev"),
    transport: text("transport"),
    subsystemNqn: text("subsysnqn"),
    state: text("state"),
    dev: readDeviceNumber(`${directory}/dev`),
    namespaces: names
      .flatMap((path) => readNamespace(sysfs, directory, path) ?? [])
      .sort((a, b) => a.nsid - b.nsid || (a.path < b.path ? -1 : 1)),
  };
}

/** Undefined where the entry is no namespace, its head is not there, or its nsid cannot be read. */
function readNamespace(sysfs: string, controller: string, path: string): Namespace | undefined {
  const [, subsystem, namespace] = NAMESPACE.exec(path) ?? [];
  if (subsystem === undefined || namespace === undefined) return undefined;
  const name = `${subsystem}${namespace}`;
  const head = `${sysfs}/class/block/${name}`;
  const nsid = readNumber(`${controller}/${path}/nsid`);
  if (nsid === undefined || nsid < 1n || nsid > MAX_NSID || !existsSync(head)) return undefined;
  const sectors = readNumber(`${head}/size`);
  const blockSize = readNumber(`${head}/queue/logical_block_size`);
  return {
    path,
    name,
    nsid: Number(nsid),
    sizeBytes: sectors === undefined ? undefined : sectors * 512n,
    logicalBlockSizeBytes: blockSize === undefined ? undefined : Number(blockSize),
    usedBlocks: readOptional(`${controller}/${path}/nuse`, readNumber),
    anaState: readOptional(`${controller}/${path}/ana_state`, readAttribute) || undefined,
  };
}

function readDeviceNumber(path: string): string | undefined {
  const text = readAttribute(path);
  return text !== undefined && /^\d{1,10}:\d{1,10}$/.test(text) ? text : undefined;
}

function readNumber(path: string): bigint | undefined {
  const text = readAttribute(path);
  return text !== undefined && /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
}

/** For what many kernels do not have: to look first costs a fifth of an error. */
function readOptional<Value>(path: string, read: (path: string) => Value): Value | undefined {
  return existsSync(path) ? read(path) : undefined;
}

const buffer = Buffer.alloc(MAX_ATTRIBUTE_BYTES);

/** The first 4096 bytes, cleaned; undefined where the file is missing or cannot be read. */
function readAttribute(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, OPEN_FLAGS);
  } catch {
    return undefined;
  }
  try {
    return clean(buffer.toString("latin1", 0, readSync(fd, buffer, 0, MAX_ATTRIBUTE_BYTES, null)));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** The kernel ends an attribute with a newline and pads the text of a device with blanks or NULs. */
function clean(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && PADDING.includes(text.charAt(start))) start++;
  while (end > start && PADDING.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end).replace(ODD, "?");
}

const PADDING = " \n\0";
const ODD = /[^\x20-\x7e]/g;
