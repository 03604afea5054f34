import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoName, flockExclusive, LibcError, libc, notifySystemd } from "../../src/host/libc.ts";
import { openLibrary } from "../../src/runtime/ffi.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-libc-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("calls", () => {
  test("a failed call answers the negated errno", () => {
    expect(libc().open(join(directory, "missing"), constants.O_RDONLY)).toBe(-2);
    expect(libc().close(987_654)).toBe(-9);
    expect(libc().stat(987_654)).toBe(-9);
    expect(libc().ioctl(987_654, 0n, new Uint8Array(8))).toBe(-9);
  });

  test("/dev/null is the character device 1:3", () => {
    const fd = libc().open("/dev/null", constants.O_RDONLY);
    expect(libc().stat(fd)).toEqual({ isCharacterDevice: true, device: "1:3" });
    expect(libc().close(fd)).toBe(0);
  });

  test("a regular file is no device", () => {
    const path = join(directory, "file");
    writeFileSync(path, "12345");
    const fd = libc().open(path, constants.O_RDONLY);
    expect(libc().stat(fd)).toEqual({ isCharacterDevice: false, device: "0:0" });
    libc().close(fd);
  });

  test("a directory's entries are read until there are no more", () => {
    mkdirSync(join(directory, "entries/inside"), { recursive: true });
    const fd = libc().open(join(directory, "entries"), constants.O_RDONLY);
    const entries = new Uint8Array(1024);
    const length = libc().getdents(fd, entries);
    expect(new TextDecoder().decode(entries.subarray(0, length))).toContain("inside\0");
    expect(libc().getdents(fd, entries)).toBe(0);
    libc().close(fd);
    expect(libc().getdents(fd, entries)).toBe(-9);
  });

  test("poll tells what a descriptor is ready for, without waiting", () => {
    const POLLIN = 1;
    const inotify = libc().inotifyOpen();
    expect(libc().poll(inotify, POLLIN)).toBe(0);
    const zeros = libc().open("/dev/zero", constants.O_RDONLY);
    expect(libc().poll(zeros, POLLIN)).toBe(POLLIN);
    libc().close(zeros);
    libc().close(inotify);
  });

  test("a directory that is watched tells of a new file", () => {
    const IN_CREATE = 0x100;
    const inotify = libc().inotifyOpen();
    const events = new Uint8Array(1024);
    const watch = libc().inotifyAdd(inotify, directory, IN_CREATE);
    expect(libc().read(inotify, events)).toBe(-11);
    writeFileSync(join(directory, "watched"), "");
    const length = libc().read(inotify, events);
    const view = new DataView(events.buffer);
    expect([view.getInt32(0, true), view.getUint32(4, true)]).toEqual([watch, IN_CREATE]);
    expect(new TextDecoder().decode(events.subarray(16, length))).toStartWith("watched\0");
    expect(libc().inotifyAdd(inotify, join(directory, "missing"), IN_CREATE)).toBe(-2);
    expect(libc().inotifyRemove(inotify, watch)).toBe(0);
    expect(libc().inotifyRemove(inotify, watch)).toBe(-22);
    libc().close(inotify);
  });

  test("a file system has the number of its type", () => {
    expect(libc().filesystemType("/proc/self/mountinfo")).toBe(0x9fa0);
    expect(libc().filesystemType(join(directory, "missing"))).toBe(-2);
  });

  test("a path with a NUL is refused, not cut", () => {
    expect(() => libc().open("/dev/null\0/x", constants.O_RDONLY)).toThrow(LibcError);
  });

  test("an errno has its name, whatever its sign", () => {
    expect([13, -13, 2, 25].map(errnoName)).toEqual(["EACCES", "EACCES", "ENOENT", "ENOTTY"]);
    expect(errnoName(4711)).toBe("errno 4711");
  });
});

