import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { VolumeEntry } from "../../src/csi/model.ts";
import { readTrident, TRIDENT_DRIVER } from "../../src/csi/vendor/trident.ts";
import type { VendorAnswers } from "../../src/csi/vendor/vendor-file.ts";
import { WatchedFiles } from "../../src/host/watched-files.ts";
import { DirectFiles } from "../support/direct-files.ts";

const FIXTURES = join(import.meta.dir, "../../fixtures/kubelet/trident");

let rootfs: string;
let tracking: string;

beforeEach(() => {
  rootfs = mkdtempSync(join(tmpdir(), "plumbline-trident-"));
  tracking = join(rootfs, "var/lib/trident/tracking");
});

afterEach(() => {
  rmSync(rootfs, { recursive: true });
});

const volume = (handle: string, driver = TRIDENT_DRIVER): VolumeEntry => ({
  path: "/vol_data.json",
  kind: "published",
  driver,
  handle,
  persistentVolume: handle,
  ephemeral: false,
  mountPoints: [],
  mountParents: [],
  deviceNodes: [],
});

function put(name: string, text: string): string {
  mkdirSync(tracking, { recursive: true });
  writeFileSync(join(tracking, name), text);
  return join(tracking, name);
}

function putFixture(name: string, fixture: string): void {
  mkdirSync(tracking, { recursive: true });
  copyFileSync(join(FIXTURES, fixture), join(tracking, name));
}

const read = (...handles: string[]): VendorAnswers =>
  readTrident(
    new DirectFiles(),
    rootfs,
    handles.map((handle) => volume(handle)),
  );

const NOTHING = { devices: new Map(), failures: [] };

