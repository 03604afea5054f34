import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { latencySeconds } from "../../../src/nvme/latency.ts";
import {
  decodeEbs,
  decodeInstanceStore,
  decodeInstanceStoreDetail,
  type InstanceStoreStatistics,
} from "../../../src/nvme/pages/amazon.ts";
import { decodeIdentifyController } from "../../../src/nvme/pages/identify-controller.ts";
import { decodeIdentifyNamespace } from "../../../src/nvme/pages/identify-namespace.ts";
import { decodeSmart } from "../../../src/nvme/pages/smart.ts";
import type { Decoded } from "../../../src/nvme/problem.ts";
import { instanceStoreVolumePages } from "../../support/nvme-volumes.ts";

const FIRST_HALF = soundFirstHalf();

const DECODERS: readonly [string, (bytes: Uint8Array) => Decoded<unknown>][] = [
  ["Identify Controller", decodeIdentifyController],
  ["Identify Namespace", decodeIdentifyNamespace],
  ["SMART", decodeSmart],
  ["EBS statistics", decodeEbs],
  ["instance-store statistics", decodeInstanceStore],
  ["second half", (bytes) => decodeInstanceStoreDetail(bytes, FIRST_HALF)],
];

const anyPage = fc.uint8Array({ minLength: 4096, maxLength: 4096 });
const anyLength = fc.uint8Array({ maxLength: 4200 });

describe.each(DECODERS)("%s", (_, decode) => {
  test("any 4096 bytes give a page or a problem", () => {
    fc.assert(
      fc.property(anyPage, (bytes) => {
        const { page, problems } = decode(bytes);
        expect(page !== undefined || problems.length > 0).toBe(true);
      }),
    );
  });

  test("any bytes of any length give a page or a problem", () => {
    fc.assert(
      fc.property(anyLength, (bytes) => {
        const { page, problems } = decode(bytes);
        expect(page !== undefined || problems.length > 0).toBe(true);
      }),
    );
  });

  test("what is said of a bad page is short and printable, so it cannot hold the page", () => {
    fc.assert(
      fc.property(anyLength, (bytes) => {
        for (const { detail } of decode(bytes).problems) {
          expect(detail.length).toBeLessThan(250);
          expect(detail).toMatch(/^[ -~µ]+$/);
        }
      }),
    );
  });
});

describe("random bytes behind a right magic", () => {
  /** Few bins and small bounds, so that sound histograms come up as well as broken ones. */
  const anyBins = fc.array(fc.tuple(fc.nat(20), fc.nat(20), fc.nat()), { maxLength: 66 });

  test.each([
    ["EBS statistics", 0x3c23b510, decodeEbs],
    ["instance-store statistics", 0xec2c0d7e, decodeInstanceStore],
  ] as const)("%s: a histogram that is taken ascends and can be exposed", (_, magic, decode) => {
    fc.assert(
      fc.property(anyPage, anyBins, fc.nat(70), (bytes, bins, binCount) => {
        const view = new DataView(bytes.buffer);
        view.setUint32(0, magic, true);
        for (const offset of [512, 2056]) {
          view.setBigUint64(offset, BigInt(binCount), true);
          bins.slice(0, 64).forEach(([lower, width, count], i) => {
            view.setBigUint64(offset + 8 + 24 * i, BigInt(20 * i + lower), true);
            view.setBigUint64(offset + 16 + 24 * i, BigInt(20 * i + width), true);
            view.setUint32(offset + 24 + 24 * i, count, true);
          });
        }
        const { page } = decode(bytes);
        if (page === undefined) throw new Error("a right magic is a page");
        for (const histogram of [page.readLatency, page.writeLatency]) {
          if (histogram === undefined) continue;
          const { upperBounds, counts, count } = latencySeconds(histogram);
          expect(isStrictlyAscending(upperBounds)).toBe(true);
          expect(isAscending([...counts, count])).toBe(true);
        }
      }),
    );
  });
});

function isStrictlyAscending(bounds: readonly number[]): boolean {
  return bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] ?? 0));
}

function isAscending(counts: readonly (number | bigint)[]): boolean {
  return counts.every((count, i) => i === 0 || count >= (counts[i - 1] ?? 0));
}

function soundFirstHalf(): InstanceStoreStatistics {
  const { page } = decodeInstanceStore(instanceStoreVolumePages().first);
  if (page === undefined) throw new Error("the fixture must be sound");
  return page;
}
