import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuiltHost, buildHost } from "../../src/demo/nvme-host.ts";
import { livingHost } from "../../src/demo/nvme-living-host.ts";
import { parseRecording } from "../../src/demo/nvme-recording.ts";
import { FAILURES, MIXED, MULTIPATH } from "../support/nvme-hosts.ts";

let directory: string;
let host: BuiltHost;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-host-"));
  host = buildHost(directory, MULTIPATH);
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const read = (path: string) => readFileSync(join(host.sysfs, path), "utf8");

describe("a simulated sysfs", () => {
  test("pads model, serial and firmware as the kernel does", () => {
    expect(read("class/nvme/nvme1/model")).toBe(`${"Example Fabric Array".padEnd(40)}\n`);
    expect(read("class/nvme/nvme1/serial")).toBe(`${"EXSHARED0001".padEnd(20)}\n`);
    expect(read("class/nvme/nvme1/firmware_rev")).toBe(`${"3.1".padEnd(8)}\n`);
  });

  test("links the classes to directories of devices/", () => {
    expect(realpathSync(join(host.sysfs, "class/nvme/nvme0"))).toBe(
      realpathSync(join(host.sysfs, "devices/pci0000:00/0000:00:04.0/0000:01:00.0/nvme/nvme0")),
    );
    expect(realpathSync(join(host.sysfs, "class/nvme/nvme1"))).toContain(
      "devices/virtual/nvme-fabrics/ctl/nvme1",
    );
    expect(realpathSync(join(host.sysfs, "class/block/nvme1n1"))).toContain(
      "devices/virtual/nvme-subsystem/nvme-subsys1/",
    );
  });

  test("has each path of a namespace below its controller, hidden and without a node, and the head once", () => {
    expect(read("class/nvme/nvme1/nvme1c1n1/hidden")).toBe("1\n");
    expect(read("class/nvme/nvme2/nvme1c2n1/ana_state")).toBe("inaccessible\n");
    expect(existsSync(join(host.sysfs, "class/nvme/nvme1/nvme1c1n1/dev"))).toBe(false);
    expect(read("class/block/nvme1n1/hidden")).toBe("0\n");
    expect(read("class/block/nvme1n1/slaves/../queue/logical_block_size")).toBe("4096\n");
    expect(existsSync(join(host.sysfs, "class/block/nvme9n1"))).toBe(false);
  });

  test("counts the size in units of 512 bytes", () => {
    expect(read("class/block/nvme1n1/size")).toBe("8000000\n");
    expect(read("class/block/nvme0n1/size")).toBe("976773168\n");
  });

  test("has no nuse where the description has none", () => {
    expect(existsSync(join(host.sysfs, "class/block/nvme0n1/nuse"))).toBe(false);
    expect(read("class/nvme/nvme1/nvme1c1n1/nuse")).toBe("900000\n");
  });
});

describe("the recordings", () => {
  test.each([
    ["the host of the demo", livingHost(0)],
    ["the mixed host", MIXED],
    ...Object.entries(FAILURES),
  ])("of %s are valid, but for the node that is meant to be none", (_name, description) => {
    const place = mkdtempSync(join(tmpdir(), "plumbline-host-"));
    try {
      const built = buildHost(place, description);
      const ordinary = description.controllers
        .filter(({ node }) => node?.kind === "ordinary_file")
        .map(({ name }) => name);
      for (const node of readdirSync(built.devfs)) {
        const text = readFileSync(join(built.devfs, node), "utf8");
        if (ordinary.includes(node)) expect(text).toBe("");
        else
          expect(parseRecording(text).dev).toBe(
            node === "nvme0" && text.includes('"1:3"') ? "1:3" : `245:${node.slice(4)}`,
          );
      }
    } finally {
      rmSync(place, { recursive: true });
    }
  });
});