describe("Trident's tracking files", () => {
  test("tell the device of a volume, the one that is mounted before the one below it", () => {
    putFixture("pvc-1.json", "iscsi.json");
    putFixture("pvc-2.json", "before-23.01.json");
    put("pvc-3.json", JSON.stringify({ devicePath: "", rawDevicePath: "/dev/dm-4" }));
    put("pvc-4.json", JSON.stringify({ rawDevicePath: "/dev/nvme1n1" }));
    expect(read("pvc-1", "pvc-2", "pvc-3", "pvc-4")).toEqual({
      devices: new Map([
        ["pvc-1", { kind: "path", path: "/dev/mapper/luks-trident_pvc_iscsi" }],
        ["pvc-2", { kind: "path", path: "/dev/dm-9" }],
        ["pvc-3", { kind: "path", path: "/dev/dm-4" }],
        ["pvc-4", { kind: "path", path: "/dev/nvme1n1" }],
      ]),
      failures: [],
    });
  });

  test("are read once for each volume, and only those of the volumes asked for", () => {
    putFixture("pvc-1.json", "iscsi.json");
    putFixture("pvc-2.json", "iscsi.json");
    const files = new DirectFiles();
    readTrident(files, rootfs, [volume("pvc-1"), volume("pvc-1"), volume("pvc-2", "other.example.org")]);
    expect(files.asked).toEqual([tracking, join(tracking, "pvc-1.json")]);
  });

  test("are where the host's file system is mounted, be that the root itself", () => {
    const files = new DirectFiles();
    readTrident(files, "/", [volume("plumbline-no-such-volume")]);
    expect(files.asked).toEqual(["/var/lib/trident/tracking"]);
  });

  test("know nothing of a volume that is a share", () => {
    putFixture("pvc-1.json", "nfs.json");
    expect(read("pvc-1")).toEqual(NOTHING);
  });

  test("need not be there", () => {
    expect(read("pvc-1")).toEqual(NOTHING);
    put("pvc-2.json", "{}");
    expect(read("pvc-1")).toEqual(NOTHING);
  });

  test("are not read while they are being written: tmp-", () => {
    putFixture("tmp-pvc-1.json", "iscsi.json");
    putFixture("tmp-pvc-1", "iscsi.json");
    expect(read("tmp-pvc-1", "pvc-1")).toEqual(NOTHING);
  });

  test.each([
    ["leads out of the directory", "../pvc-1"],
    ["is absolute", "/pvc-1"],
    ["would end the path", "pvc-1\0"],
    ["is too long for a name", "p".repeat(1000)],
  ])("are not looked for where the handle %s", (_, handle) => {
    putFixture("pvc-1.json", "iscsi.json");
    writeFileSync(join(dirname(tracking), "pvc-1.json"), readFileSync(join(FIXTURES, "iscsi.json")));
    expect(read(handle)).toEqual(NOTHING);
  });

  describe("that are bad cost that volume alone", () => {
    const expectFailure = (path: string, reason: string, files = new DirectFiles()) => {
      putFixture("pvc-good.json", "before-23.01.json");
      const answers = readTrident(files, rootfs, [volume("pvc-bad"), volume("pvc-good")]);
      expect(answers.failures).toEqual([{ path, reason }]);
      expect([...answers.devices.keys()]).toEqual(["pvc-good"]);
    };

    test.each([
      ["empty", ""],
      ["cut off", '{"devicePath":"/dev/dm-1"'],
      ["no object", '["/dev/dm-1"]'],
      ["with a number for a path", '{"devicePath":1}'],
      ["with null for a path", '{"rawDevicePath":null}'],
    ])("%s", (_, text) => {
      expectFailure(put("pvc-bad.json", text), "is not what the vendor writes");
    });

    test.each([
      "/etc/passwd",
      "dm-1",
      "/dev/../etc/passwd",
      "/dev/",
      "/dev//dm-1",
      "/dev/mapper/..",
      "/dev/dm-1/",
    ])("with the path %s", (devicePath) => {
      expectFailure(put("pvc-bad.json", JSON.stringify({ devicePath })), "names no device below /dev");
    });

    test("larger than 1 MiB", () => {
      const text = JSON.stringify({ devicePath: "/dev/dm-1", more: "m".repeat(1 << 20) });
      expectFailure(put("pvc-bad.json", text), "is larger than 1 MiB");
    });

    test("a symlink", () => {
      const path = join(tracking, "pvc-bad.json");
      mkdirSync(tracking, { recursive: true });
      symlinkSync(join(FIXTURES, "iscsi.json"), path);
      expectFailure(path, "is no regular file");
    });

    test("a FIFO", () => {
      const path = join(tracking, "pvc-bad.json");
      mkdirSync(tracking, { recursive: true });
      expect(spawnSync("mkfifo", [path]).status).toBe(0);
      expectFailure(path, "is no regular file");
    });

    test("without permission", () => {
      const path = put("pvc-bad.json", "{}");
      expectFailure(path, "cannot be read (EACCES)", new DirectFiles({ [path]: "EACCES" }));
    });
  });

  test("that cannot be listed have failed once, for however many volumes", () => {
    put("pvc-1.json", "{}");
    const files = new DirectFiles({ [tracking]: "EACCES" });
    expect(readTrident(files, rootfs, [volume("pvc-1"), volume("pvc-2")])).toEqual({
      devices: new Map(),
      failures: [{ path: tracking, reason: "cannot be read (EACCES)" }],
    });
  });

  test("that are remembered are told the same, without the bytes of their secrets", () => {
    putFixture("pvc-1.json", "iscsi.json");
    const files = new WatchedFiles();
    try {
      files.refresh();
      const first = readTrident(files, rootfs, [volume("pvc-1")]);
      expect(first.devices.size).toBe(1);
      expect(readTrident(files, rootfs, [volume("pvc-1")])).toEqual(first);
    } finally {
      files.close();
    }
    const text = readFileSync(join(FIXTURES, "iscsi.json"));
    const direct = new DirectFiles();
    const kept = { list: direct.list.bind(direct), read: () => ({ kind: "read", bytes: text }) as const };
    readTrident(kept, rootfs, [volume("pvc-1")]);
    expect(text.includes("SECRET")).toBe(false);
  });

  test("hold secrets, of which nothing is answered", () => {
    putFixture("pvc-1.json", "iscsi.json");
    const text = readFileSync(join(FIXTURES, "iscsi.json"), "utf8");
    put("pvc-2.json", `SECRET${text}`);
    put("pvc-3.json", text.replace('"/dev/mapper/luks-trident_pvc_iscsi"', '{"SECRET":"SECRET"}'));
    put("pvc-4.json", text.replace("/dev/mapper/luks-trident_pvc_iscsi", "SECRET"));
    put("pvc-5.json", '{"devicePath":"/dev/dm-1","iscsiInitiatorSecret":SECRET}');
    const { devices, failures } = read("pvc-1", "pvc-2", "pvc-3", "pvc-4", "pvc-5");
    expect(text).toContain("SECRET");
    expect([...devices.keys()]).toEqual(["pvc-1"]);
    expect(failures).toHaveLength(4);
    expect(JSON.stringify([[...devices], failures])).not.toContain("SECRET");
  });
});
