/**
 * The host of `plumbline demo`: an EC2-like machine with some drives more than any machine has, each of which shows a
 * reason to watch it. Its counters move from `since` on, and what goes wrong comes and goes within a minute or two.
 */
import { drive, ebsVolume, instanceStore } from "./nvme-devices.ts";
import type { ControllerDescription, HostDescription, NamespaceDescription } from "./nvme-host.ts";
import { type AmazonCounters, type Bin, documentedBins } from "./nvme-pages.ts";
import type { Change, Pulse } from "./nvme-recording.ts";

const GIB = 1024n ** 3n;
/** What the counters hold when the demo starts: three days of the same load. */
const UPTIME_SECONDS = 3 * 24 * 3600;

/** One line a device, for people: what the simulation shows. */
export const LIVING_HOST_SHOWS: readonly (readonly [device: string, what: string])[] = [
  ["nvme0", "EBS root volume, calm"],
  ["nvme1", "EBS volume that exceeds its own IOPS and throughput for 25 s in each minute"],
  ["nvme2", "EBS volume held back by the limit of its instance, 30 s in every two minutes"],
  ["nvme3", "EC2 instance store with latency histograms by I/O size"],
  ["nvme4", "healthy drive with 4096-byte blocks and two namespaces"],
  ["nvme5", "worn-out drive: spare below its threshold, media errors growing"],
  ["nvme6", "drive that runs into its warning temperature every 90 s and throttles itself"],
  [
    "nvme7, nvme8",
    "one NVMe over TCP namespace by two paths; the second is lost for 7 minutes in every 12, so that its alert fires",
  ],
  ["nvme9", "virtual drive whose SMART page is empty"],
  ["nvme10", "drive that the kernel is resetting"],
];

/** `secondPath`: the state of the controller nvme8, which is another at other moments. */
export function livingHost(since: number, secondPath = "live"): HostDescription {
  return { since, controllers: [...amazonVolumes(), ...drives(secondPath)] };
}

function amazonVolumes(): ControllerDescription[] {
  return [
    loadedEbsVolume("nvme0", "vol0a1b2c3d4e5f60718", "/dev/xvda", 30n * GIB, {
      reads: { perSecond: 4, bytesEach: 16_384, latency: { 9: 0.7, 10: 0.28, 13: 0.02 } },
      writes: { perSecond: 22, bytesEach: 8192, latency: { 9: 0.2, 10: 0.75, 12: 0.05 } },
      limits: [],
    }),
    loadedEbsVolume("nvme1", "vol0123456789abcdef0", "/dev/sdf", 500n * GIB, {
      reads: { perSecond: 1900, bytesEach: 16_384, latency: { 9: 0.55, 10: 0.35, 14: 0.09, 17: 0.01 } },
      writes: { perSecond: 1100, bytesEach: 32_768, latency: { 10: 0.7, 11: 0.25, 15: 0.05 } },
      limits: [
        { at: VOLUME_IOPS_EXCEEDED, share: 0.62, pulse: BUSY },
        { at: VOLUME_THROUGHPUT_EXCEEDED, share: 0.18, pulse: BUSY },
      ],
      queue: { by: 37, pulse: BUSY },
    }),
    loadedEbsVolume("nvme2", "vol0fedcba9876543210", "/dev/sdg", 2048n * GIB, {
      reads: { perSecond: 300, bytesEach: 131_072, latency: { 8: 0.9, 9: 0.09, 12: 0.01 } },
      writes: { perSecond: 240, bytesEach: 131_072, latency: { 8: 0.6, 9: 0.39, 12: 0.01 } },
      limits: [{ at: INSTANCE_THROUGHPUT_EXCEEDED, share: 0.85, pulse: HELD_BACK }],
      queue: { by: 12, pulse: HELD_BACK },
    }),
    loadedInstanceStore("nvme3", "AWS0123456789ABCDEF0", 900n * GIB, {
      reads: { perSecond: 5200, bytesEach: 8192, latency: { 6: 0.4, 7: 0.55, 9: 0.05 } },
      writes: { perSecond: 1400, bytesEach: 16_384, latency: { 4: 0.5, 5: 0.45, 8: 0.05 } },
      limits: [],
    }),
  ];
}

