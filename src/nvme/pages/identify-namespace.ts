/** Identify Namespace data structure (CNS 00h), NVM Express NVM Command Set Specification section 4.1.5.1. */
import type { Decoded } from "../problem.ts";
import { lengthOf, readFields, u8, u64, viewOf } from "./layout.ts";

export interface IdentifyNamespace {
  /** NSZE: namespace size in logical blocks. */
  readonly sizeBlocks: bigint;
  /** NCAP: logical blocks that may be allocated at one time. */
  readonly capacityBlocks: bigint;
  /** NUSE: logical blocks allocated now. */
  readonly usedBlocks: bigint;
  /** Size of a logical block in the format in use (FLBAS); undefined where the format makes no sense. */
  readonly logicalBlockSizeBytes: number | undefined;
}

const LAYOUT = {
  sizeBlocks: u64(0),
  capacityBlocks: u64(8),
  usedBlocks: u64(16),
  formattedLbaSize: u8(26),
};

/** LBAF 0–63 of four bytes each: metadata size u16, LBA data size u8 as a power of two, relative performance u8. */
const LBA_FORMATS = { offset: 128, size: 4, dataSize: 2, count: 64 };

const LENGTH = Math.max(lengthOf(LAYOUT), LBA_FORMATS.offset + LBA_FORMATS.count * LBA_FORMATS.size);

/** Problem: `empty_page` where the page is too short. An inactive namespace is answered with zeros and decodes so. */
export function decodeIdentifyNamespace(bytes: Uint8Array): Decoded<IdentifyNamespace> {
  if (bytes.length < LENGTH) {
    const detail = `Identify Namespace has ${bytes.length} bytes instead of 4096`;
    return { page: undefined, problems: [{ reason: "empty_page", detail }] };
  }
  const view = viewOf(bytes);
  const { sizeBlocks, capacityBlocks, usedBlocks, formattedLbaSize } = readFields(view, LAYOUT);
  // Bits 3:0 are the low and bits 6:5 the high part of the index; bit 4 speaks of metadata.
  const format = (formattedLbaSize & 0x0f) | ((formattedLbaSize & 0x60) >> 1);
  const exponent = view.getUint8(LBA_FORMATS.offset + format * LBA_FORMATS.size + LBA_FORMATS.dataSize);
  // Below 512 bytes (9) a format is "not supported"; above 2^30 no device has one.
  const logicalBlockSizeBytes = exponent >= 9 && exponent <= 30 ? 2 ** exponent : undefined;
  return { page: { sizeBlocks, capacityBlocks, usedBlocks, logicalBlockSizeBytes }, problems: [] };
}
