/**
 * NVMe pages made from values, for the simulators and the tests: the opposite direction of `nvme/pages/`, and written
 * from the specifications without its tables, so that one checks the other.
 */

export interface ControllerIdentity {
  readonly vendorId?: number;
  readonly serial?: string;
  readonly model?: string;
  readonly firmware?: string;
  readonly attributes?: number;
  readonly warningTemperatureKelvin?: number;
  readonly criticalTemperatureKelvin?: number;
  readonly totalCapacityBytes?: bigint;
  readonly unallocatedCapacityBytes?: bigint;
  /** Amazon's block device mapping, at 3072. */
  readonly mapping?: string;
}

/** Identify Controller, 4096 bytes. */
export function identifyController(controller: ControllerIdentity): Uint8Array<ArrayBuffer> {
  const page = new PageWriter(4096);
  page.u16(0, controller.vendorId ?? 0);
  page.text(4, 20, controller.serial ?? "");
  page.text(24, 40, controller.model ?? "");
  page.text(64, 8, controller.firmware ?? "");
  page.u32(96, controller.attributes ?? 0);
  page.u16(266, controller.warningTemperatureKelvin ?? 0);
  page.u16(268, controller.criticalTemperatureKelvin ?? 0);
  page.u128(280, controller.totalCapacityBytes ?? 0n);
  page.u128(296, controller.unallocatedCapacityBytes ?? 0n);
  if (controller.mapping !== undefined) page.text(3072, 32, controller.mapping);
  return page.bytes;
}

export interface NamespaceIdentity {
  readonly sizeBlocks: bigint;
  readonly capacityBlocks: bigint;
  readonly usedBlocks: bigint;
  /** A power of two. */
  readonly logicalBlockSizeBytes: number;
  /** Index of the format in use, 0 to 63. */
  readonly format?: number;
}

/** Identify Namespace, 4096 bytes. */
export function identifyNamespace(namespace: NamespaceIdentity): Uint8Array<ArrayBuffer> {
  const format = namespace.format ?? 0;
  const page = new PageWriter(4096);
  page.u64(0, namespace.sizeBlocks);
  page.u64(8, namespace.capacityBlocks);
  page.u64(16, namespace.usedBlocks);
  page.u8(26, (format & 0xf) | ((format >> 4) << 5));
  page.u8(128 + 4 * format + 2, Math.log2(namespace.logicalBlockSizeBytes));
  return page.bytes;
}

export interface SmartValues {
  readonly criticalWarning?: number;
  readonly temperatureKelvin?: number;
  readonly availableSparePercent?: number;
  readonly availableSpareThresholdPercent?: number;
  readonly usedPercent?: number;
  readonly dataUnitsRead?: bigint;
  readonly dataUnitsWritten?: bigint;
  readonly hostReadCommands?: bigint;
  readonly hostWriteCommands?: bigint;
  readonly controllerBusyMinutes?: bigint;
  readonly powerCycles?: bigint;
  readonly powerOnHours?: bigint;
  readonly unsafeShutdowns?: bigint;
  readonly mediaErrors?: bigint;
  readonly errorLogEntries?: bigint;
  readonly warningTemperatureMinutes?: number;
  readonly criticalTemperatureMinutes?: number;
  /** Sensors 1 to 8; 0 is "none". */
  readonly sensorsKelvin?: readonly number[];
  readonly thermalManagement1Transitions?: number;
  readonly thermalManagement2Transitions?: number;
  readonly thermalManagement1Seconds?: number;
  readonly thermalManagement2Seconds?: number;
}

/** SMART / Health Information, 512 bytes. */
export function smartPage(smart: SmartValues): Uint8Array<ArrayBuffer> {
  const page = new PageWriter(512);
  page.u8(0, smart.criticalWarning ?? 0);
  page.u16(1, smart.temperatureKelvin ?? 0);
  page.u8(3, smart.availableSparePercent ?? 0);
  page.u8(4, smart.availableSpareThresholdPercent ?? 0);
  page.u8(5, smart.usedPercent ?? 0);
  page.u128(32, smart.dataUnitsRead ?? 0n);
  page.u128(48, smart.dataUnitsWritten ?? 0n);
  page.u128(64, smart.hostReadCommands ?? 0n);
  page.u128(80, smart.hostWriteCommands ?? 0n);
  page.u128(96, smart.controllerBusyMinutes ?? 0n);
  page.u128(112, smart.powerCycles ?? 0n);
  page.u128(128, smart.powerOnHours ?? 0n);
  page.u128(144, smart.unsafeShutdowns ?? 0n);
  page.u128(160, smart.mediaErrors ?? 0n);
  page.u128(176, smart.errorLogEntries ?? 0n);
  page.u32(192, smart.warningTemperatureMinutes ?? 0);
  page.u32(196, smart.criticalTemperatureMinutes ?? 0);
  smart.sensorsKelvin?.forEach((kelvin, sensor) => {
    page.u16(200 + 2 * sensor, kelvin);
  });
  page.u32(216, smart.thermalManagement1Transitions ?? 0);
  page.u32(220, smart.thermalManagement2Transitions ?? 0);
  page.u32(224, smart.thermalManagement1Seconds ?? 0);
  page.u32(228, smart.thermalManagement2Seconds ?? 0);
  return page.bytes;
}

/** One latency bin, bounds in µs. `reserved` are the four bytes after the count. */
export interface Bin {
  readonly lowerUs: bigint;
  readonly upperUs: bigint;
  readonly count: number;
  readonly reserved?: number;
}

