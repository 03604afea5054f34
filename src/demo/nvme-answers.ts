/** Answers of a simulated controller to the commands that plumbline knows, from the pages that it shall show. */
import { type Change, type RecordedAnswer, recordPage } from "./nvme-recording.ts";

type Asked = Omit<RecordedAnswer, "reply" | "delayMs">;

export const CONTROLLER: Asked = { opcode: "identify", page: 1 };
export const SMART: Asked = { opcode: "get_log_page", page: 0x02, nsid: 0xffffffff };
export const EBS: Asked = { opcode: "get_log_page", page: 0xd0, nsid: 1 };
export const INSTANCE_STORE: Asked = { opcode: "get_log_page", page: 0xd0, nsid: 0xffffffff };
export const INSTANCE_STORE_DETAIL: Asked = { ...INSTANCE_STORE, offset: 4096 };

export const namespace = (nsid: number): Asked => ({ opcode: "identify", page: 0, nsid });

export function shows(asked: Asked, page: Uint8Array, changes: Change[] = []): RecordedAnswer {
  return { ...asked, reply: { kind: "page", page: recordPage(page, changes) } };
}

export function refuses(asked: Asked, status: number): RecordedAnswer {
  return { ...asked, reply: { kind: "status", status } };
}

export function fails(asked: Asked, errno: number): RecordedAnswer {
  return { ...asked, reply: { kind: "errno", errno } };
}

/** The kernel's admin timeout: after it a command comes back, interrupted, and the controller is reset. */
const ADMIN_TIMEOUT_MS = 60_000;
const EINTR = 4;

export function hangs(asked: Asked): RecordedAnswer {
  return { ...asked, delayMs: ADMIN_TIMEOUT_MS, reply: { kind: "errno", errno: EINTR } };
}