function drives(secondPath: string): ControllerDescription[] {
  const healthy = {
    temperatureKelvin: 311,
    availableSparePercent: 100,
    availableSpareThresholdPercent: 10,
    usedPercent: 4,
    dataUnitsRead: 48_210_334n,
    dataUnitsWritten: 61_034_551n,
    hostReadCommands: 912_334_021n,
    hostWriteCommands: 1_402_551_920n,
    controllerBusyMinutes: 4120n,
    powerCycles: 21n,
    powerOnHours: 9120n,
    unsafeShutdowns: 2n,
    sensorsKelvin: [311, 318],
  };
  const thresholds = { warningTemperatureKelvin: 343, criticalTemperatureKelvin: 358 };
  const shared: NamespaceDescription = {
    name: "nvme7n1",
    nsid: 1,
    blocks: 1_875_385_008n,
    usedBlocks: 901_225_472n,
  };
  return [
    drive({
      name: "nvme4",
      model: "Example Datacenter SSD 2TB",
      serial: "EX4K00000001",
      firmware: "EDA5402Q",
      identity: {
        ...thresholds,
        totalCapacityBytes: 2_000_398_934_016n,
        unallocatedCapacityBytes: 200_037_457_920n,
      },
      namespaces: [
        { name: "nvme4n1", nsid: 1, blocks: 390_703_445n, logicalBlockBytes: 4096, usedBlocks: 201_223_990n },
        { name: "nvme4n2", nsid: 2, blocks: 48_837_931n, logicalBlockBytes: 4096, usedBlocks: 12_034n },
      ],
      smart: healthy,
      changes: work(320, 450),
    }),
    drive({
      name: "nvme5",
      model: "Example Client SSD 500GB",
      serial: "EXWORN000001",
      firmware: "2B2QEXM7",
      identity: { ...thresholds, totalCapacityBytes: 500_107_862_016n },
      namespaces: [{ name: "nvme5n1", nsid: 1, blocks: 976_773_168n, usedBlocks: 931_450_880n }],
      smart: {
        ...healthy,
        criticalWarning: 0b101,
        availableSparePercent: 3,
        usedPercent: 117,
        dataUnitsWritten: 1_203_451_992n,
        powerOnHours: 41_877n,
        mediaErrors: 214n,
        errorLogEntries: 1093n,
      },
      changes: [
        ...work(40, 110),
        { kind: "grows", at: MEDIA_ERRORS, bytes: 16, perSecond: 0.2 },
        { kind: "grows", at: ERROR_LOG_ENTRIES, bytes: 16, perSecond: 0.2 },
      ],
    }),
    drive({
      name: "nvme6",
      model: "Example Client SSD 1TB",
      serial: "EXHOT0000001",
      firmware: "1.0.0",
      identity: { ...thresholds, totalCapacityBytes: 1_000_204_886_016n },
      namespaces: [{ name: "nvme6n1", nsid: 1, blocks: 1_953_525_168n, usedBlocks: 1_000_000_000n }],
      smart: {
        ...healthy,
        temperatureKelvin: 325,
        sensorsKelvin: [325, 331],
        warningTemperatureMinutes: 213,
        thermalManagement1Transitions: 88,
        thermalManagement1Seconds: 4410,
      },
      changes: [
        ...work(900, 700),
        { kind: "swings", at: TEMPERATURE, bytes: 2, by: 24, everySeconds: 90 },
        { kind: "swings", at: SENSORS, bytes: 2, by: 24, everySeconds: 90 },
        { kind: "swings", at: SENSORS + 2, bytes: 2, by: 30, everySeconds: 90 },
        { kind: "steps", at: CRITICAL_WARNING, bytes: 1, by: 0b10, pulse: HOT },
        { kind: "grows", at: WARNING_MINUTES, bytes: 4, perSecond: 1 / 60, pulse: HOT },
        { kind: "grows", at: THERMAL_TRANSITIONS, bytes: 4, perSecond: 1 / HOT.forSeconds, pulse: HOT },
        { kind: "grows", at: THERMAL_SECONDS, bytes: 4, perSecond: 1, pulse: HOT },
      ],
    }),
    ...[
      { anaState: "optimized", state: "live" },
      { anaState: "inaccessible", state: secondPath },
    ].map(({ anaState, state }, path) =>
      drive({
        name: `nvme${7 + path}`,
        transport: "tcp",
        state,
        model: "Example Fabric Array",
        serial: "EXSHARED0001",
        firmware: "3.1",
        subsystem: 7,
        identity: thresholds,
        namespaces: [{ ...shared, path: `nvme7c${7 + path}n1`, anaState }],
        smart: healthy,
        changes: work(150, 80),
      }),
    ),
    drive({
      name: "nvme9",
      model: "Example Virtual NVMe Disk",
      serial: "EXVIRTUAL001",
      firmware: "1.0",
      namespaces: [{ name: "nvme9n1", nsid: 1, blocks: 41_943_040n }],
      smart: {},
    }),
    drive({
      name: "nvme10",
      model: "Example Datacenter SSD 4TB",
      serial: "EXRESET00001",
      firmware: "EDA5402Q",
      state: "resetting",
      namespaces: [{ name: "nvme10n1", nsid: 1, blocks: 7_501_476_528n }],
      smart: healthy,
    }),
  ];
}

