import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BackingRole, BlockDevices } from "../../src/host/block-devices.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { type BlockDevice, buildBlockDevices, removeBlockDevice, setSlaves } from "../support/sysfs-tree.ts";

let directory = "";
let sysfs = "";
let trees = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-block-"));
});
beforeEach(() => {
  sysfs = join(directory, `${trees++}`, "sys");
});
afterAll(() => rmSync(directory, { recursive: true }));

const SDA: BlockDevice = { name: "sda", dev: "8:0", scsi: { address: "0:0:0:1" } };
const SDA1: BlockDevice = { name: "sda1", dev: "8:1", partitionOf: "sda" };
const SDB: BlockDevice = { name: "sdb", dev: "8:16", scsi: { address: "1:0:0:1" } };
const MPATH = { name: "mpatha", uuid: "mpath-3600a098038314c4a3724507477523765" };
const LUKS = { name: "luks-pvc", uuid: "CRYPT-LUKS2-0f1e2d3c4b5a69788796a5b4c3d2e1f0-luks-pvc" };
const LV = { name: "vg-lv", uuid: "LVM-Zk1N7nUjYbVqTqXfC1sH2tR0pL8wE4mKoQ5yI9aGdB3xP6uSvWcJhFrMiOeDlTz" };

function devicesOf(...devices: readonly BlockDevice[]): BlockDevices {
  buildBlockDevices(sysfs, devices);
  return new BlockDevices(sysfs);
}

const complete = (devices: Readonly<Record<string, BackingRole>>) => ({
  devices: Object.entries(devices).map(([device, role]) => ({ device, role })),
  complete: true,
});

