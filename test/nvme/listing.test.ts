import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buildHost, type HostDescription } from "../../src/demo/nvme-host.ts";
import { ListingError, listControllers } from "../../src/nvme/listing.ts";
import { drive } from "../support/nvme-simulated-host.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), "plumbline-listing-"));
  directories.push(made);
  return made;
}

const hostOf = (host: HostDescription): string => buildHost(directory(), host).sysfs;

/** A sysfs of these files, without the links of a real one. */
function tree(files: Readonly<Record<string, string | Uint8Array>>): string {
  const sysfs = directory();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(sysfs, name)), { recursive: true });
    writeFileSync(join(sysfs, name), content);
  }
  return sysfs;
}

describe("a host as Linux shows it", () => {
  test("gives its controllers by number, with what is written of them", () => {
    const sysfs = hostOf({
      controllers: [drive(10), drive(2, { model: "Other", transport: "tcp", state: "connecting" })],
    });
    const listed = listControllers(sysfs);
    expect(listed.map(({ name }) => name)).toEqual(["nvme2", "nvme10"]);
    expect(listed[0]).toMatchObject({
      model: "Other",
      serial: "PL2",
      firmware: "1.0",
      transport: "tcp",
      state: "connecting",
      dev: expect.stringMatching(/^\d+:\d+$/),
    });
  });

  test("a namespace has its size in bytes, from 512-byte sectors whatever its logical block is", () => {
    const namespace = {
      name: "nvme0n1",
      nsid: 1,
      blocks: 488_552_530n,
      logicalBlockBytes: 4096,
      usedBlocks: 488_552_530n,
    };
    const [controller] = listControllers(hostOf({ controllers: [drive(0, { namespaces: [namespace] })] }));
    expect(controller?.namespaces).toEqual([
      {
        path: "nvme0n1",
        name: "nvme0n1",
        nsid: 1,
        sizeBytes: 2_001_111_162_880n,
        logicalBlockSizeBytes: 4096,
        usedBlocks: 488_552_530n,
        anaState: undefined,
      },
    ]);
  });

  test("two paths under two controllers are of one multipath head", () => {
    const path = (name: string, anaState: string) => ({
      name: "nvme1n1",
      path: name,
      nsid: 3,
      blocks: 1000n,
      anaState,
    });
    const listed = listControllers(
      hostOf({
        controllers: [
          drive(1, { subsystem: 1, namespaces: [path("nvme1c1n1", "optimized")] }),
          drive(2, { subsystem: 1, namespaces: [path("nvme1c2n1", "inaccessible")] }),
        ],
      }),
    );
    expect(listed.map(({ namespaces }) => namespaces)).toMatchObject([
      [{ path: "nvme1c1n1", name: "nvme1n1", nsid: 3, sizeBytes: 512_000n, anaState: "optimized" }],
      [{ path: "nvme1c2n1", name: "nvme1n1", nsid: 3, sizeBytes: 512_000n, anaState: "inaccessible" }],
    ]);
  });

  test("controller and nsid come from where a namespace is, not from its name", () => {
    const namespaces = [{ name: "nvme7n9", nsid: 2, blocks: 1n }];
    const [controller] = listControllers(hostOf({ controllers: [drive(0, { namespaces })] }));
    expect(controller).toMatchObject({ name: "nvme0", namespaces: [{ name: "nvme7n9", nsid: 2 }] });
  });

  test("namespaces are in the order of their nsids", () => {
    const namespaces = [11, 2, 1].map((nsid) => ({ name: `nvme0n${nsid}`, nsid, blocks: 1n }));
    const [controller] = listControllers(hostOf({ controllers: [drive(0, { namespaces })] }));
    expect(controller?.namespaces.map(({ nsid }) => nsid)).toEqual([1, 2, 11]);
  });

  test("a path whose head is not there is no namespace", () => {
    const namespaces = [{ name: "nvme0n1", path: "nvme0c0n1", nsid: 1, blocks: 1n, headMissing: true }];
    const [controller] = listControllers(hostOf({ controllers: [drive(0, { namespaces })] }));
    expect(controller?.namespaces).toEqual([]);
  });
});

describe("no listing", () => {
  test("a host without class/nvme has no controllers", () => {
    expect(listControllers(hostOf({ controllers: [], listing: "missing" }))).toEqual([]);
    expect(listControllers(join(directory(), "missing"))).toEqual([]);
  });

  test("a class/nvme that cannot be read is an error that names it", () => {
    const sysfs = hostOf({ controllers: [], listing: "unreadable" });
    expect(() => listControllers(sysfs)).toThrow(ListingError);
    expect(() => listControllers(sysfs)).toThrow(`cannot list ${sysfs}/class/nvme: not a directory`);
  });

  test("so is one without permission", () => {
    const sysfs = tree({ "class/nvme/nvme0/state": "live\n" });
    chmodSync(join(sysfs, "class/nvme"), 0);
    const NOBODY = 65534;
    const isRoot = process.geteuid?.() === 0; // root may read everything
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      expect(() => listControllers(sysfs)).toThrow("permission denied");
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(sysfs, "class/nvme"), 0o755);
    }
  });
});