/** SMART / Health Information, NVM Express base specification, log page 02h. */
const CRITICAL_WARNING = 0;
const TEMPERATURE = 1;
const DATA_UNITS_READ = 32;
const DATA_UNITS_WRITTEN = 48;
const HOST_READS = 64;
const HOST_WRITES = 80;
const MEDIA_ERRORS = 160;
const ERROR_LOG_ENTRIES = 176;
const WARNING_MINUTES = 192;
const SENSORS = 200;
const THERMAL_TRANSITIONS = 216;
const THERMAL_SECONDS = 224;

/** While the swing of 90 s from 325 K to 349 K is above 343 K: 30 s about its middle. */
const HOT = { everySeconds: 90, forSeconds: 30, afterSeconds: 30 };

/** A data unit is 512,000 bytes, here 8 commands of 64 KB. */
function work(readsPerSecond: number, writesPerSecond: number): Change[] {
  return [
    { kind: "grows", at: HOST_READS, bytes: 16, perSecond: readsPerSecond },
    { kind: "grows", at: HOST_WRITES, bytes: 16, perSecond: writesPerSecond },
    { kind: "grows", at: DATA_UNITS_READ, bytes: 16, perSecond: readsPerSecond / 8 },
    { kind: "grows", at: DATA_UNITS_WRITTEN, bytes: 16, perSecond: writesPerSecond / 8 },
  ];
}

interface Load {
  readonly reads: Stream;
  readonly writes: Stream;
  readonly limits: readonly Limit[];
  readonly queue?: { readonly by: number; readonly pulse: Pulse };
}

interface Stream {
  readonly perSecond: number;
  readonly bytesEach: number;
  /** Share of the I/O in each latency bin; they add up to 1. */
  readonly latency: Readonly<Record<number, number>>;
}

interface Limit {
  /** Offset of its counter. */
  readonly at: number;
  /** Of the time of a pulse. */
  readonly share: number;
  readonly pulse: Pulse;
}

/** Amazon's log page D0h. */
const READ_OFFSETS = { ops: 8, bytes: 24, time: 40, histogram: 512 };
const WRITE_OFFSETS = { ops: 16, bytes: 32, time: 48, histogram: 2056 };
const VOLUME_IOPS_EXCEEDED = 56;
const VOLUME_THROUGHPUT_EXCEEDED = 64;
const INSTANCE_THROUGHPUT_EXCEEDED = 80;
const QUEUE_LENGTH = 88;

const BUSY = { everySeconds: 60, forSeconds: 25, afterSeconds: 5 };
const HELD_BACK = { everySeconds: 120, forSeconds: 30, afterSeconds: 40 };

function loadedEbsVolume(
  name: string,
  serial: string,
  mapping: string,
  sizeBytes: bigint,
  load: Load,
): ControllerDescription {
  return ebsVolume({
    name,
    serial,
    mapping,
    sizeBytes,
    counters: countersOf(load),
    changes: changesOf(load),
  });
}

