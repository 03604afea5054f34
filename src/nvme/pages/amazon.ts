/**
 * Amazon's log page D0h: what the hypervisor knows of an EBS or an instance-store volume. Documented by AWS for
 * both kinds ("Amazon EBS detailed performance statistics", "Instance store volume detailed performance statistics").
 */
import type { Decoded } from "../problem.ts";
import { lengthOf, readFields, u32, u64, viewOf } from "./layout.ts";

/** Counters since the volume was attached; times in microseconds. */
export interface AmazonStatistics {
  readonly version: number;
  readonly readOps: bigint;
  readonly writeOps: bigint;
  readonly readBytes: bigint;
  readonly writeBytes: bigint;
  /** Time of all reads, those that failed included. */
  readonly readTimeUs: bigint;
  readonly writeTimeUs: bigint;
  /** Time in which the workload asked for more IOPS than the EBS volume is provisioned with. */
  readonly volumeIopsExceededUs: bigint;
  readonly volumeThroughputExceededUs: bigint;
  /** The same against the instance's EBS limit; on an instance store against the volume's own. */
  readonly instanceIopsExceededUs: bigint;
  readonly instanceThroughputExceededUs: bigint;
  /** Operations waiting now. */
  readonly queueLength: bigint;
  /** Undefined where the page has none, or one that cannot be right. */
  readonly readLatency: LatencyHistogram | undefined;
  readonly writeLatency: LatencyHistogram | undefined;
}

/** Bins in ascending order; the last has no upper bound, whatever the page says of it. */
export type LatencyHistogram = readonly LatencyBin[];

export interface LatencyBin {
  readonly lowerUs: bigint;
  readonly upperUs: bigint;
  /** Operations in this bin alone. */
  readonly count: bigint;
}

export interface InstanceStoreStatistics extends AmazonStatistics {
  /** Inclusive upper bounds in bytes of the I/O sizes that the second half tells apart; Infinity is "no bound". */
  readonly ioSizeBounds: readonly number[];
}

/** Latencies of the I/O up to one size and above the next smaller one. */
export interface SizeBand {
  readonly sizeBound: number;
  readonly readLatency: LatencyHistogram;
  readonly writeLatency: LatencyHistogram;
}

const EBS_MAGIC = 0x3c23b510;
const INSTANCE_STORE_MAGIC = 0xec2c0d7e;

const HEADER = {
  magic: u32(0),
  version: u32(4),
  readOps: u64(8),
  writeOps: u64(16),
  readBytes: u64(24),
  writeBytes: u64(32),
  readTimeUs: u64(40),
  writeTimeUs: u64(48),
  volumeIopsExceededUs: u64(56),
  volumeThroughputExceededUs: u64(64),
  instanceIopsExceededUs: u64(72),
  instanceThroughputExceededUs: u64(80),
  queueLength: u64(88),
};
const HEADER_LENGTH = lengthOf(HEADER);

/** A histogram: number of bins u64, then up to 64 bins. */
const READ_HISTOGRAM = 512;
const WRITE_HISTOGRAM = 2056;
const FIRST_BIN = 8;
const MAX_BINS = 64;
/** A bin: lower bound u64, upper bound u64, count u32, reserved u32. */
const BIN = { size: 24, lower: 0, upper: 8, count: 16 };

/** In the first half of an instance store's page: number of sizes u32, then eight inclusive bounds u32. */
const SIZES = { count: 3600, bounds: 3604, max: 8, unbounded: 0xffffffff };
/** In the second half, which begins at 4096 of the whole: for each size u64[32] reads, then u64[32] writes. */
const BAND = { size: 512, bins: 32, writes: 256 };
const DETAIL_VERSION = 1;

/** Problems: `bad_magic` (no page), `bad_histogram` (no latencies). */
export function decodeEbs(bytes: Uint8Array): Decoded<AmazonStatistics> {
  return decodeStatistics(bytes, EBS_MAGIC, "EBS statistics");
}

/** First half. Problems: `bad_magic` (no page), `bad_histogram` (no latencies), `detail` (no sizes). */
export function decodeInstanceStore(bytes: Uint8Array): Decoded<InstanceStoreStatistics> {
  const { page, problems } = decodeStatistics(bytes, INSTANCE_STORE_MAGIC, "instance-store statistics");
  if (page === undefined) return { page, problems };
  if (page.version !== DETAIL_VERSION) return { page: { ...page, ioSizeBounds: [] }, problems };
  const { page: ioSizeBounds = [], problems: doubts } = decodeSizes(bytes);
  return { page: { ...page, ioSizeBounds }, problems: [...problems, ...doubts] };
}

/**
 * Second half, read with the sizes and the bounds of the first: its bins are those of the write histogram there.
 * Empty where the first half has no bounds. Problem: `detail` where the half is too short.
 */
export function decodeInstanceStoreDetail(
  bytes: Uint8Array,
  first: InstanceStoreStatistics,
): Decoded<readonly SizeBand[]> {
  const bounds = first.writeLatency?.slice(0, BAND.bins) ?? [];
  if (bounds.length === 0) return { page: [], problems: [] };
  if (bytes.length < first.ioSizeBounds.length * BAND.size) {
    const detail = `second half of the instance-store statistics has ${bytes.length} bytes instead of 4096`;
    return { page: undefined, problems: [{ reason: "detail", detail }] };
  }
  const view = viewOf(bytes);
  const latency = (offset: number): LatencyHistogram =>
    bounds.map(({ lowerUs, upperUs }, bin) => ({
      lowerUs,
      upperUs,
      count: view.getBigUint64(offset + 8 * bin, true),
    }));
  const bands = first.ioSizeBounds.map((sizeBound, band) => ({
    sizeBound,
    readLatency: latency(band * BAND.size),
    writeLatency: latency(band * BAND.size + BAND.writes),
  }));
  return { page: bands, problems: [] };
}

