/**
 * The Worker's side of asking a device: takes one command at a time, runs it on a Kernel, posts the result. What may
 * block blocks here, and nothing but this thread.
 */
import { constants } from "node:os";
import type { Kernel } from "./kernel.ts";

/** What the pool posts to a Worker: one admin command for one device node. */
export interface CommandRequest {
  /** The controller's node: `/dev/nvme0`. */
  readonly path: string;
  /** What the node must be, `major:minor`, from sysfs. */
  readonly dev: string;
  /** struct nvme_passthru_cmd with `addr` 0. */
  readonly command: Uint8Array;
  /** How many bytes the device transfers. */
  readonly length: number;
}

export type CommandResult =
  | { readonly kind: "page"; readonly bytes: Uint8Array }
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "permission" | "open" | "ioctl"; readonly errno: number }
  | { readonly kind: "not_a_device" };

/** What becomes of a command that was posted, in the slot that pool and Worker share: exactly one of them gets it. */
export const OFFERED = 1;
export const TAKEN = 2;
export const REVOKED = 3;

/** What the pool posts: once the slots, then commands. */
export type PoolMessage =
  | { readonly kind: "slots"; readonly slots: Int32Array }
  | { readonly kind: "command"; readonly slot: number; readonly request: CommandRequest };

/** What a Worker posts. `now` is its own performance.now() at the event, which the pool brings to its own clock. */
export type WorkerMessage =
  /** Posted once: under Bun a message to a Worker that does not listen yet is lost. */
  | { readonly kind: "ready"; readonly now: number }
  | { readonly kind: "done"; readonly slot: number; readonly result: CommandResult; readonly now: number }
  /** The pool had taken the command back. */
  | { readonly kind: "skipped"; readonly slot: number; readonly now: number };

/** Serves the pool for as long as the Worker lives. Call it once, as the last statement of a Worker's entry file. */
export function serveCommands(kernel: Kernel): void {
  let slots: Int32Array = new Int32Array();
  self.addEventListener("message", ({ data }: MessageEvent<PoolMessage>) => {
    if (data.kind === "slots") {
      slots = data.slots;
      return;
    }
    const { slot, request } = data;
    if (Atomics.compareExchange(slots, slot, OFFERED, TAKEN) !== OFFERED) {
      post({ kind: "skipped", slot, now: performance.now() }, []);
      return;
    }
    const result = runCommand(kernel, request);
    const message: WorkerMessage = { kind: "done", slot, result, now: performance.now() };
    // Handed over, not copied: nobody here keeps the page.
    post(message, result.kind === "page" ? [result.bytes.buffer] : []);
  });
  post({ kind: "ready", now: performance.now() }, []);
}

/** Opens the node, makes sure that it is the device, sends the command, closes the node again. */
export function runCommand(kernel: Kernel, { path, dev, command, length }: CommandRequest): CommandResult {
  const fd = kernel.open(path);
  if (fd < 0) return failed("open", -fd);
  try {
    const stat = kernel.stat(fd);
    if (typeof stat === "number") return failed("open", -stat);
    if (!stat.isCharacterDevice || stat.device !== dev) return { kind: "not_a_device" };
    // A new one each time: a device that transfers less than was asked must not show what another one wrote before.
    const bytes = new Uint8Array(length);
    const status = kernel.adminCommand(fd, command, bytes);
    if (status < 0) return failed("ioctl", -status);
    return status > 0 ? { kind: "status", status } : { kind: "page", bytes };
  } finally {
    kernel.close(fd);
  }
}

function failed(where: "open" | "ioctl", errno: number): CommandResult {
  const denied = errno === constants.errno.EACCES || errno === constants.errno.EPERM;
  return { kind: denied ? "permission" : where, errno };
}

/** The DOM's types of a window stand in for those of a Worker: there the second argument would be an origin. */
function post(message: WorkerMessage, transfer: ArrayBufferLike[]): void {
  const scope: { postMessage(message: WorkerMessage, options: { transfer: ArrayBufferLike[] }): void } = self;
  scope.postMessage(message, { transfer });
}
