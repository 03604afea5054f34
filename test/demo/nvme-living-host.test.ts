/** The host of the demo tells a story: its pages must hang together at every moment of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuiltHost, buildHost } from "../../src/demo/nvme-host.ts";
import { simulatedKernel } from "../../src/demo/nvme-kernel.ts";
import { LIVING_HOST_SHOWS, livingHost } from "../../src/demo/nvme-living-host.ts";
import { ebsPage, instanceStoreDetail, instanceStorePage, smartLog } from "../../src/nvme/commands.ts";
import type { AdminCommand } from "../../src/nvme/model.ts";
import { decodeEbs, decodeInstanceStore, decodeInstanceStoreDetail } from "../../src/nvme/pages/amazon.ts";
import { decodeSmart } from "../../src/nvme/pages/smart.ts";

const SINCE = 1_700_000_000_000;

let directory: string;
let host: BuiltHost;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-living-"));
  host = buildHost(directory, livingHost(SINCE));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

let now = SINCE;
const kernel = simulatedKernel(() => now);

function read(controller: string, { bytes, length }: AdminCommand, seconds: number): Uint8Array {
  now = SINCE + 1000 * seconds;
  const descriptor = kernel.open(join(host.devfs, controller));
  const page = new Uint8Array(length);
  const status = kernel.adminCommand(descriptor, bytes, page);
  kernel.close(descriptor);
  expect(status).toBe(0);
  return page;
}

function pageOf<Page>({ page, problems }: { page: Page | undefined; problems: readonly unknown[] }): Page {
  expect(problems).toEqual([]);
  if (page === undefined) throw new Error("there is no page");
  return page;
}

const ebsAt = (controller: string, seconds: number) =>
  pageOf(decodeEbs(read(controller, ebsPage(), seconds)));
const smartAt = (controller: string, seconds: number) =>
  pageOf(decodeSmart(read(controller, smartLog(), seconds)));

const countOf = (histogram: readonly { readonly count: bigint }[] | undefined) =>
  (histogram ?? []).reduce((sum, { count }) => sum + count, 0n);

/** Every 7 s of the first ten minutes. */
const MOMENTS = Array.from({ length: 86 }, (_, i) => 7 * i);

test("the host has every device that is told of, and no other", () => {
  const told = LIVING_HOST_SHOWS.flatMap(([devices]) => devices.split(", "));
  expect(livingHost(0).controllers.map(({ name }) => name)).toEqual(told);
});

describe("EBS volumes", () => {
  test.each(["nvme0", "nvme1", "nvme2"])(
    "%s has as many operations as its histograms, but for fractions",
    (volume) => {
      for (const seconds of MOMENTS) {
        const { readOps, writeOps, readLatency, writeLatency } = ebsAt(volume, seconds);
        for (const missing of [readOps - countOf(readLatency), writeOps - countOf(writeLatency)]) {
          expect(Number(missing)).toBeGreaterThanOrEqual(0);
          expect(Number(missing)).toBeLessThanOrEqual(8);
        }
      }
    },
  );

  test("nvme1 is throttled in some moments and not in others, and then its queue is long", () => {
    const seconds = Array.from({ length: 60 }, (_, second) => second);
    const throttled = seconds.filter(
      (second) =>
        ebsAt("nvme1", second + 1).volumeIopsExceededUs > ebsAt("nvme1", second).volumeIopsExceededUs,
    );
    expect(throttled).toEqual(seconds.slice(5, 30));
    expect(seconds.filter((second) => ebsAt("nvme1", second).queueLength > 10n)).toEqual(
      seconds.slice(5, 30),
    );
  });

  test("nvme2 is held back by its instance and never by itself", () => {
    const [before, after] = [ebsAt("nvme2", 0), ebsAt("nvme2", 600)];
    expect(after.instanceThroughputExceededUs).toBeGreaterThan(before.instanceThroughputExceededUs);
    expect(after.volumeIopsExceededUs).toBe(before.volumeIopsExceededUs);
    expect(after.volumeThroughputExceededUs).toBe(before.volumeThroughputExceededUs);
  });
});

test("the instance store has as many operations in its bands as in all, but for fractions", () => {
  for (const seconds of MOMENTS) {
    const first = pageOf(decodeInstanceStore(read("nvme3", instanceStorePage(), seconds)));
    const bands = pageOf(decodeInstanceStoreDetail(read("nvme3", instanceStoreDetail(), seconds), first));
    expect(bands.map(({ sizeBound }) => sizeBound)).toEqual([
      512,
      4096,
      8192,
      32_768,
      Number.POSITIVE_INFINITY,
    ]);
    const inBands = bands.reduce((sum, { readLatency }) => sum + countOf(readLatency), 0n);
    expect(Math.abs(Number(first.readOps - inBands))).toBeLessThanOrEqual(32);
  }
});

describe("drives", () => {
  test("nvme6 warns of its temperature while that is above 343 K and at no other time", () => {
    const warns = MOMENTS.filter((seconds) => smartAt("nvme6", seconds).criticalWarning === 0b10);
    // The edge itself is the sensor's to round.
    const hot = (above: number) =>
      MOMENTS.filter((seconds) => smartAt("nvme6", seconds).temperatureKelvin > above);
    expect(warns.length).toBeGreaterThan(10);
    expect(warns.length).toBeLessThan(MOMENTS.length / 2);
    expect(hot(343).every((seconds) => warns.includes(seconds))).toBe(true);
    expect(warns.every((seconds) => hot(342).includes(seconds))).toBe(true);
  });

  test("nvme5 has more media errors with time", () => {
    expect(smartAt("nvme5", 60).mediaErrors).toBeGreaterThan(smartAt("nvme5", 0).mediaErrors);
  });

  test("nvme4 has as much capacity as its namespaces and what is not allocated", () => {
    const drive = livingHost(0).controllers.find(({ name }) => name === "nvme4");
    const allocated = (drive?.namespaces ?? []).reduce((sum, { blocks }) => sum + blocks * 4096n, 0n);
    expect(allocated + 200_037_457_920n).toBe(2_000_398_934_016n);
  });
});
