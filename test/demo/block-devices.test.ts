import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBlockDevices } from "../../src/demo/block-devices.ts";

let sysfs: string;
beforeAll(() => {
  sysfs = mkdtempSync(join(tmpdir(), "plumbline-sysfs-"));
  buildBlockDevices(sysfs, [
    { name: "sda1", dev: "8:1", partitionOf: "sda" },
    { name: "sda", dev: "8:0", scsi: { address: "2:0:0:1", state: "offline" } },
    { name: "dm-0", dev: "253:0", slaves: ["sda1"], dm: { name: "mpatha", uuid: "mpath-1" } },
    { name: "cciss/c0d0", dev: "104:0" },
  ]);
});
afterAll(() => {
  rmSync(sysfs, { recursive: true });
});

const read = (path: string) => readFileSync(join(sysfs, path), "utf8");
const real = (path: string) => realpathSync(join(sysfs, path)).slice(realpathSync(sysfs).length + 1);

describe("block devices of a simulated /sys", () => {
  test("are found by name and by number", () => {
    expect(real("class/block/dm-0")).toBe("devices/virtual/block/dm-0");
    expect(real("dev/block/253:0")).toBe("devices/virtual/block/dm-0");
    expect(real("block/dm-0")).toBe("devices/virtual/block/dm-0");
  });

  test("show a partition within its disk, wherever it stands in the list, and not among the disks", () => {
    expect(real("class/block/sda1")).toBe(`${real("class/block/sda")}/sda1`);
    expect(read("class/block/sda1/partition")).toBe("1\n");
    expect(existsSync(join(sysfs, "block/sda1"))).toBe(false);
  });

  test("link a stacked device and what it stands on, both ways", () => {
    expect(readdirSync(join(sysfs, "class/block/dm-0/slaves"))).toEqual(["sda1"]);
    expect(real("class/block/dm-0/slaves/sda1")).toBe(real("class/block/sda1"));
    expect(real("class/block/sda1/holders/dm-0")).toBe(real("class/block/dm-0"));
    expect(readdirSync(join(sysfs, "class/block/sda/slaves"))).toEqual([]);
  });

  test("have what node_exporter reads of a multipath device and its paths", () => {
    expect(read("block/dm-0/dm/name")).toBe("mpatha\n");
    expect(read("block/dm-0/dm/uuid")).toBe("mpath-1\n");
    expect(read("block/dm-0/dm/suspended")).toBe("0\n");
    expect(read("block/dm-0/size")).toBe("4194304\n");
    expect(read("block/sda/device/state")).toBe("offline\n");
  });

  test("write a slash of a name as the kernel does", () => {
    expect(real("dev/block/104:0")).toBe("devices/virtual/block/cciss!c0d0");
  });
});
