import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeAtomically } from "../../src/host/atomic-write.ts";
import { describeUnless } from "../support/debian.ts";
import { mountSmallDisk, noSmallDisk, type SmallDisk } from "./full-disk.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const OLD = ".file.prom.0123456789ab.tmp";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-write-"));
  path = join(directory, "file.prom");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("an atomic write", () => {
  test("puts the whole new file in the place of the old one, with its mode whatever the umask", () => {
    const umask = process.umask(0o077);
    try {
      writeAtomically(path, bytes("old"), 0o600);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      writeAtomically(path, bytes("new"), 0o644);
    } finally {
      process.umask(umask);
    }
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(directory)).toEqual(["file.prom"]);
  });

  test("writes nothing as an empty file", () => {
    writeAtomically(path, bytes(""), 0o644);
    expect(statSync(path).size).toBe(0);
  });

  test("never changes the file that a reader has open", () => {
    writeAtomically(path, bytes("old"), 0o644);
    const before = statSync(path).ino;
    writeAtomically(path, bytes("new"), 0o644);
    expect(statSync(path).ino).not.toBe(before);
  });

  test("replaces a symbolic link and leaves alone what it points to", () => {
    const target = join(directory, "target");
    writeFileSync(target, "precious");
    symlinkSync(target, path);
    writeAtomically(path, bytes("new"), 0o644);
    expect(readFileSync(target, "utf8")).toBe("precious");
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  test("into a directory that is missing says so", () => {
    const missing = join(directory, "none", "file.prom");
    expect(() => writeAtomically(missing, bytes("x"), 0o644)).toThrow(
      `cannot write ${missing}: no such file or directory`,
    );
  });

  test("over a directory fails and leaves no temporary file", () => {
    mkdirSync(path);
    expect(() => writeAtomically(path, bytes("x"), 0o644)).toThrow(`cannot write ${path}: `);
    expect(readdirSync(directory)).toEqual(["file.prom"]);
  });

  test("removes what a writer left that was killed long ago, and nothing else", () => {
    const hourAgo = Date.now() / 1000 - 3600;
    const kept = [".file.prom.lock", ".other.prom.0123456789ab.tmp", ".file.prom.tmp", "file.prom.tmp"];
    for (const name of [OLD, ...kept]) {
      writeFileSync(join(directory, name), "left");
      utimesSync(join(directory, name), hourAgo, hourAgo);
    }
    writeAtomically(path, bytes("new"), 0o644);
    expect(readdirSync(directory).sort()).toEqual([...kept, "file.prom"].sort());
  });

  test("leaves the temporary file of another living writer", () => {
    writeFileSync(join(directory, OLD), "half");
    writeAtomically(path, bytes("new"), 0o644);
    expect(existsSync(join(directory, OLD))).toBe(true);
  });

  test("removes what was left behind also after the clock jumped back", () => {
    writeFileSync(join(directory, OLD), "left");
    const tomorrow = Date.now() / 1000 + 86_400;
    utimesSync(join(directory, OLD), tomorrow, tomorrow);
    writeAtomically(path, bytes("new"), 0o644);
    expect(readdirSync(directory)).toEqual(["file.prom"]);
  });

  test("killed at any point leaves the old file or the new one, whole", async () => {
    const writer = join(import.meta.dir, "write-for-ever.ts");
    let before = -1;
    for (let kill = 0; kill < 12; kill++) {
      const child = Bun.spawn([process.execPath, writer, path, "300000"], { stderr: "inherit" });
      while (!existsSync(path)) await Bun.sleep(2);
      await Bun.sleep(40 + Math.random() * 60);
      child.kill("SIGKILL");
      await child.exited;
      const text = readFileSync(path, "utf8");
      expect(text).toHaveLength(300_004);
      expect(text).toEndWith("xend\n");
      before = Math.max(before, Number(text.split(" ", 1)[0]));
      expect(statSync(path).mode & 0o777).toBe(0o644);
    }
    expect(before).toBeGreaterThan(0);
    const left = readdirSync(directory).filter((name) => name !== "file.prom");
    expect(left.filter((name) => name.endsWith(".prom"))).toEqual([]);
    expect(left.length).toBeLessThanOrEqual(12);
  }, 30_000);
});

describeUnless(noSmallDisk(), "on a bad disk", () => {
  let disk: SmallDisk;
  beforeAll(() => {
    disk = mountSmallDisk();
  });
  afterAll(() => disk.remove());

  test("a write without room leaves the old file and no temporary one", () => {
    const full = join(disk.path, "file.prom");
    writeAtomically(full, bytes("old"), 0o644);
    disk.fill();
    const before = readdirSync(disk.path);
    expect(() => writeAtomically(full, new Uint8Array(32_768), 0o644)).toThrow(
      `cannot write ${full}: no space left on device`,
    );
    expect(readFileSync(full, "utf8")).toBe("old");
    expect(readdirSync(disk.path)).toEqual(before);
  });

  test("a write to a read-only file system leaves the old file, and the next one says why again", () => {
    const readOnly = join(disk.path, "file.prom");
    disk.makeReadOnly();
    for (let time = 0; time < 2; time++) {
      expect(() => writeAtomically(readOnly, bytes("new"), 0o644)).toThrow("read-only file system");
    }
    expect(readFileSync(readOnly, "utf8")).toBe("old");
  });
});
