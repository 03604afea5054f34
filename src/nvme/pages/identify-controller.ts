/** Identify Controller data structure (CNS 01h), NVM Express Base Specification section 5.1.13.2.1. */
import type { Decoded } from "../problem.ts";
import { isPrintable, lengthOf, printable, readFields, text, u16, u32, u128, viewOf } from "./layout.ts";

/** PCI vendor of EBS and instance-store controllers; anybody may write "Amazon" into a model. */
export const AMAZON_VENDOR_ID = 0x1d0f;

export interface IdentifyController {
  /** VID: PCI vendor, as assigned by the PCI-SIG. */
  readonly vendorId: number;
  /** SN */
  readonly serial: string;
  /** MN */
  readonly model: string;
  /** FR */
  readonly firmware: string;
  /** CTRATT: controller attributes; bit 9 says that there is a UUID list. */
  readonly attributes: number;
  /** WCTEMP: warning composite temperature threshold in kelvins; 0 is "not reported". */
  readonly warningTemperatureKelvin: number;
  /** CCTEMP: critical composite temperature threshold in kelvins; 0 is "not reported". */
  readonly criticalTemperatureKelvin: number;
  /** TNVMCAP: total NVM capacity in bytes; 0 is "not reported". */
  readonly totalCapacityBytes: bigint;
  /** UNVMCAP: unallocated NVM capacity in bytes; 0 is "not reported" or none. */
  readonly unallocatedCapacityBytes: bigint;
  /** On Amazon's controllers the block device mapping of the launch: `/dev/sdf`, `xvdb`; vendor area, 3072. */
  readonly mapping: string | undefined;
}

const LAYOUT = {
  vendorId: u16(0),
  serial: text(4, 20),
  model: text(24, 40),
  firmware: text(64, 8),
  attributes: u32(96),
  warningTemperatureKelvin: u16(266),
  criticalTemperatureKelvin: u16(268),
  totalCapacityBytes: u128(280),
  unallocatedCapacityBytes: u128(296),
};

const MAPPING = { offset: 3072, size: 32 };

const LENGTH = Math.max(lengthOf(LAYOUT), MAPPING.offset + MAPPING.size);

/** Problem: `bad_identity` where the page is too short to say who the controller is. */
export function decodeIdentifyController(bytes: Uint8Array): Decoded<IdentifyController> {
  if (bytes.length < LENGTH) {
    const detail = `Identify Controller has ${bytes.length} bytes instead of 4096`;
    return { page: undefined, problems: [{ reason: "bad_identity", detail }] };
  }
  const fields = readFields(viewOf(bytes), LAYOUT);
  const mapping = fields.vendorId === AMAZON_VENDOR_ID ? mappingOf(bytes) : undefined;
  return { page: { ...fields, mapping }, problems: [] };
}

/** The device name of the block device mapping, padded with blanks or NULs; undefined where it is empty or junk. */
function mappingOf(bytes: Uint8Array): string | undefined {
  const field = bytes.subarray(MAPPING.offset, MAPPING.offset + MAPPING.size);
  let end = field.length;
  while (end > 0 && (field[end - 1] === 0 || field[end - 1] === 0x20)) end--;
  if (end === 0 || !field.subarray(0, end).every(isPrintable)) return undefined;
  const mapping = printable(field);
  return mapping === "" ? undefined : mapping;
}
