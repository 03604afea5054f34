import { describe, expect, test } from "bun:test";
import { type Bin, documentedBins, EBS_MAGIC, ebsPage } from "../../../src/demo/nvme-pages.ts";
import {
  decodeEbs,
  decodeInstanceStore,
  decodeInstanceStoreDetail,
  type LatencyHistogram,
} from "../../../src/nvme/pages/amazon.ts";
import { EBS_COUNTERS, ebsVolumePage, instanceStoreVolumePages } from "../../support/nvme-volumes.ts";

const U64_MAX = 2n ** 64n - 1n;

const countsOf = (histogram: LatencyHistogram | undefined) => histogram?.map(({ count }) => count);
const reasonsOf = ({ problems }: { readonly problems: readonly { readonly reason: string }[] }) =>
  problems.map(({ reason }) => reason);

describe("EBS statistics", () => {
  test("every counter is read from where it stands", () => {
    const counters = {
      version: 7,
      readOps: 1n,
      writeOps: 2n,
      readBytes: 3n,
      writeBytes: 4n,
      readTimeUs: 5n,
      writeTimeUs: 6n,
      volumeIopsExceededUs: 7n,
      volumeThroughputExceededUs: 8n,
      instanceIopsExceededUs: 9n,
      instanceThroughputExceededUs: 10n,
      queueLength: 11n,
    };
    expect(decodeEbs(ebsPage(counters))).toEqual({
      page: { ...counters, readLatency: undefined, writeLatency: undefined },
      problems: [],
    });
  });

  test("the magic is the bytes 10 B5 23 3C, whatever version follows them", () => {
    const page = ebsVolumePage({ version: 0xffffffff });
    expect([...page.subarray(0, 4)]).toEqual([0x10, 0xb5, 0x23, 0x3c]);
    expect(decodeEbs(page)).toMatchObject({ page: { version: 0xffffffff, readOps: 60329n }, problems: [] });
  });

  test.each([2n ** 53n + 1n, 2n ** 63n, U64_MAX])("a counter of %p keeps all its digits", (value) => {
    const { page } = decodeEbs(ebsVolumePage({ readBytes: value, queueLength: value }));
    expect(page).toMatchObject({ readBytes: value, queueLength: value });
  });

  test.each([
    ["0x12345678", { magic: 0x12345678 }],
    ["the instance store's", { magic: 0xec2c0d7e }],
    ["zero", { magic: 0 }],
  ])("magic %s: nothing of the page is taken", (_, changes) => {
    const decoded = decodeEbs(ebsVolumePage(changes));
    expect(decoded.page).toBeUndefined();
    expect(reasonsOf(decoded)).toEqual(["bad_magic"]);
  });

  test("a wrong magic is named with the right one", () => {
    expect(decodeEbs(ebsVolumePage({ magic: 0x12345678 })).problems[0]?.detail).toBe(
      "log page D0h begins with 0x12345678 instead of 0x3C23B510: not the EBS statistics",
    );
  });

  test("a page of zeros is a bad magic", () => {
    expect(reasonsOf(decodeEbs(new Uint8Array(4096)))).toEqual(["bad_magic"]);
  });

  test.each([0, 4, 95])("a page of %d bytes is a bad magic", (length) => {
    const decoded = decodeEbs(ebsVolumePage().subarray(0, length));
    expect(decoded.page).toBeUndefined();
    expect(reasonsOf(decoded)).toEqual(["bad_magic"]);
  });

  test.each([96, 512, 519, 600, 2055, 2064])("a page cut after %d bytes keeps its counters", (length) => {
    const decoded = decodeEbs(ebsVolumePage().subarray(0, length));
    expect(decoded.page).toMatchObject({ readOps: 60329n, readLatency: undefined, writeLatency: undefined });
    expect(reasonsOf(decoded)).toEqual(["bad_histogram"]);
  });
});

