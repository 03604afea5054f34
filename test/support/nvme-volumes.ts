/** The Amazon volumes that the specification gives with their expected values. */
import { documentedBins, ebsPage, instanceStorePages, UNBOUNDED_SIZE } from "../../src/demo/nvme-pages.ts";

/** An EBS volume: reads in bins 9–13, writes in bins 10, 11 and 27. */
export const EBS_COUNTERS = {
  version: 1,
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
};

export const ebsVolumePage = (changes: Partial<Parameters<typeof ebsPage>[0]> = {}) =>
  ebsPage({ ...EBS_COUNTERS, ...changes });

/** An instance-store volume of version 1: 67 reads, no writes, five bands of I/O sizes. */
export const INSTANCE_STORE_COUNTERS = {
  version: 1,
  readOps: 67n,
  writeOps: 0n,
  readBytes: 1101824n,
  readTimeUs: 4284n,
  readBins: documentedBins({ 5: 40, 6: 20, 8: 7 }),
  writeBins: documentedBins(),
  bands: [
    { sizeBound: 512, reads: { 5: 10n } },
    { sizeBound: 4096, reads: { 5: 30n, 6: 10n } },
    { sizeBound: 8192, reads: { 6: 10n } },
    { sizeBound: 32768, reads: {} },
    { sizeBound: UNBOUNDED_SIZE, reads: { 8: 7n } },
  ],
};

export const instanceStoreVolumePages = (changes: Partial<Parameters<typeof instanceStorePages>[0]> = {}) =>
  instanceStorePages({ ...INSTANCE_STORE_COUNTERS, ...changes });
