import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { constants as os, tmpdir } from "node:os";
import { join } from "node:path";
import { DirectoryBytes, entriesOf } from "../../src/host/directory-bytes.ts";
import { libc } from "../../src/host/libc.ts";

const directory = mkdtempSync(join(tmpdir(), "plumbline-directory-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("has the names and the inodes of a directory's entries", () => {
  const path = join(directory, "few");
  for (const name of ["inside", "é ü", "a\nb"]) mkdirSync(join(path, name), { recursive: true });
  const entries = entriesOf(bytesOf(path));
  expect(entries.map(({ name }) => name).sort()).toEqual(readdirSync(path).sort());
  for (const { name, inode } of entries) {
    expect(inode).toBe(statSync(join(path, name), { bigint: true }).ino);
  }
});

test("has all of a directory that is larger than one call can tell", () => {
  const path = join(directory, "many");
  mkdirSync(path);
  for (let at = 0; at < 1500; at++) writeFileSync(join(path, `${at}-${"x".repeat(200)}`), "");
  const names = entriesOf(bytesOf(path)).map(({ name }) => name);
  expect(names.sort()).toEqual(readdirSync(path).sort());
});

test("is the same as long as the directory is, whatever was read in between", () => {
  const one = join(directory, "one");
  mkdirSync(join(one, "sda"), { recursive: true });
  const other = join(directory, "other");
  for (const name of ["sdabcdef", "sdabcdefg", "sdabcdefgh"])
    mkdirSync(join(other, name), { recursive: true });
  const directories = new DirectoryBytes(libc());
  const read = (path: string): Buffer => {
    const bytes = directories.read(path);
    if (typeof bytes === "number") throw new Error(`cannot read ${path}: ${bytes}`);
    return Buffer.from(bytes);
  };
  const before = read(one);
  read(other);
  expect(read(one)).toEqual(before);
  mkdirSync(join(one, "sdb"));
  expect(read(one)).not.toEqual(before);
});

test("is an errno where there is no directory", () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  symlinkSync(directory, join(directory, "link"));
  const directories = new DirectoryBytes(libc());
  const errnos = ["missing", "file", "link"].map((name) => directories.read(join(directory, name)));
  expect(errnos).toEqual([-os.errno.ENOENT, -os.errno.ENOTDIR, -os.errno.ENOTDIR]);
});

function bytesOf(path: string): Uint8Array {
  const bytes = new DirectoryBytes(libc()).read(path);
  if (typeof bytes === "number") throw new Error(`cannot read ${path}: errno ${bytes}`);
  return bytes;
}
