/**
 * A kernel whose NVMe controllers are recordings: `open("<devfs>/nvme0")` reads the file that stands there and every
 * further call answers from it. It is as strict as a driver: a command that a real one would not take, or that would
 * write past its buffer, is refused.
 */
import { appendFileSync, closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { constants as os } from "node:os";
import type { Kernel, NodeStat } from "../nvme/kernel.ts";
import { parseRecording, type Recording, replayPage } from "./nvme-recording.ts";

interface Node {
  readonly path: string;
  /** Undefined where the file is no recording: then it is what it seems, an ordinary file. */
  readonly recording: Recording | undefined;
}

const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

const IDENTIFY = 0x06;
const GET_LOG_PAGE = 0x02;
/** struct nvme_passthru_cmd of <linux/nvme_ioctl.h>. */
const COMMAND_BYTES = 72;
const COMMAND = { opcode: 0, flags: 1, nsid: 4, cdw10: 40, cdw11: 44, cdw12: 48, cdw13: 52, timeoutMs: 64 };

/** NVM Express base specification 2.0, figures 94 and 101, with Do Not Retry. */
const INVALID_OPCODE = 0x4001;
const INVALID_FIELD = 0x4002;
const INVALID_LOG_PAGE = 0x4109;

export function simulatedKernel(now: () => number = Date.now): Kernel {
  const nodes = new Map<number, Node>();
  const recordings = new Map<string, { signature: string; recording: Recording | undefined }>();

  return {
    open(path) {
      let file: number;
      try {
        file = openSync(path, OPEN_FLAGS);
      } catch (error) {
        return -errnoOf(error);
      }
      try {
        const { ino, size, mtimeMs } = fstatSync(file);
        const signature = `${ino} ${size} ${mtimeMs}`;
        let known = recordings.get(path);
        if (known?.signature !== signature) {
          known = { signature, recording: readRecording(file) };
          recordings.set(path, known);
        }
        const { recording } = known;
        if (recording?.openErrno !== undefined) return -recording.openErrno;
        const descriptor = lowestFree(nodes);
        nodes.set(descriptor, { path, recording });
        return descriptor;
      } finally {
        closeSync(file);
      }
    },

    stat(descriptor): NodeStat | number {
      const node = nodes.get(descriptor);
      if (node === undefined) return -os.errno.EBADF;
      if (node.recording === undefined) return { isCharacterDevice: false, device: "0:0" };
      return { isCharacterDevice: node.recording.characterDevice, device: node.recording.dev };
    },

    adminCommand(descriptor, command, page) {
      const node = nodes.get(descriptor);
      if (node === undefined) return -os.errno.EBADF;
      if (node.recording === undefined) return -os.errno.ENOTTY;
      return answer(node.recording, command, page, now);
    },

    close(descriptor) {
      nodes.delete(descriptor);
    },
  };
}

function readRecording(file: number): Recording | undefined {
  try {
    return parseRecording(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function answer(recording: Recording, bytes: Uint8Array, page: Uint8Array, now: () => number): number {
  if (bytes.length !== COMMAND_BYTES) return -os.errno.EFAULT;
  const command = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const opcode = command.getUint8(COMMAND.opcode);
  const nsid = command.getUint32(COMMAND.nsid, true);
  const cdw10 = command.getUint32(COMMAND.cdw10, true);
  if (recording.commandLog !== undefined) {
    const line = {
      at: now(),
      dev: recording.dev,
      opcode,
      nsid,
      cdw10,
      cdw12: command.getUint32(COMMAND.cdw12, true),
    };
    appendFileSync(recording.commandLog, `${JSON.stringify(line)}\n`);
  }
  // Flags must be 0, and a timeout of our own could make the driver reset the controller.
  if (command.getUint8(COMMAND.flags) !== 0 || command.getUint32(COMMAND.timeoutMs, true) !== 0) {
    return -os.errno.EINVAL;
  }
  if (opcode !== IDENTIFY && opcode !== GET_LOG_PAGE) return INVALID_OPCODE;
  if (transferBytes(opcode, command) !== page.length) return -os.errno.EFAULT;

  const asked = {
    opcode: opcode === IDENTIFY ? "identify" : "get_log_page",
    page: cdw10 & 0xff,
    offset: opcode === IDENTIFY ? 0 : logPageOffset(command),
  };
  const found = recording.answers.find(
    (answer) =>
      answer.opcode === asked.opcode &&
      answer.page === asked.page &&
      answer.offset === asked.offset &&
      (answer.nsid === undefined || answer.nsid === nsid),
  );
  if (found === undefined) return opcode === IDENTIFY ? INVALID_FIELD : INVALID_LOG_PAGE;
  if (found.delayMs > 0) sleep(found.delayMs);
  const { reply } = found;
  switch (reply.kind) {
    case "page":
      if (reply.page.length > page.length) return INVALID_FIELD;
      replayPage(reply.page, (now() - recording.since) / 1000, page);
      return 0;
    case "status":
      return reply.status;
    case "errno":
      return -reply.errno;
  }
}

/** How much the controller would write: Identify 4096 bytes, a log page NUMD + 1 double words (NUMD is 0-based). */
function transferBytes(opcode: number, command: DataView): number {
  if (opcode === IDENTIFY) return 4096;
  const lower = command.getUint32(COMMAND.cdw10, true) >>> 16;
  const upper = command.getUint32(COMMAND.cdw11, true) & 0xffff;
  return (upper * 0x10000 + lower + 1) * 4;
}

function logPageOffset(command: DataView): number {
  return command.getUint32(COMMAND.cdw13, true) * 2 ** 32 + command.getUint32(COMMAND.cdw12, true);
}

/** Blocks the thread, as an ioctl does. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function lowestFree(nodes: ReadonlyMap<number, Node>): number {
  let descriptor = 3;
  while (nodes.has(descriptor)) descriptor++;
  return descriptor;
}

function errnoOf(error: unknown): number {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  for (const [name, errno] of Object.entries(os.errno)) if (name === code) return errno;
  return os.errno.EIO;
}