describe("the lock of a file", () => {
  test("is had by one, then by the next, and its file is its owner's alone", () => {
    const path = join(directory, "lock");
    const lock = flockExclusive(path);
    if (lock === "locked") throw new Error("nobody else can have it");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(flockExclusive(path)).toBe("locked");
    lock.unlock();
    const next = flockExclusive(path);
    expect(next).not.toBe("locked");
    if (next !== "locked") next.unlock();
  });

  test("is held against another process, and is free when that one is killed", async () => {
    const path = join(directory, "shared-lock");
    const module = join(import.meta.dir, "../../src/host/libc.ts");
    const script = `
      const { flockExclusive } = await import(${JSON.stringify(module)});
      console.log(typeof flockExclusive(${JSON.stringify(path)}));
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [line] = await once(holder.stdout, "data");
      expect(String(line)).toBe("object\n");
      expect(flockExclusive(path)).toBe("locked");
    } finally {
      const ended = once(holder, "exit");
      holder.kill("SIGKILL");
      await ended;
    }
    const lock = flockExclusive(path);
    expect(lock).not.toBe("locked");
    if (lock !== "locked") lock.unlock();
  });

  test.skipIf(process.getuid?.() !== 0)("may be had where its file can only be read", () => {
    const path = join(directory, "read-only-lock");
    writeFileSync(path, "");
    chmodSync(path, 0o444);
    const module = join(import.meta.dir, "../../src/host/libc.ts");
    const script = `
      const { flockExclusive } = await import(${JSON.stringify(module)});
      process.seteuid(65534);
      const lock = flockExclusive(${JSON.stringify(path)});
      console.log(typeof lock, flockExclusive(${JSON.stringify(path)}));`;
    chmodSync(directory, 0o755);
    const run = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect(run.stdout).toBe("object locked\n");
  });

  test("cannot be had in a directory that is missing, or through a symbolic link", () => {
    expect(() => flockExclusive(join(directory, "missing/lock"))).toThrow("ENOENT");
    symlinkSync(join(directory, "target"), join(directory, "link"));
    expect(() => flockExclusive(join(directory, "link"))).toThrow("ELOOP");
  });
});

describe("a word to systemd", () => {
  const { socket, bind, recv, close } = openLibrary("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "bytes", "u32"], returns: "i32" },
    recv: { args: ["i32", "bytes", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  const AF_UNIX = 1;
  const SOCK_DGRAM = 2;
  const MSG_DONTWAIT = 0x40;

  /** Receives one datagram, as systemd does; no JavaScript runtime has sockets for it. */
  function receive(sunPath: string, send: () => void): string {
    const receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
    try {
      const address = new TextEncoder().encode(`\x01\0${sunPath}`);
      expect(bind(receiver, address, address.length)).toBe(0);
      send();
      const buffer = new Uint8Array(4096);
      const length = Number(recv(receiver, buffer, 4096n, MSG_DONTWAIT));
      return new TextDecoder().decode(buffer.subarray(0, Math.max(0, length)));
    } finally {
      close(receiver);
    }
  }

  test("reaches a socket in the file system and an abstract one", () => {
    const path = join(directory, "notify");
    expect(receive(path, () => notifySystemd(path, "READY=1\nSTATUS=up"))).toBe("READY=1\nSTATUS=up");
    const name = `plumbline-test-${process.pid}`;
    expect(receive(`\0${name}`, () => notifySystemd(`@${name}`, "STOPPING=1"))).toBe("STOPPING=1");
  });

  test("fails with a sentence where nobody listens, or the address is none", () => {
    const missing = join(directory, "nobody");
    expect(() => notifySystemd(missing, "READY=1")).toThrow(`cannot notify systemd at ${missing}: ENOENT`);
    for (const address of ["", "@", "relative", `/${"x".repeat(108)}`]) {
      expect(() => notifySystemd(address, "READY=1")).toThrow("is neither an absolute path nor");
    }
  });
});