export interface AmazonCounters {
  readonly magic?: number;
  readonly version?: number;
  readonly readOps?: bigint;
  readonly writeOps?: bigint;
  readonly readBytes?: bigint;
  readonly writeBytes?: bigint;
  readonly readTimeUs?: bigint;
  readonly writeTimeUs?: bigint;
  /** @56 */
  readonly volumeIopsExceededUs?: bigint;
  /** @64 */
  readonly volumeThroughputExceededUs?: bigint;
  /** @72; on an instance store the volume's own limit */
  readonly instanceIopsExceededUs?: bigint;
  /** @80; on an instance store the volume's own limit */
  readonly instanceThroughputExceededUs?: bigint;
  readonly queueLength?: bigint;
  readonly readBins?: readonly Bin[];
  readonly writeBins?: readonly Bin[];
  /** What the page says of the number of bins, where it is to differ from the truth. */
  readonly readBinCount?: bigint;
  readonly writeBinCount?: bigint;
}

export const EBS_MAGIC = 0x3c23b510;
export const INSTANCE_STORE_MAGIC = 0xec2c0d7e;
/** "No bound" among the I/O sizes of an instance store. */
export const UNBOUNDED_SIZE = 0xffffffff;

/**
 * The 28 documented bins: [0,1], (1,2], (2,4] … (33554432,67108864], and from 67108864 on; counts by bin number,
 * 0 where nothing is said.
 */
export function documentedBins(counts: Readonly<Record<number, number>> = {}): Bin[] {
  return Array.from({ length: 28 }, (_, bin) => ({
    lowerUs: bin === 0 ? 0n : 1n << BigInt(bin - 1),
    upperUs: bin === 27 ? 0xffff_ffff_ffff_ffffn : 1n << BigInt(bin),
    count: counts[bin] ?? 0,
  }));
}

/** Log page D0h of an EBS volume, 4096 bytes. */
export function ebsPage(counters: AmazonCounters): Uint8Array<ArrayBuffer> {
  return amazonPage({ magic: EBS_MAGIC, ...counters }).bytes;
}

export interface InstanceStoreBand {
  readonly sizeBound: number;
  /** Counts by bin number; the bounds are those of the write histogram. */
  readonly reads?: Readonly<Record<number, bigint>>;
  readonly writes?: Readonly<Record<number, bigint>>;
}

export interface InstanceStoreCounters extends AmazonCounters {
  readonly bands?: readonly InstanceStoreBand[];
  /** What the page says of the number of bands, where it is to differ from the truth. */
  readonly bandCount?: number;
}

/** Log page D0h of an instance-store volume in its two transfers of 4096 bytes each. */
export function instanceStorePages(counters: InstanceStoreCounters): {
  readonly first: Uint8Array<ArrayBuffer>;
  readonly detail: Uint8Array<ArrayBuffer>;
} {
  const bands = counters.bands ?? [];
  const first = amazonPage({ magic: INSTANCE_STORE_MAGIC, version: 1, ...counters });
  const detail = new PageWriter(4096);
  first.u32(3600, counters.bandCount ?? bands.length);
  bands.slice(0, 8).forEach((band, h) => {
    first.u32(3604 + 4 * h, band.sizeBound);
    for (const [bin, count] of Object.entries(band.reads ?? {})) detail.u64(512 * h + 8 * Number(bin), count);
    for (const [bin, count] of Object.entries(band.writes ?? {})) {
      detail.u64(512 * h + 256 + 8 * Number(bin), count);
    }
  });
  return { first: first.bytes, detail: detail.bytes };
}

function amazonPage(counters: AmazonCounters): PageWriter {
  const page = new PageWriter(4096);
  page.u32(0, counters.magic ?? 0);
  page.u32(4, counters.version ?? 0);
  page.u64(8, counters.readOps ?? 0n);
  page.u64(16, counters.writeOps ?? 0n);
  page.u64(24, counters.readBytes ?? 0n);
  page.u64(32, counters.writeBytes ?? 0n);
  page.u64(40, counters.readTimeUs ?? 0n);
  page.u64(48, counters.writeTimeUs ?? 0n);
  page.u64(56, counters.volumeIopsExceededUs ?? 0n);
  page.u64(64, counters.volumeThroughputExceededUs ?? 0n);
  page.u64(72, counters.instanceIopsExceededUs ?? 0n);
  page.u64(80, counters.instanceThroughputExceededUs ?? 0n);
  page.u64(88, counters.queueLength ?? 0n);
  page.histogram(512, counters.readBins ?? [], counters.readBinCount);
  page.histogram(2056, counters.writeBins ?? [], counters.writeBinCount);
  return page;
}

class PageWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(offset: number, value: number): void {
    this.#view.setUint8(offset, value);
  }

  u16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  u32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  u64(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, true);
  }

  u128(offset: number, value: bigint): void {
    this.u64(offset, BigInt.asUintN(64, value));
    this.u64(offset + 8, BigInt.asUintN(64, value >> 64n));
  }

  /** Padded with blanks, as Identify has it; a longer text is cut. */
  text(offset: number, size: number, text: string): void {
    this.bytes.fill(0x20, offset, offset + size);
    new TextEncoder().encodeInto(text, this.bytes.subarray(offset, offset + size));
  }

  histogram(offset: number, bins: readonly Bin[], announced = BigInt(bins.length)): void {
    this.u64(offset, announced);
    bins.slice(0, 64).forEach((bin, i) => {
      const at = offset + 8 + 24 * i;
      this.u64(at, bin.lowerUs);
      this.u64(at + 8, bin.upperUs);
      this.u32(at + 16, bin.count);
      this.u32(at + 20, bin.reserved ?? 0);
    });
  }
}