describe("below a device there is", () => {
  test("itself, where it is a disk", () => {
    expect(devicesOf(SDA).backing("sda")).toEqual(complete({ sda: "leaf" }));
  });

  test("the multipath device under LUKS, and none of its paths", () => {
    const devices = devicesOf(
      SDA,
      SDB,
      { name: "dm-0", dev: "253:0", dm: MPATH, slaves: ["sda", "sdb"] },
      { name: "dm-1", dev: "253:1", dm: LUKS, slaves: ["dm-0"] },
    );
    expect(devices.backing("dm-1")).toEqual(complete({ "dm-0": "multipath" }));
    expect(devices.backing("dm-0")).toEqual(complete({ "dm-0": "multipath" }));
  });

  test("rbd0 under LUKS", () => {
    const rbd = { name: "rbd0", dev: "252:0", parent: "rbd/0/block" };
    const devices = devicesOf(rbd, { name: "dm-0", dev: "253:0", dm: LUKS, slaves: ["rbd0"] });
    expect(devices.backing("dm-0")).toEqual(complete({ rbd0: "leaf" }));
  });

  test("the disk and the disk of the partition under a logical volume on sda1 and sdb", () => {
    const devices = devicesOf(SDA, SDA1, SDB, {
      name: "dm-0",
      dev: "253:0",
      dm: LV,
      slaves: ["sda1", "sdb"],
    });
    expect(devices.backing("dm-0")).toEqual(complete({ sda: "partition_parent", sdb: "leaf" }));
  });

  test("both disks of the array under LUKS", () => {
    const devices = devicesOf(
      SDA,
      SDB,
      { name: "md0", dev: "9:0", slaves: ["sda", "sdb"], files: { "md/level": "raid1\n" } },
      { name: "dm-0", dev: "253:0", dm: LUKS, slaves: ["md0"] },
    );
    expect(devices.backing("dm-0")).toEqual(complete({ sda: "leaf", sdb: "leaf" }));
  });

  test("an array of which a partition is used, and its disks", () => {
    const devices = devicesOf(
      SDA,
      SDB,
      { name: "md0", dev: "9:0", slaves: ["sda", "sdb"] },
      { name: "md0p1", dev: "259:3", partitionOf: "md0" },
    );
    expect(devices.backing("md0p1")).toEqual(complete({ md0: "partition_parent", sda: "leaf", sdb: "leaf" }));
  });

  test("the whole disk of nvme1n1p1, whether it is a controller's own or a multipath head", () => {
    const partition = { name: "nvme1n1p1", dev: "259:1", partitionOf: "nvme1n1" };
    const own = { name: "nvme1n1", dev: "259:0", parent: "pci0000:00/0000:00:1f.0/nvme/nvme1" };
    expect(devicesOf(own, partition).backing("nvme1n1p1")).toEqual(complete({ nvme1n1: "partition_parent" }));

    sysfs = join(directory, `${trees++}`, "sys");
    const head = { ...own, parent: "virtual/nvme-subsystem/nvme-subsys1" };
    const hidden = { name: "nvme1c2n1", parent: "pci0000:00/0000:00:1f.0/nvme/nvme2" };
    const devices = devicesOf(head, hidden, partition);
    expect(devices.backing("nvme1n1p1")).toEqual(complete({ nvme1n1: "partition_parent" }));
    expect(devices.backing("nvme1n1")).toEqual(complete({ nvme1n1: "leaf" }));
    expect(devices.exists("nvme1c2n1")).toBe(true);
  });

  test("the multipath device under its kpartx partition, which is a layer like any other", () => {
    const devices = devicesOf(
      SDA,
      { name: "dm-0", dev: "253:0", dm: MPATH, slaves: ["sda"] },
      {
        name: "dm-1",
        dev: "253:1",
        dm: { name: "mpatha-part1", uuid: `part1-${MPATH.uuid}` },
        slaves: ["dm-0"],
      },
    );
    expect(devices.backing("dm-1")).toEqual(complete({ "dm-0": "multipath" }));
  });

  test("what a dm device without a uuid stands on", () => {
    const dm = { name: "by-hand", uuid: "" };
    const missing = { "dm/uuid": undefined };
    const devices = devicesOf(
      SDA,
      { name: "dm-0", dev: "253:0", dm, slaves: ["sda"] },
      { name: "dm-1", dev: "253:1", dm, files: missing, slaves: ["dm-0"] },
    );
    expect(devices.backing("dm-1")).toEqual(complete({ sda: "leaf" }));
  });

  test("a device whose directory slaves is missing, as it is in old kernels", () => {
    const devices = devicesOf(SDA);
    rmSync(join(sysfs, "class/block/sda/slaves"), { recursive: true });
    expect(devices.backing("sda")).toEqual(complete({ sda: "leaf" }));
  });

  test("cciss/c0d0 under its partition, whose names have a slash where sysfs has !", () => {
    const devices = devicesOf(
      { name: "cciss/c0d0", dev: "104:0", parent: "pci0000:00/0000:05:00.0/block" },
      { name: "cciss/c0d0p1", dev: "104:1", partitionOf: "cciss/c0d0" },
      { name: "dm-0", dev: "253:0", dm: LUKS, slaves: ["cciss/c0d0p1"] },
    );
    expect(readdirSync(join(sysfs, "class/block")).sort()).toEqual(["cciss!c0d0", "cciss!c0d0p1", "dm-0"]);
    expect(devices.nameOf("104:1")).toBe("cciss/c0d0p1");
    expect(devices.exists("cciss/c0d0p1")).toBe(true);
    expect(devices.backing("dm-0")).toEqual(complete({ "cciss/c0d0": "partition_parent" }));
  });
});