function decodeStatistics(bytes: Uint8Array, magic: number, name: string): Decoded<AmazonStatistics> {
  if (bytes.length < HEADER_LENGTH) {
    return badMagic(`the ${name} have ${bytes.length} bytes instead of 4096`);
  }
  const view = viewOf(bytes);
  const { magic: found, ...counters } = readFields(view, HEADER);
  if (found !== magic) {
    return badMagic(
      `log page D0h begins with ${hexadecimal(found)} instead of ${hexadecimal(magic)}: not the ${name}`,
    );
  }
  const readLatency = decodeHistogram(view, READ_HISTOGRAM, counters.readOps);
  const writeLatency = decodeHistogram(view, WRITE_HISTOGRAM, counters.writeOps);
  const read = typeof readLatency === "string" ? `read histogram: ${readLatency}` : undefined;
  const write = typeof writeLatency === "string" ? `write histogram: ${writeLatency}` : undefined;
  const doubts = [read, write].filter((doubt) => doubt !== undefined);
  if (typeof readLatency !== "string" && typeof writeLatency !== "string") {
    return { page: { ...counters, readLatency, writeLatency }, problems: [] };
  }
  const detail = `the ${name}, ${doubts.join("; ")}; latencies are left out`;
  return {
    page: { ...counters, readLatency: undefined, writeLatency: undefined },
    problems: [{ reason: "bad_histogram", detail }],
  };
}

/** The bins; undefined where there are none; a sentence where they cannot be right. */
function decodeHistogram(page: DataView, offset: number, ops: bigint): LatencyHistogram | undefined | string {
  if (page.byteLength < offset + FIRST_BIN) return `ends after ${page.byteLength} bytes`;
  const announced = page.getBigUint64(offset, true);
  if (announced === 0n) return undefined;
  if (announced > BigInt(MAX_BINS)) return `${announced} bins, more than ${MAX_BINS}`;
  const binCount = Number(announced);
  const at = (bin: number) => offset + FIRST_BIN + BIN.size * bin;
  if (page.byteLength < at(binCount)) return `ends after ${page.byteLength} bytes`;

  const wide: LatencyBin[] = [];
  let sum = 0n;
  let previousUpper = -1;
  for (let bin = 0; bin < binCount; bin++) {
    const lowerUs = page.getBigUint64(at(bin) + BIN.lower, true);
    const upperUs = page.getBigUint64(at(bin) + BIN.upper, true);
    const count = page.getBigUint64(at(bin) + BIN.count, true);
    // As doubles and in seconds, because that is what the bounds of an exposed histogram are.
    const upper = Number(upperUs) / 1e6;
    if (Number(lowerUs) / 1e6 < previousUpper) return `the bounds of bin ${bin} do not ascend`;
    // Nothing ends the last bin: what stands there, be it 0 or 2^64 - 1, bounds nothing.
    if (bin < binCount - 1) {
      if (lowerUs > upperUs) return `bin ${bin} goes from ${lowerUs} down to ${upperUs} µs`;
      if (upper <= previousUpper) return `the bounds of bin ${bin} do not ascend`;
    }
    previousUpper = upper;
    sum += count;
    wide.push({ lowerUs, upperUs, count });
  }
  if (!isBeyondBelief(sum, ops)) return wide;
  return wide.map((bin, i) => ({ ...bin, count: BigInt(page.getUint32(at(i) + BIN.count, true)) }));
}

/**
 * Whether counts read 64 bits wide must be wrong. The documents leave open whether the four bytes after a 32-bit
 * count are its upper half or reserved; a sum over 2^32 that is also over four times the operations tells.
 */
const isBeyondBelief = (sum: bigint, ops: bigint): boolean => sum > 0x1_0000_0000n && sum > 4n * ops;

function decodeSizes(bytes: Uint8Array): Decoded<readonly number[]> {
  const view = viewOf(bytes);
  if (view.byteLength < SIZES.bounds + 4 * SIZES.max) {
    return noDetail(`end after ${view.byteLength} bytes`);
  }
  const count = view.getUint32(SIZES.count, true);
  if (count > SIZES.max) return noDetail(`announce ${count} I/O sizes, more than ${SIZES.max}`);
  const bounds = Array.from({ length: count }, (_, i) => {
    const bound = view.getUint32(SIZES.bounds + 4 * i, true);
    return bound === SIZES.unbounded ? Number.POSITIVE_INFINITY : bound;
  });
  for (let i = 1; i < bounds.length; i++) {
    if ((bounds[i] ?? 0) <= (bounds[i - 1] ?? 0)) return noDetail("have I/O sizes that do not ascend");
  }
  return { page: bounds, problems: [] };
}

const noDetail = (what: string): Decoded<readonly number[]> => ({
  page: undefined,
  problems: [
    {
      reason: "detail",
      detail: `the instance-store statistics ${what}; latencies by I/O size are left out`,
    },
  ],
});

const badMagic = (detail: string): Decoded<AmazonStatistics> => ({
  page: undefined,
  problems: [{ reason: "bad_magic", detail }],
});

const hexadecimal = (value: number): string => `0x${value.toString(16).toUpperCase().padStart(8, "0")}`;
