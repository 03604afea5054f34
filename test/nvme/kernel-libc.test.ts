import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Libc, libc } from "../../src/host/libc.ts";
import { smartLog } from "../../src/nvme/commands.ts";
import { libcKernel } from "../../src/nvme/kernel-libc.ts";
import { runCommand } from "../../src/nvme/worker.ts";

test("the ioctl is NVME_IOCTL_ADMIN_CMD with the page's address and length, and nothing else is changed", () => {
  const calls: { fd: number; request: bigint; argument: Uint8Array }[] = [];
  const recording: Libc = {
    ...libc(),
    ioctl: (fd, request, argument) => {
      calls.push({ fd, request, argument });
      return 0;
    },
  };
  const { bytes, length } = smartLog();
  const before = bytes.slice();
  const page = new Uint8Array(length);
  expect(libcKernel(recording).adminCommand(9, bytes, page)).toBe(0);
  expect(bytes).toEqual(before);
  const [call] = calls;
  if (call === undefined) throw new Error("there was no ioctl");
  expect(call.fd).toBe(9);
  expect(call.request).toBe(0xc0484e41n);
  const sent = new DataView(call.argument.buffer);
  expect(call.argument.length).toBe(72);
  expect(sent.getBigUint64(24, true)).toBe(libc().addressOf(page));
  expect(sent.getUint32(36, true)).toBe(512);
  sent.setBigUint64(24, 0n, true);
  sent.setUint32(36, 0, true);
  expect(call.argument).toEqual(before);
});

test("a real character device that is no NVMe controller refuses the command with ENOTTY", () => {
  const { bytes, length } = smartLog();
  const ask = (dev: string) => runCommand(libcKernel(), { path: "/dev/null", dev, command: bytes, length });
  expect(ask("1:3")).toEqual({ kind: "ioctl", errno: 25 });
  expect(ask("1:5")).toEqual({ kind: "not_a_device" });
});

test("a symbolic link to a device is not followed, and a file is no device", () => {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-kernel-"));
  try {
    symlinkSync("/dev/null", join(directory, "nvme0"));
    const { bytes, length } = smartLog();
    const ask = (path: string) => runCommand(libcKernel(), { path, dev: "1:3", command: bytes, length });
    expect(ask(join(directory, "nvme0"))).toEqual({ kind: "open", errno: 40 });
    expect(ask(join(directory, "nvme1"))).toEqual({ kind: "open", errno: 2 });
    expect(ask("/etc/passwd")).toEqual({ kind: "not_a_device" });
    expect(ask(directory)).toEqual({ kind: "not_a_device" });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