describe("not all is told", () => {
  test("of slaves that form a loop", () => {
    const devices = devicesOf(
      SDA,
      { name: "dm-0", dev: "253:0", dm: LUKS, slaves: ["dm-1"] },
      { name: "dm-1", dev: "253:1", dm: LV, slaves: ["dm-0", "sda"] },
    );
    expect(devices.backing("dm-0")).toEqual({
      devices: [{ device: "sda", role: "leaf" }],
      complete: false,
    });
  });

  test("of slaves that go too deep", () => {
    const stack = Array.from({ length: 18 }, (_, at) => ({
      name: `dm-${at}`,
      dev: `253:${at}`,
      dm: { name: `layer-${at}`, uuid: `LVM-${at}` },
      slaves: at === 17 ? [] : [`dm-${at + 1}`],
    }));
    const devices = devicesOf(...stack);
    expect(devices.backing("dm-0")).toEqual({ devices: [], complete: false });
    expect(devices.backing("dm-1")).toEqual(complete({ "dm-17": "leaf" }));
  });

  test("of slaves that cannot be read, beside others that can", () => {
    const devices = devicesOf(
      SDA,
      SDB,
      { name: "md0", dev: "9:0" },
      { name: "dm-0", dev: "253:0", dm: LV, slaves: ["md0", "sdb"] },
    );
    const slaves = join(sysfs, "class/block/md0/slaves");
    for (const make of [
      () => writeFileSync(slaves, "a file\n"),
      () => symlinkSync(join(sysfs, "class/block"), slaves),
    ]) {
      rmSync(slaves, { recursive: true });
      make();
      devices.refresh();
      expect(devices.backing("dm-0")).toEqual({
        devices: [{ device: "sdb", role: "leaf" }],
        complete: false,
      });
    }
  });

  test("of a slave that is gone", () => {
    const devices = devicesOf(SDA, SDB, { name: "dm-0", dev: "253:0", dm: LV, slaves: ["sda", "sdb"] });
    removeBlockDevice(sysfs, "sda");
    expect(devices.backing("dm-0")).toEqual({
      devices: [{ device: "sdb", role: "leaf" }],
      complete: false,
    });
  });

  test("where dm/uuid is larger than an attribute can be, or no file, be it a FIFO that nobody writes to", () => {
    const uuid = join(sysfs, "class/block/dm-0/dm/uuid");
    const devices = devicesOf(SDA, { name: "dm-0", dev: "253:0", dm: MPATH, slaves: ["sda"] });
    for (const make of [
      () => writeFileSync(uuid, `mpath-${"3".repeat(4091)}`),
      () => mkdirSync(uuid),
      () => symlinkSync(join(sysfs, "class/block/sda/size"), uuid),
      () => Bun.spawnSync(["mkfifo", uuid]),
    ]) {
      rmSync(uuid, { recursive: true });
      make();
      devices.refresh();
      expect(devices.backing("dm-0")).toEqual({
        devices: [{ device: "sda", role: "leaf" }],
        complete: false,
      });
    }
  });

  test("of a device that is not there, or has no device's name", () => {
    const devices = devicesOf(SDA);
    for (const name of ["sdz", "", ".", "..", "../../..", "a/../b", "sda\0", "x".repeat(10_000)]) {
      expect(devices.backing(name)).toEqual({ devices: [], complete: false });
      expect(devices.exists(name)).toBe(false);
    }
  });

  test("where there is no /sys", () => {
    const devices = new BlockDevices(join(sysfs, "nowhere"));
    devices.refresh();
    expect(devices.nameOf("8:0")).toBeUndefined();
    expect(devices.exists("sda")).toBe(false);
    expect(devices.dmNamed("mpatha")).toBeUndefined();
    expect(devices.backing("sda")).toEqual({ devices: [], complete: false });
  });
});

describe("the name of a device number", () => {
  test("is the last component of its link", () => {
    const devices = devicesOf(SDA, SDA1);
    expect(devices.nameOf("8:1")).toBe("sda1");
    expect(devices.nameOf("8:2")).toBeUndefined();
  });

  test("is none where the link ends in no device's name", () => {
    const devices = devicesOf(SDA);
    for (const [number, target] of [
      ["7:0", "../.."],
      ["7:1", ".."],
      ["7:2", "../../devices/virtual/block/"],
      ["7:3", `../../devices/virtual/block/.`],
    ] as const) {
      symlinkSync(target, join(sysfs, "dev/block", number));
      expect(devices.nameOf(number)).toBeUndefined();
    }
    writeFileSync(join(sysfs, "dev/block/7:4"), "no link\n");
    expect(devices.nameOf("7:4")).toBeUndefined();
  });

  test("is looked for below dev/block alone", () => {
    const devices = devicesOf(SDA);
    symlinkSync("devices/sdx", join(sysfs, "8:0"));
    for (const number of ["../../8:0", "..", "", "8:0/..", "8", "sda"]) {
      expect(devices.nameOf(number)).toBeUndefined();
    }
  });

  test("stays a name when it holds what would be a way out of /sys", () => {
    const devices = devicesOf(SDA);
    symlinkSync("../../devices/..!..!..!etc", join(sysfs, "dev/block/7:0"));
    expect(devices.nameOf("7:0")).toBe("../../../etc");
    expect(devices.exists("../../../etc")).toBe(false);
    expect(devices.backing("../../../etc")).toEqual({ devices: [], complete: false });
  });

  test("leads nowhere where a device's link leads out of /sys", () => {
    const devices = devicesOf(SDA);
    const outside = join(sysfs, "../outside/sdx");
    mkdirSync(join(outside, "slaves"), { recursive: true });
    symlinkSync("../../../outside/sdx", join(sysfs, "class/block/sdx"));
    expect(devices.backing("sdx")).toEqual({ devices: [], complete: false });
  });
});

