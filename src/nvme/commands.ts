/**
 * The six admin commands that plumbline sends, and the only place that makes one. They read; nothing here can write,
 * format, reset or abort, because the one builder below refuses every opcode but Get Log Page and Identify.
 */
import type { AdminCommand, Page } from "./model.ts";

/** NVM Express Base Specification, figure "Opcodes for Admin Commands". */
const GET_LOG_PAGE = 0x02;
const IDENTIFY = 0x06;

/** NVM Express Base Specification, figure "Log Page Identifiers"; C0h–FFh are the vendor's. */
const SMART = 0x02;
const AMAZON = 0xd0;

/** Controller or Namespace Structure values of Identify. */
const CNS_NAMESPACE = 0x00;
const CNS_CONTROLLER = 0x01;

const NO_NAMESPACE = 0;
const EVERY_NAMESPACE = 0xffffffff;

/** Retain Asynchronous Event: a reading leaves pending events to whoever waits for them. */
const RETAIN_ASYNCHRONOUS_EVENT = 1 << 15;

/** Identify Controller data structure; 4096 bytes. */
export function identifyController(): AdminCommand {
  return adminCommand("identify_controller", IDENTIFY, NO_NAMESPACE, 4096, CNS_CONTROLLER);
}

/** Identify Namespace data structure of an active namespace; 4096 bytes. */
export function identifyNamespace(nsid: number): AdminCommand {
  return adminCommand("identify_namespace", IDENTIFY, nsid, 4096, CNS_NAMESPACE);
}

/** SMART / Health Information of the whole controller; 512 bytes. */
export function smartLog(): AdminCommand {
  return adminCommand("smart", GET_LOG_PAGE, EVERY_NAMESPACE, 512, logPage(SMART, 512));
}

/** Statistics of an EBS volume; 4096 bytes. To be sent to Amazon's EBS controllers only: D0h is anybody's. */
export function ebsPage(): AdminCommand {
  return adminCommand("ebs", GET_LOG_PAGE, 1, 4096, logPage(AMAZON, 4096));
}

/** First half of the statistics of an EC2 instance-store volume; 4096 bytes. */
export function instanceStorePage(): AdminCommand {
  const cdw10 = logPage(AMAZON, 4096) | RETAIN_ASYNCHRONOUS_EVENT;
  return adminCommand("instance_store", GET_LOG_PAGE, EVERY_NAMESPACE, 4096, cdw10);
}

/** Second half: latency histograms by I/O size; 4096 bytes from offset 4096. */
export function instanceStoreDetail(): AdminCommand {
  return adminCommand(
    "instance_store_detail",
    GET_LOG_PAGE,
    EVERY_NAMESPACE,
    4096,
    logPage(AMAZON, 4096),
    4096,
  );
}

/** Command dword 10 of Get Log Page: NUMDL (0-based number of dwords) in bits 31:16, the page in bits 7:0. */
function logPage(identifier: number, length: number): number {
  return ((length / 4 - 1) << 16) | identifier;
}

/**
 * Builds struct nvme_passthru_cmd (linux/nvme_ioctl.h). `addr` and `data_len` stay 0 for the kernel seam to fill.
 * So do `flags` and `timeout_ms`: a timeout of ours would make the kernel abort the command or reset the controller.
 */
function adminCommand(
  page: Page,
  opcode: number,
  nsid: number,
  length: number,
  cdw10: number,
  cdw12 = 0,
): AdminCommand {
  if (opcode !== GET_LOG_PAGE && opcode !== IDENTIFY) {
    throw new Error(`Cannot send admin opcode 0x${opcode.toString(16)}: only Get Log Page and Identify are`);
  }
  //  offset  size  field
  //       0     1  opcode
  //       1     1  flags           0
  //       4     4  nsid
  //       8    16  cdw2, cdw3, metadata   0
  //      24     8  addr            0 here
  //      32     8  metadata_len, data_len 0 here
  //      40    24  cdw10 … cdw15
  //      64     4  timeout_ms      0
  //      68     4  result          0
  const bytes = new Uint8Array(72);
  const command = new DataView(bytes.buffer);
  command.setUint8(0, opcode);
  command.setUint32(4, nsid, true);
  command.setUint32(40, cdw10, true);
  command.setUint32(48, cdw12, true);
  return { page, nsid, bytes, length };
}
