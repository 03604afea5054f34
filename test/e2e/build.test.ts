/** The compiled binary does what the sources do. */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { binaryFor, plumblineBinary } from "../support/binary.ts";
import { describeWith, find, LIBC_ARM64, QEMU_ARM64 } from "../support/debian.ts";
import { withHost } from "../support/nvme-host.ts";
import { MIXED } from "../support/nvme-hosts.ts";
import { FROM_SOURCES, logWithoutTimes, runToEnd, withoutOwnMetrics } from "../support/source-runs.ts";

const BUILD_MS = 60_000;
const VERSION =
  /^plumbline \d+\.\d+\.\d+ \(revision ([0-9a-f]{12}|unknown), bun 1\.4\.5, linux (x64|arm64)\)\n$/;

describe("the compiled binary", () => {
  let binary: string;
  beforeAll(async () => {
    binary = await plumblineBinary();
  }, BUILD_MS);

  test("says its version and the commit it was built from", () => {
    expect(runToEnd([binary, "--version"])).toEqual({
      status: 0,
      stdout: expect.stringMatching(VERSION),
      stderr: "",
    });
  });

  test("prints the same help as the sources", () => {
    expect(runToEnd([binary, "serve", "--help"])).toEqual(runToEnd([...FROM_SOURCES, "serve", "--help"]));
  });

  test(
    "collects the same from 24 simulated controllers as the sources, in Workers of its own",
    () =>
      withHost(MIXED, async ({ sysfs, devfs }) => {
        const demo = ["demo", "--once", `--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`];
        const [compiled, sources] = [runToEnd([binary, ...demo]), runToEnd([...FROM_SOURCES, ...demo])];
        expect(withoutOwnMetrics(compiled.stdout)).toBe(withoutOwnMetrics(sources.stdout));
        expect(withoutOwnMetrics(compiled.stdout)).toContain("ebs_total_read_ops_total{");
        expect(compiled.stdout).toContain('plumbline_nvme_devices{collector="nvme"} 24');
        expect(logWithoutTimes(compiled.stderr)).toEqual(logWithoutTimes(sources.stderr));
      }),
    20_000,
  );

  test(
    "reaches libc in the Workers of real devices",
    () =>
      withHost(MIXED, async ({ sysfs }) => {
        // There is no node behind the simulated controllers' sysfs entries, and open(2) says so.
        const inspect = ["inspect", "nvme", "/dev/nvme0", `--path.sysfs=${sysfs}`, "--path.devfs=/dev/null"];
        expect(runToEnd([binary, ...inspect])).toEqual(runToEnd([...FROM_SOURCES, ...inspect]));
        expect(runToEnd([binary, ...inspect]).stderr).toContain("ENOTDIR");
      }),
    20_000,
  );

  test("takes no settings and no code from the directory that it is started in", () => {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-cwd-"));
    try {
      writeFileSync(join(directory, ".env"), "PLUMBLINE_LOG_LEVEL=nonsense\n");
      writeFileSync(join(directory, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
      writeFileSync(join(directory, "preload.ts"), 'process.stdout.write("preloaded");\n');
      mkdirSync(join(directory, "sys"));
      const { status, stdout } = runToEnd(
        [binary, "textfile", "--textfile.directory=.", "--path.sysfs=sys"],
        directory,
      );
      expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("the binary for arm64", () => {
  test(
    "is an ELF executable for AArch64",
    async () => {
      const header = readFileSync(await binaryFor("arm64")).subarray(0, 20);
      expect(header.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
      expect(header.readUInt16LE(18)).toBe(183); // EM_AARCH64 of <elf.h>
    },
    BUILD_MS,
  );
});

describeWith([QEMU_ARM64, LIBC_ARM64], "the binary for arm64 under emulation", () => {
  const emulated = async (...words: string[]) =>
    runToEnd([find(QEMU_ARM64) ?? "", "-L", "/usr/aarch64-linux-gnu", await binaryFor("arm64"), ...words]);

  test(
    "says its version",
    async () => {
      expect((await emulated("--version")).stdout).toMatch(VERSION);
    },
    BUILD_MS,
  );

  test(
    "collects the same from 24 simulated controllers as the sources",
    () =>
      withHost(MIXED, async ({ sysfs, devfs }) => {
        const demo = ["demo", "--once", `--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`];
        const sources = runToEnd([...FROM_SOURCES, ...demo]);
        expect(withoutOwnMetrics((await emulated(...demo)).stdout)).toBe(withoutOwnMetrics(sources.stdout));
      }),
    BUILD_MS,
  );

  test(
    "reaches libc in the Workers of real devices",
    () =>
      withHost(MIXED, async ({ sysfs }) => {
        const inspect = ["inspect", "nvme", "/dev/nvme0", `--path.sysfs=${sysfs}`, "--path.devfs=/dev/null"];
        expect((await emulated(...inspect)).stderr).toContain("ENOTDIR");
      }),
    BUILD_MS,
  );
});