describe("latency histograms", () => {
  test("the 28 documented bins are read", () => {
    const { page, problems } = decodeEbs(ebsVolumePage());
    expect(problems).toEqual([]);
    expect(page?.readLatency).toHaveLength(28);
    expect(page?.readLatency?.slice(9, 11)).toEqual([
      { lowerUs: 256n, upperUs: 512n, count: 15869n },
      { lowerUs: 512n, upperUs: 1024n, count: 43877n },
    ]);
    expect(page?.writeLatency?.at(-1)).toEqual({ lowerUs: 67108864n, upperUs: U64_MAX, count: 1n });
  });

  test("four bytes after a count that make the sum unbelievable are reserved: all counts are 32 bits wide", () => {
    const readBins = EBS_COUNTERS.readBins.map((bin, i) => (i === 9 ? { ...bin, reserved: 1 } : bin));
    const { page, problems } = decodeEbs(ebsVolumePage({ readBins }));
    expect(problems).toEqual([]);
    expect(countsOf(page?.readLatency)?.slice(9, 14)).toEqual([15869n, 43877n, 514n, 66n, 3n]);
  });

  test("a count over 2^32 that the operations bear out is 64 bits wide", () => {
    const readBins = EBS_COUNTERS.readBins.map((bin, i) => (i === 9 ? { ...bin, reserved: 1 } : bin));
    const { page } = decodeEbs(ebsVolumePage({ readBins, readOps: 2n ** 31n }));
    expect(countsOf(page?.readLatency)?.[9]).toBe(2n ** 32n + 15869n);
  });

  test("a sum of up to 2^32 is believed, however few the operations", () => {
    const readBins = documentedBins({ 9: 2 ** 32 - 1, 10: 1 });
    const { page } = decodeEbs(ebsVolumePage({ readBins, readOps: 0n }));
    expect(countsOf(page?.readLatency)?.slice(9, 11)).toEqual([2n ** 32n - 1n, 1n]);
  });

  test("the width of one histogram says nothing of the other", () => {
    const readBins = EBS_COUNTERS.readBins.map((bin, i) => (i === 9 ? { ...bin, reserved: 1 } : bin));
    const writeBins = EBS_COUNTERS.writeBins.map((bin, i) => (i === 10 ? { ...bin, reserved: 1 } : bin));
    const { page } = decodeEbs(ebsVolumePage({ readBins, writeBins, writeOps: 2n ** 32n }));
    expect(countsOf(page?.readLatency)?.[9]).toBe(15869n);
    expect(countsOf(page?.writeLatency)?.[10]).toBe(2n ** 32n + 1201n);
  });

  test("no bins are no histogram and no fault", () => {
    const { page, problems } = decodeEbs(ebsVolumePage({ readBins: [] }));
    expect(problems).toEqual([]);
    expect(page?.readLatency).toBeUndefined();
    expect(page?.writeLatency).toHaveLength(28);
  });

  test("64 bins are taken", () => {
    const bins = Array.from({ length: 64 }, (_, i) => ({
      lowerUs: BigInt(i),
      upperUs: BigInt(i + 1),
      count: i,
    }));
    const { page, problems } = decodeEbs(ebsVolumePage({ readBins: bins, writeBins: bins }));
    expect(problems).toEqual([]);
    expect(page?.writeLatency?.at(-1)).toEqual({ lowerUs: 63n, upperUs: 64n, count: 63n });
  });

  test.each([0n, 4n, U64_MAX])("a last bin that ends at %p has no end, and costs nothing", (upperUs) => {
    const readBins = [one(0n, 8n), one(8n, 16n), one(16n, upperUs)];
    const { page, problems } = decodeEbs(ebsVolumePage({ readBins, writeBins: [one(0n, upperUs)] }));
    expect(problems).toEqual([]);
    expect(countsOf(page?.readLatency)).toEqual([1n, 1n, 1n]);
    expect(countsOf(page?.writeLatency)).toEqual([1n]);
  });

  const one = (lowerUs: bigint, upperUs: bigint): Bin => ({ lowerUs, upperUs, count: 1 });
  test.each<[string, Parameters<typeof ebsVolumePage>[0]]>([
    ["65 bins", { readBinCount: 65n }],
    ["2^64-1 bins", { writeBinCount: U64_MAX }],
    ["two equal upper bounds", { readBins: [one(0n, 8n), one(8n, 8n), one(8n, 16n)] }],
    ["bins that overlap", { readBins: [one(0n, 8n), one(4n, 16n)] }],
    ["a lower bound above the upper", { writeBins: [one(9n, 8n), one(9n, 16n)] }],
    ["a last bin that begins below the one before", { writeBins: [one(0n, 8n), one(0n, U64_MAX)] }],
    [
      "bounds that are one and the same as doubles",
      { readBins: [one(0n, 2n ** 60n), one(2n ** 60n, 2n ** 60n + 1n), one(2n ** 61n, 2n ** 62n)] },
    ],
    [
      "bounds that are one and the same as doubles in seconds",
      {
        readBins: [
          one(0n, 2225138503891215104n),
          one(2225138503891215104n, 2225138503891215360n),
          one(2225138503891215360n, U64_MAX),
        ],
      },
    ],
  ])("%s: the counters stay, both histograms go", (_, changes) => {
    const decoded = decodeEbs(ebsVolumePage(changes));
    expect(decoded.page).toMatchObject({
      readOps: 60329n,
      queueLength: 2n,
      readLatency: undefined,
      writeLatency: undefined,
    });
    expect(reasonsOf(decoded)).toEqual(["bad_histogram"]);
  });

  test("what is wrong is said of each histogram", () => {
    const { problems } = decodeEbs(
      ebsVolumePage({ readBinCount: 65n, writeBins: [one(9n, 8n), one(9n, 16n)] }),
    );
    expect(problems[0]?.detail).toBe(
      "the EBS statistics, read histogram: 65 bins, more than 64; write histogram: bin 0 goes from 9 down to 8 µs; " +
        "latencies are left out",
    );
  });
});

