/** The controllers of the guest: QEMU's own, and those of the NVMe/TCP target. Known by serial: Linux gives the names. */
import { EBS_MODEL, INSTANCE_STORE_MODEL } from "../../../src/demo/nvme-devices.ts";
import { type AmazonCounters, ebsPage, instanceStorePages } from "../../../src/demo/nvme-pages.ts";
import { EBS_COUNTERS, INSTANCE_STORE_COUNTERS } from "../../support/nvme-hosts.ts";
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

export const PORT = 4420;
export const nqn = (serial: string): string => `nqn.2026-01.example.plumbline:${serial}`;

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
  const { first, detail } = instanceStorePages(INSTANCE_STORE_COUNTERS);
  return {
    port: PORT,
    controllers: [
      volume(TARGET.ebs, ebs(EBS_COUNTERS)),
      {
        ...volume(TARGET.instanceStore, { page: hex(first, detail) }),
        model: INSTANCE_STORE_MODEL,
      },
      volume(TARGET.wrongMagic, ebs({ ...EBS_COUNTERS, magic: 0x12345678 })),
      volume(TARGET.unsupported, { status: 0x4109 }),
      volume(TARGET.refused, { status: 0x400b }),
      { ...volume(TARGET.impostor, ebs(EBS_COUNTERS)), vid: 0x1234 },
      volume(TARGET.hung, { never: true }),
    ],
  };
}