function countersOf({ reads, writes }: Load): AmazonCounters {
  return {
    readOps: BigInt(reads.perSecond * UPTIME_SECONDS),
    writeOps: BigInt(writes.perSecond * UPTIME_SECONDS),
    readBytes: BigInt(reads.perSecond * reads.bytesEach * UPTIME_SECONDS),
    writeBytes: BigInt(writes.perSecond * writes.bytesEach * UPTIME_SECONDS),
    readTimeUs: BigInt(Math.floor(busyUsPerSecond(reads) * UPTIME_SECONDS)),
    writeTimeUs: BigInt(Math.floor(busyUsPerSecond(writes) * UPTIME_SECONDS)),
    queueLength: 1n,
    readBins: binsOf(reads),
    writeBins: binsOf(writes),
  };
}

function binsOf({ perSecond, latency }: Stream): Bin[] {
  const counts = Object.entries(latency).map(([bin, share]) => [
    bin,
    Math.floor(share * perSecond * UPTIME_SECONDS),
  ]);
  return documentedBins(Object.fromEntries(counts));
}

/** Bin i ends at 2^i µs; the mean within it is taken at three quarters. */
function busyUsPerSecond({ perSecond, latency }: Stream): number {
  let meanUs = 0;
  for (const [bin, share] of Object.entries(latency)) meanUs += share * 0.75 * 2 ** Number(bin);
  return perSecond * meanUs;
}

function changesOf(load: Load): Change[] {
  const changes = [...streamChanges(READ_OFFSETS, load.reads), ...streamChanges(WRITE_OFFSETS, load.writes)];
  for (const { at, share, pulse } of load.limits) {
    changes.push({ kind: "grows", at, bytes: 8, perSecond: share * 1e6, pulse });
  }
  if (load.queue !== undefined) {
    changes.push({ kind: "steps", at: QUEUE_LENGTH, bytes: 8, by: load.queue.by, pulse: load.queue.pulse });
  }
  return changes;
}

function streamChanges(at: typeof READ_OFFSETS, stream: Stream): Change[] {
  return [
    { kind: "grows", at: at.ops, bytes: 8, perSecond: stream.perSecond },
    { kind: "grows", at: at.bytes, bytes: 8, perSecond: stream.perSecond * stream.bytesEach },
    { kind: "grows", at: at.time, bytes: 8, perSecond: busyUsPerSecond(stream) },
    ...Object.entries(stream.latency).map(([bin, share]): Change => {
      const count = at.histogram + 8 + 24 * Number(bin) + 16;
      return { kind: "grows", at: count, bytes: 4, perSecond: share * stream.perSecond };
    }),
  ];
}

/** Upper bounds of the I/O sizes, and the share of the I/O up to each. */
const BANDS = [
  { sizeBound: 512, share: 0.05 },
  { sizeBound: 4096, share: 0.4 },
  { sizeBound: 8192, share: 0.35 },
  { sizeBound: 32_768, share: 0.15 },
  { sizeBound: 0xffffffff, share: 0.05 },
];

function loadedInstanceStore(
  name: string,
  serial: string,
  sizeBytes: bigint,
  load: Load,
): ControllerDescription {
  const countIn = (stream: Stream, bandShare: number) =>
    Object.fromEntries(
      Object.entries(stream.latency).map(([bin, share]) => [
        bin,
        BigInt(Math.floor(bandShare * share * stream.perSecond * UPTIME_SECONDS)),
      ]),
    );
  const bands = BANDS.map(({ sizeBound, share }) => ({
    sizeBound,
    reads: countIn(load.reads, share),
    writes: countIn(load.writes, share),
  }));
  const detailChanges = BANDS.flatMap((band, h) =>
    [load.reads, load.writes].flatMap((stream, direction) =>
      Object.entries(stream.latency).map(([bin, share]): Change => {
        const at = 512 * h + 256 * direction + 8 * Number(bin);
        return { kind: "grows", at, bytes: 8, perSecond: band.share * share * stream.perSecond };
      }),
    ),
  );
  return instanceStore({
    name,
    serial,
    sizeBytes,
    counters: { ...countersOf(load), bands },
    changes: changesOf(load),
    detailChanges,
  });
}