describe("instance-store statistics", () => {
  test("version 1 tells the sizes of the second half", () => {
    const { page, problems } = decodeInstanceStore(instanceStoreVolumePages().first);
    expect(problems).toEqual([]);
    expect(page).toMatchObject({ readOps: 67n, writeOps: 0n, readBytes: 1101824n, readTimeUs: 4284n });
    expect(page?.ioSizeBounds).toEqual([512, 4096, 8192, 32768, Number.POSITIVE_INFINITY]);
  });

  test.each([0, 2])("version %d has no second half", (version) => {
    const { page, problems } = decodeInstanceStore(instanceStoreVolumePages({ version }).first);
    expect(problems).toEqual([]);
    expect(page?.ioSizeBounds).toEqual([]);
  });

  test("an EBS page is a bad magic", () => {
    expect(reasonsOf(decodeInstanceStore(ebsVolumePage()))).toEqual(["bad_magic"]);
    expect(reasonsOf(decodeInstanceStore(instanceStoreVolumePages({ magic: EBS_MAGIC }).first))).toEqual([
      "bad_magic",
    ]);
  });

  test("eight sizes are taken", () => {
    const bands = Array.from({ length: 8 }, (_, i) => ({ sizeBound: 512 << i }));
    expect(decodeInstanceStore(instanceStoreVolumePages({ bands }).first).page?.ioSizeBounds).toHaveLength(8);
  });

  test.each<[string, Parameters<typeof instanceStoreVolumePages>[0]]>([
    ["nine sizes", { bandCount: 9 }],
    ["2^32-1 sizes", { bandCount: 2 ** 32 - 1 }],
    ["sizes that fall", { bands: [{ sizeBound: 4096 }, { sizeBound: 512 }] }],
    ["equal sizes", { bands: [{ sizeBound: 4096 }, { sizeBound: 4096 }] }],
  ])("%s: the first half stays, the second is not wanted", (_, changes) => {
    const decoded = decodeInstanceStore(instanceStoreVolumePages(changes).first);
    expect(decoded.page).toMatchObject({ readOps: 67n, ioSizeBounds: [] });
    expect(decoded.page?.readLatency).toHaveLength(28);
    expect(reasonsOf(decoded)).toEqual(["detail"]);
  });

  test("a page cut before the sizes keeps the rest", () => {
    const decoded = decodeInstanceStore(instanceStoreVolumePages().first.subarray(0, 3635));
    expect(decoded.page).toMatchObject({ readOps: 67n, ioSizeBounds: [] });
    expect(reasonsOf(decoded)).toEqual(["detail"]);
  });
});

describe("second half of the instance-store statistics", () => {
  const halves = (changes: Parameters<typeof instanceStoreVolumePages>[0] = {}) => {
    const { first, detail } = instanceStoreVolumePages(changes);
    const { page } = decodeInstanceStore(first);
    if (page === undefined) throw new Error("the first half must be sound");
    return { first: page, detail };
  };

  test("each band has reads and writes in the bins of the base write histogram", () => {
    const writeBins = [
      { lowerUs: 0n, upperUs: 10n, count: 0 },
      { lowerUs: 10n, upperUs: 20n, count: 0 },
    ];
    const bands = [
      { sizeBound: 512, reads: { 0: 1n, 1: 2n }, writes: { 0: 3n, 1: 4n } },
      { sizeBound: 4096, reads: { 0: 2n ** 63n }, writes: { 1: 5n } },
    ];
    const { first, detail } = halves({ writeBins, bands });
    const bin = (i: 0 | 1, count: bigint) => ({ lowerUs: [0n, 10n][i], upperUs: [10n, 20n][i], count });
    expect(decodeInstanceStoreDetail(detail, first).page as unknown).toEqual([
      { sizeBound: 512, readLatency: [bin(0, 1n), bin(1, 2n)], writeLatency: [bin(0, 3n), bin(1, 4n)] },
      {
        sizeBound: 4096,
        readLatency: [bin(0, 2n ** 63n), bin(1, 0n)],
        writeLatency: [bin(0, 0n), bin(1, 5n)],
      },
    ]);
  });

  test("64 write bins are clamped to the 32 that a band has", () => {
    const writeBins = Array.from({ length: 64 }, (_, i) => ({
      lowerUs: BigInt(i),
      upperUs: BigInt(i + 1),
      count: 0,
    }));
    const bands = [{ sizeBound: 512, reads: { 31: 9n } }, { sizeBound: 4096 }];
    const { first, detail } = halves({ writeBins, bands });
    const { page } = decodeInstanceStoreDetail(detail, first);
    expect(page?.map(({ readLatency }) => readLatency.length)).toEqual([32, 32]);
    expect(page?.[0]?.readLatency[31]).toEqual({ lowerUs: 31n, upperUs: 32n, count: 9n });
  });

  test("without a base write histogram there are no bands", () => {
    const { first, detail } = halves({ writeBins: [] });
    expect(decodeInstanceStoreDetail(detail, first)).toEqual({ page: [], problems: [] });
  });

  test("a short half is a missing detail", () => {
    const { first, detail } = halves();
    const decoded = decodeInstanceStoreDetail(detail.subarray(0, 5 * 512 - 1), first);
    expect(decoded.page).toBeUndefined();
    expect(reasonsOf(decoded)).toEqual(["detail"]);
  });
});