describe("the name that /dev/mapper has for a device", () => {
  test("is that of dm/name, whatever it holds", () => {
    const devices = devicesOf(
      SDA,
      { name: "dm-0", dev: "253:0", dm: LUKS, slaves: ["sda"] },
      { name: "dm-10", dev: "253:10", dm: { name: "a b\\x2fc", uuid: "" }, slaves: ["sda"] },
    );
    expect(devices.dmNamed("luks-pvc")).toBe("dm-0");
    expect(devices.dmNamed("a b\\x2fc")).toBe("dm-10");
    expect(devices.dmNamed("dm-0")).toBeUndefined();
    expect(devices.dmNamed("")).toBeUndefined();
  });
});

describe("what changed since is seen after a refresh", () => {
  test("other slaves", () => {
    const devices = devicesOf(SDA, SDB, { name: "dm-0", dev: "253:0", dm: LV, slaves: ["sda"] });
    devices.refresh();
    expect(devices.backing("dm-0")).toEqual(complete({ sda: "leaf" }));
    setSlaves(sysfs, "dm-0", ["sda", "sdb"]);
    devices.refresh();
    expect(devices.backing("dm-0")).toEqual(complete({ sda: "leaf", sdb: "leaf" }));
  });

  test("another device of the same name and number", () => {
    const devices = devicesOf(SDA, { name: "dm-0", dev: "253:0", dm: MPATH, slaves: ["sda"] });
    devices.refresh();
    expect(devices.backing("dm-0")).toEqual(complete({ "dm-0": "multipath" }));
    removeBlockDevice(sysfs, "dm-0");
    buildBlockDevices(sysfs, [{ name: "dm-0", dev: "253:0", dm: LUKS }]);
    setSlaves(sysfs, "dm-0", ["sda"]);
    devices.refresh();
    expect(devices.backing("dm-0")).toEqual(complete({ sda: "leaf" }));
    expect(devices.dmNamed("mpatha")).toBeUndefined();
    expect(devices.dmNamed("luks-pvc")).toBe("dm-0");
  });
});

const deno = denoPath();
describeUnless(deno === undefined ? "no Deno" : undefined, "under Deno without FFI", () => {
  test("the answers are the same, and each discovery is told to ask again", () => {
    const devices = devicesOf(SDA, SDA1, SDB, {
      name: "dm-0",
      dev: "253:0",
      dm: LV,
      slaves: ["sda1", "sdb"],
    });
    const script = join(import.meta.dir, "block-devices-deno.ts");
    const config = `--config=${join(import.meta.dir, "../../deno.json")}`;
    const rights = ["--allow-read", "--deny-ffi", "--no-prompt"];
    const command = [deno ?? "deno", "run", "--quiet", "--no-check", config, ...rights, script];
    const { stdout, stderr } = Bun.spawnSync([...command, sysfs, "dm-0", "253:0"]);
    expect(stderr.toString()).toBe("");
    const answer = { name: "dm-0", backing: devices.backing("dm-0") };
    expect(JSON.parse(stdout.toString())).toEqual({ before: answer, after: answer, generations: [1, 2] });
  }, 60_000);
});

const real = "/sys/class/block";
const present = existing(real);
describeUnless(present.length === 0 ? "the machine has no block devices" : undefined, "the real /sys", () => {
  test("names each device by its number, and says what is below it", () => {
    const devices = new BlockDevices("/sys");
    devices.refresh();
    for (const file of present.slice(0, 50)) {
      // A hidden device has no number.
      if (!existsSync(join(real, file, "dev"))) continue;
      const number = readFileSync(join(real, file, "dev"), "utf8").trim();
      const name = file.replaceAll("!", "/");
      expect(devices.nameOf(number)).toBe(name);
      expect(devices.exists(name)).toBe(true);
      expect(devices.backing(name).devices).not.toBeEmpty();
    }
  });
});

function existing(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
