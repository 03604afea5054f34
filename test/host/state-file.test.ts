import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as v from "valibot";
import { StateFile } from "../../src/host/state-file.ts";
import { describeUnless } from "../support/debian.ts";

const BOOT = "3f6c1d0e-5a52-4c8e-9a06-0123456789ab";
const LATER_BOOT = "3f6c1d0e-5a52-4c8e-9a06-ba9876543210";
const Counts = v.record(v.string(), v.number());

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-state-"));
  path = join(directory, "state.json");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const stateFile = (bootId = BOOT) => new StateFile(path, Counts, bootId);
const load = () => stateFile().load();

describe("a state file", () => {
  test("gives the next run of the same boot what this one saved", () => {
    stateFile().save({ a: 1 });
    stateFile().save({ a: 2 });
    expect(load()).toEqual({ kind: "loaded", state: { a: 2 } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ boot_id: BOOT, state: { a: 2 } });
  });

  test("is missing before the first run", () => {
    expect(load()).toEqual({ kind: "missing" });
  });

  test("of another boot is ignored with the reason, and replaced", () => {
    stateFile(LATER_BOOT).save({ a: 1 });
    expect(load()).toEqual({ kind: "stale", reason: `${path} was written before this boot` });
    stateFile().save({ a: 2 });
    expect(load().kind).toBe("loaded");
  });

  test.each([
    ["empty", ""],
    ["half written", `{"boot_id":"${BOOT}","state":{"a":`],
    ["no JSON", "hello"],
    ["another JSON", "[1,2,3]"],
    ["without a boot_id", '{"state":{"a":1}}'],
    ["of another form", `{"boot_id":"${BOOT}","state":{"a":"one"}}`],
    ["no UTF-8", new Uint8Array([0xff, 0xfe, 0x00])],
    ["nested very deep", "[".repeat(200_000)],
    ["too big", `{"boot_id":"${BOOT}","state":{}}${" ".repeat(1024 * 1024)}`],
  ])("that is %s is ignored with the reason, and replaced", (_what, content) => {
    writeFileSync(path, content, { mode: 0o600 });
    const loaded = load();
    expect(loaded.kind).toBe("corrupt");
    expect("reason" in loaded && loaded.reason).toContain(path);
    stateFile().save({ a: 2 });
    expect(load()).toEqual({ kind: "loaded", state: { a: 2 } });
  });

  test("never throws on load, whatever the file holds", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
        writeFileSync(path, content, { mode: 0o600 });
        expect(load().kind).toBe("corrupt");
      }),
      { numRuns: 100 },
    );
  });

  test("that is a symbolic link is neither followed nor replaced", () => {
    const target = join(directory, "target");
    writeFileSync(target, `{"boot_id":"${BOOT}","state":{"a":1}}`, { mode: 0o600 });
    symlinkSync(target, path);
    expect(load()).toEqual({ kind: "foreign", reason: `${path} is a symbolic link` });
    expect(() => stateFile().save({ a: 2 })).toThrow(`cannot write ${path}: is a symbolic link`);
    expect(readFileSync(target, "utf8")).toContain('"a":1');
  });

  test("that is a directory is neither read nor replaced", () => {
    mkdirSync(path);
    expect(load()).toEqual({ kind: "foreign", reason: `${path} is no regular file` });
    expect(() => stateFile().save({ a: 2 })).toThrow("is no regular file");
  });

  test("that is a FIFO does not hold up the run", () => {
    expect(Bun.spawnSync(["mkfifo", "-m", "600", path]).exitCode).toBe(0);
    expect(load()).toEqual({ kind: "foreign", reason: `${path} is no regular file` });
    expect(() => stateFile().save({ a: 2 })).toThrow("is no regular file");
  });

  test("that others can write is not believed", () => {
    writeFileSync(path, `{"boot_id":"${BOOT}","state":{"a":1}}`);
    chmodSync(path, 0o666);
    expect(load()).toEqual({ kind: "foreign", reason: `${path} can be written by others than its owner` });
  });

  test("in a directory that is missing cannot be saved", () => {
    rmSync(directory, { recursive: true });
    expect(load()).toEqual({ kind: "missing" });
    expect(() => stateFile().save({})).toThrow("no such file or directory");
  });

  test("bigger than 1 MiB is not written", () => {
    stateFile().save({ a: 1 });
    expect(() => stateFile().save({ ["x".repeat(1024 * 1024)]: 1 })).toThrow("more than 1 MiB");
    expect(load()).toEqual({ kind: "loaded", state: { a: 1 } });
  });

  test("has the limit that it is given, also where it is read", () => {
    const large = new StateFile(path, Counts, BOOT, 2 * 1024 * 1024);
    const state = { ["x".repeat(1024 * 1024)]: 1 };
    large.save(state);
    expect(large.load()).toEqual({ kind: "loaded", state });
    expect(load()).toMatchObject({ kind: "corrupt", reason: expect.stringContaining("more than 1 MiB") });
    expect(() => large.save({ ["x".repeat(2 * 1024 * 1024)]: 1 })).toThrow("more than 2 MiB");
  });
});

const root = process.getuid?.() === 0;
describeUnless(root ? undefined : "this user cannot give files away", "a state file of another user", () => {
  test("is neither believed nor replaced", () => {
    writeFileSync(path, `{"boot_id":"${BOOT}","state":{"a":1}}`, { mode: 0o600 });
    chownSync(path, 12_345, 12_345);
    expect(load()).toEqual({
      kind: "foreign",
      reason: `${path} belongs to uid 12345, not to us (0)`,
    });
    expect(() => stateFile().save({ a: 2 })).toThrow("belongs to uid 12345");
    expect(statSync(path).uid).toBe(12_345);
  });
});
