import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { walkKubelet } from "../../src/csi/kubelet.ts";
import { HPE_DRIVER, readHpe } from "../../src/csi/vendor/hpe.ts";
import type { VendorAnswers } from "../../src/csi/vendor/vendor-file.ts";
import type { Mount, MountsBelow } from "../../src/host/mountinfo.ts";
import { DirectFiles } from "../support/direct-files.ts";
import {
  buildKubelet,
  mountsBelow,
  oldStagedDirectory,
  rootMount,
  stagedDirectory,
  type Volume,
} from "../support/kubelet-tree.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/kubelet/hpe");
const fixture = (name: string): string => readFileSync(join(FIXTURES, name), "utf8");

const SCSI = "06aabbccddeeff0011000000000000000000000001";
const NVME = "0600112233445566770000000000000000000000aa";
const NUMBERS = "06aabbccddeeff0011000000000000000000000002";
const NO_MOUNTS: MountsBelow = { holder: undefined, below: new Map() };
const NOTHING = { devices: new Map(), failures: [] };

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plumbline-hpe-"));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

const build = (handle: string, more: Partial<Volume> = {}): Mount[] =>
  buildKubelet(root, [{ driver: HPE_DRIVER, handle, pv: `pv-${handle}`, ...more, staged: true }]);

const globalMount = (handle: string, driver = HPE_DRIVER): string =>
  join(stagedDirectory(root, driver, handle), "globalmount");

function put(directory: string, text: string): string {
  const path = join(directory, "deviceInfo.json");
  writeFileSync(path, text);
  return path;
}

async function read(mounts = NO_MOUNTS, files = new DirectFiles()): Promise<VendorAnswers> {
  const walking = { signal: new AbortController().signal, deadline: Number.POSITIVE_INFINITY };
  const { entries } = await walkKubelet(new DirectFiles(), root, walking);
  return readHpe(files, mounts, entries);
}

