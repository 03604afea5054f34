import { expect, test } from "bun:test";
import { diskStatistics } from "../../src/demo/disk-statistics.ts";

test("a line has the twenty fields of Linux since 5.5, and sectors of 512 bytes", () => {
  const load = { readsPerSecond: 10, writesPerSecond: 5, bytesEach: 4096 };
  expect(diskStatistics([{ name: "sda", dev: "8:0", load, seconds: 100 }])).toBe(
    "8 0 sda 1000 0 8000 400 500 0 4000 200 0 150 600 0 0 0 0 0 0\n",
  );
});

test("a disk without a load stays at 0", () => {
  expect(diskStatistics([{ name: "sdf", dev: "8:80", load: undefined, seconds: 100 }])).toBe(
    "8 80 sdf 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
  );
});