describe("hostile input", () => {
  test("files that are missing leave the rest", () => {
    const sysfs = tree({ "class/nvme/nvme0/model": "Plumb\n" });
    expect(listControllers(sysfs)).toEqual([
      {
        name: "nvme0",
        model: "Plumb",
        serial: "",
        firmware: "",
        transport: "",
        subsystemNqn: "",
        state: "",
        dev: undefined,
        namespaces: [],
      },
    ]);
  });

  test("what is not named nvme and a number is no controller", () => {
    const names = ["nvme", "nvme-fabrics", "nvme0n1", "nvmeX", "xnvme0", "nvme0 ", `nvme${"9".repeat(40)}`];
    const sysfs = tree(Object.fromEntries(names.map((name) => [`class/nvme/${name}/state`, "live\n"])));
    expect(listControllers(sysfs)).toEqual([]);
  });

  test("what is not named as a namespace is none", () => {
    const names = ["ng0n1", "nvme0n", "nvme0c1", "nvme0n1p1", "nvme0c1c2n1", "hwmon3", "..n1"];
    const sysfs = tree(
      Object.fromEntries(
        names.flatMap((name) => [
          [`class/nvme/nvme0/${name}/nsid`, "1\n"],
          [`class/block/${name}/size`, "8\n"],
        ]),
      ),
    );
    expect(listControllers(sysfs)[0]?.namespaces).toEqual([]);
  });

  test("blanks and NULs are trimmed, and other bytes become question marks", () => {
    const sysfs = tree({
      "class/nvme/nvme0/model": Buffer.from('  A\x1b[31m\xe9"\\\n\0B \0\0 \n', "latin1"),
      "class/nvme/nvme0/serial": Buffer.from(" \0\n", "latin1"),
    });
    expect(listControllers(sysfs)[0]).toMatchObject({ model: 'A?[31m?"\\??B', serial: "" });
  });

  test("of a huge file only the first 4096 bytes are read", () => {
    const sysfs = tree({
      "class/nvme/nvme0/model": "m".repeat(10_000_000),
      "class/nvme/nvme0/serial": " ".repeat(5000),
    });
    expect(listControllers(sysfs)[0]).toMatchObject({ model: "m".repeat(4096), serial: "" });
  });

  test("numbers that are none are left out, and a namespace needs its nsid", () => {
    const head = (size: string) => ({ size, "queue/logical_block_size": "-512\n" });
    const files: Record<string, string> = {};
    const add = (name: string, nsid: string, size: string): void => {
      files[`class/nvme/nvme0/${name}/nsid`] = nsid;
      for (const [file, text] of Object.entries(head(size))) files[`class/block/${name}/${file}`] = text;
    };
    add("nvme0n1", "1\n", "8e3\n");
    add("nvme0n2", "two\n", "8\n");
    add("nvme0n3", "0\n", "8\n");
    add("nvme0n4", "4294967295\n", "8\n");
    add("nvme0n5", "5\n", `${"9".repeat(30)}\n`);
    const [controller] = listControllers(tree(files));
    expect(controller?.namespaces).toMatchObject([
      { nsid: 1, sizeBytes: undefined, logicalBlockSizeBytes: undefined, usedBlocks: undefined },
      { nsid: 5, sizeBytes: undefined },
    ]);
  });

  test("a device number that is none is left out", () => {
    const sysfs = tree({ "class/nvme/nvme0/dev": "../../etc\n", "class/nvme/nvme1/dev": "245:1\n" });
    expect(listControllers(sysfs).map(({ dev }) => dev)).toEqual([undefined, "245:1"]);
  });

  test("links that lead nowhere or in a circle are passed over", () => {
    const sysfs = tree({ "class/nvme/nvme3/state": "live\n" });
    symlinkSync("nvme0", join(sysfs, "class/nvme/nvme0"));
    symlinkSync("../../missing", join(sysfs, "class/nvme/nvme1"));
    symlinkSync("model", join(sysfs, "class/nvme/nvme3/model"));
    writeFileSync(join(sysfs, "class/nvme/nvme2"), "a file");
    expect(listControllers(sysfs)).toMatchObject([{ name: "nvme3", model: "", state: "live" }]);
  });
});