describe("HPE's deviceInfo.json", () => {
  test("tells the device of a staged volume, by its name or by its number", async () => {
    for (const [handle, file] of [
      [SCSI, "scsi.json"],
      [NVME, "nvme.json"],
      [NUMBERS, "numbers.json"],
    ] as const) {
      build(handle);
      put(globalMount(handle), fixture(file));
    }
    const { devices, failures } = await read();
    expect(Object.fromEntries(devices)).toEqual({
      [SCSI]: { kind: "path", path: "/dev/dm-3" },
      [NVME]: { kind: "path", path: "/dev/nvme0n1" },
      [NUMBERS]: { kind: "number", majorMinor: "253:12" },
    });
    expect(failures).toEqual([]);
  });

  test("is found where Kubernetes staged volumes before 1.24", async () => {
    buildKubelet(root, [{ driver: HPE_DRIVER, handle: SCSI, pv: "pv-1", staged: "pv" }]);
    put(join(oldStagedDirectory(root, "pv-1"), "globalmount"), fixture("scsi.json"));
    const { devices } = await read();
    expect(devices.get(SCSI)).toEqual({ kind: "path", path: "/dev/dm-3" });
  });

  test("may hold numbers that are numbers", async () => {
    build("1");
    put(globalMount("1"), JSON.stringify({ volume_id: "1", device: { major: 8, minor: 16 } }));
    const { devices } = await read();
    expect(devices.get("1")).toEqual({ kind: "number", majorMinor: "8:16" });
  });

  test("is not looked for below a mount point: there it would be a tenant's", async () => {
    const mounts = build(SCSI, { mount: { device: "253:3" } });
    put(globalMount(SCSI), fixture("scsi.json"));
    const files = new DirectFiles();
    expect(await read(mountsBelow([rootMount("8:1"), ...mounts], root), files)).toEqual(NOTHING);
    expect(files.asked).toEqual([]);
  });

  test("is looked for beside the mount point of the volume", async () => {
    const mounts = build(SCSI, { stagedChild: "mount", mount: { device: "253:3" } });
    put(globalMount(SCSI), fixture("scsi.json"));
    const { devices } = await read(mountsBelow([rootMount("8:1"), ...mounts], root));
    expect([...devices.keys()]).toEqual([SCSI]);
  });

  test("is not looked for behind a symlink", async () => {
    build(SCSI);
    const elsewhere = join(root, "elsewhere");
    renameSync(globalMount(SCSI), elsewhere);
    symlinkSync(elsewhere, globalMount(SCSI));
    put(elsewhere, fixture("scsi.json"));
    expect(await read()).toEqual(NOTHING);
  });

  test("is not looked for where the volume is another driver's, or only published", async () => {
    buildKubelet(root, [
      { driver: "other.example.org", handle: SCSI, pv: "pv-1", staged: true },
      { driver: HPE_DRIVER, handle: SCSI, pv: "pv-2", pods: ["uid-1"] },
    ]);
    put(globalMount(SCSI, "other.example.org"), fixture("scsi.json"));
    const files = new DirectFiles();
    expect(await read(NO_MOUNTS, files)).toEqual(NOTHING);
    expect(files.asked).toEqual([]);
  });

  test("need not be there, nor globalmount", async () => {
    build("1");
    build("2");
    rmSync(globalMount("2"), { recursive: true });
    expect(await read()).toEqual(NOTHING);
  });

  describe("that is bad costs that volume alone", () => {
    async function expectFailure(path: string, reason: string, files = new DirectFiles()): Promise<void> {
      build(SCSI);
      put(globalMount(SCSI), fixture("scsi.json"));
      const { devices, failures } = await read(NO_MOUNTS, files);
      expect(failures).toEqual([{ path, reason }]);
      expect([...devices.keys()]).toEqual([SCSI]);
    }

    test.each([
      ["empty", ""],
      ["cut off", '{"volume_id":"bad","device":{'],
      ["no object", "[]"],
      ["without a device", '{"volume_id":"bad"}'],
      ["with null for a device", '{"volume_id":"bad","device":null}'],
      ["without a volume", '{"device":{"path_name":"dm-3"}}'],
      ["with a number for a path", '{"volume_id":"bad","device":{"path_name":3}}'],
      ["with words for a number", '{"volume_id":"bad","device":{"major":"8:0","minor":"1"}}'],
      ["with a negative number", '{"volume_id":"bad","device":{"major":-8,"minor":1}}'],
    ])("%s", async (_, text) => {
      build("bad");
      await expectFailure(put(globalMount("bad"), text), "is not what the vendor writes");
    });

    test.each([
      [
        "of another volume",
        { volume_id: "good", device: { path_name: "dm-3" } },
        "is that of another volume",
      ],
      [
        "with no device's path",
        { volume_id: "bad", device: { path_name: "/etc" } },
        "names no device below /dev",
      ],
      [
        "with a path out of /dev",
        { volume_id: "bad", device: { path_name: "../sda" } },
        "names no device below /dev",
      ],
      [
        "with a major number alone",
        { volume_id: "bad", device: { major: "8", minor: "" } },
        "names no device",
      ],
    ])("%s", async (_, json, reason) => {
      build("bad");
      await expectFailure(put(globalMount("bad"), JSON.stringify(json)), reason);
    });

    test("larger than 1 MiB", async () => {
      build("bad");
      await expectFailure(put(globalMount("bad"), " ".repeat((1 << 20) + 1)), "is larger than 1 MiB");
    });

    test("a symlink", async () => {
      build("bad");
      const path = join(globalMount("bad"), "deviceInfo.json");
      symlinkSync(join(FIXTURES, "scsi.json"), path);
      await expectFailure(path, "is no regular file");
    });

    test("a FIFO", async () => {
      build("bad");
      const path = join(globalMount("bad"), "deviceInfo.json");
      expect(spawnSync("mkfifo", [path]).status).toBe(0);
      await expectFailure(path, "is no regular file");
    });

    test("without permission", async () => {
      build("bad");
      const path = put(globalMount("bad"), "{}");
      await expectFailure(path, "cannot be read (EACCES)", new DirectFiles({ [path]: "EACCES" }));
    });
  });

  test("may be wrong in any way without being repeated", async () => {
    build("bad");
    put(globalMount("bad"), '{"volume_id":"bad","device":{"path_name":"SECRET"},"secrets":SECRET}');
    const { failures } = await read();
    expect(failures).toHaveLength(1);
    expect(JSON.stringify(failures)).not.toContain("SECRET");
  });
});
