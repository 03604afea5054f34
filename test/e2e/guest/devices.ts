/** The controllers of the guest: QEMU's own, and those of the NVMe/TCP target. Known by serial: Linux gives the names. */
import {
  type AmazonCounters,
  documentedBins,
  ebsPage,
  instanceStorePages,
  UNBOUNDED_SIZE,
} from "../../../src/demo/nvme-pages.ts";
import type { TargetConfig } from "./nvmet-target.ts";

const MIB = 1024 * 1024;

/** QEMU's controllers have vendor 0x1b36 and know no vendor log page, whatever serial they bear. */
export const QEMU = {
  /** 64 MiB in blocks of 512 bytes; a serial as EBS has them. */
  plain: { serial: "vol0fedcba9876543210", sizeBytes: 64 * MIB },
  /** 128 MiB in blocks of 4096 bytes. */
  large: { serial: "LBA4096", sizeBytes: 128 * MIB, blockSizeBytes: 4096 },
  /** One subsystem of two controllers that share a namespace. */
  shared: { serial: "SHARED", sizeBytes: 32 * MIB },
};

export function qemuDevices(): string[] {
  const drive = (id: string, bytes: number) => [
    "-drive",
    `driver=null-co,size=${bytes},read-zeroes=on,if=none,id=${id}`,
  ];
  return [
    ...drive("plain", QEMU.plain.sizeBytes),
    ...["-device", `nvme,serial=${QEMU.plain.serial},drive=plain`],
    ...drive("large", QEMU.large.sizeBytes),
    ...["-device", `nvme,id=large,serial=${QEMU.large.serial}`],
    ...["-device", "nvme-ns,drive=large,bus=large,logical_block_size=4096,physical_block_size=4096"],
    ...drive("shared", QEMU.shared.sizeBytes),
    ...["-device", "nvme-subsys,id=subsystem,nqn=shared"],
    ...["-device", `nvme,id=first,serial=${QEMU.shared.serial},subsys=subsystem`],
    ...["-device", `nvme,id=second,serial=${QEMU.shared.serial},subsys=subsystem`],
    ...["-device", "nvme-ns,drive=shared,bus=second,nsid=1,shared=on"],
  ];
}

/** What the target shows, by serial. */
export const TARGET = {
  ebs: "vol0123456789abcdef0",
  instanceStore: "AWS0123456789ABCDEF0",
  wrongMagic: "vol0123456789abcdef1",
  unsupported: "vol0123456789abcdef2",
  refused: "vol0123456789abcdef3",
  impostor: "vol0123456789abcdef4",
  /** Connected last. */
  hung: "vol0123456789abcdef5",
};

const EBS_MODEL = "Amazon Elastic Block Store";
const INSTANCE_STORE_MODEL = "Amazon EC2 NVMe Instance Storage";

export const PORT = 4420;
export const nqn = (serial: string): string => `nqn.2026-01.example.plumbline:${serial}`;

/** A volume whose histograms have the documented 28 bins, the last one used. */
export const EBS_COUNTERS = {
  readOps: 60329n,
  writeOps: 1290n,
  readBytes: 988430336n,
  writeBytes: 21135360n,
  readTimeUs: 38000000n,
  writeTimeUs: 1900000n,
  volumeIopsExceededUs: 41892491n,
  volumeThroughputExceededUs: 2219379n,
  queueLength: 2n,
  readBins: documentedBins({ 9: 15869, 10: 43877, 11: 514, 12: 66, 13: 3 }),
  writeBins: documentedBins({ 10: 1201, 11: 88, 27: 1 }),
} satisfies AmazonCounters;

const hex = (...pages: Uint8Array[]): string => Buffer.concat(pages).toString("hex");

export const ebs = (counters: AmazonCounters): { page: string } => ({ page: hex(ebsPage(counters)) });

export function targetConfig(): TargetConfig {
  const namespaces = [{ blocks: 262_144, usedBlocks: 131_072, blockSizeBytes: 512 }];
  const volume = (serial: string, log: { page?: string; status?: number; never?: boolean }) => ({
    nqn: nqn(serial),
    vid: 0x1d0f,
    model: EBS_MODEL,
    serial,
    vendor: hex(Buffer.from("/dev/sdf".padEnd(32))),
    namespaces,
    logPages: { "0xd0": log },
  });
  return {
    port: PORT,
    controllers: [
      volume(TARGET.ebs, ebs(EBS_COUNTERS)),
      { ...volume(TARGET.instanceStore, { page: instanceStoreLog() }), model: INSTANCE_STORE_MODEL },
      volume(TARGET.wrongMagic, ebs({ ...EBS_COUNTERS, magic: 0x12345678 })),
      volume(TARGET.unsupported, { status: 0x4109 }),
      volume(TARGET.refused, { status: 0x400b }),
      { ...volume(TARGET.impostor, ebs(EBS_COUNTERS)), vid: 0x1234 },
      volume(TARGET.hung, { never: true }),
    ],
  };
}

/** 67 reads and no write, in five bands of I/O size. */
function instanceStoreLog(): string {
  const { first, detail } = instanceStorePages({
    readOps: 67n,
    readBytes: 1101824n,
    readTimeUs: 4284n,
    readBins: documentedBins({ 5: 40, 7: 27 }),
    writeBins: documentedBins(),
    bands: [
      { sizeBound: 512, reads: { 5: 10n } },
      { sizeBound: 4096, reads: { 5: 30n } },
      { sizeBound: 8192 },
      { sizeBound: 32768, reads: { 7: 20n } },
      { sizeBound: UNBOUNDED_SIZE, reads: { 7: 7n } },
    ],
  });
  return hex(first, detail);
}
