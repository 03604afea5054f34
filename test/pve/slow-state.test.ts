/** Slow readings from one run of textfile to the next. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { SlowKind } from "../../src/pve/slow.ts";
import { SlowState } from "../../src/pve/slow-state.ts";

const KIND = new SlowKind("smart", v.object({ of: v.string() }));

let directory: string;
let procfs: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-slow-"));
  procfs = join(directory, "proc");
  file = join(directory, "pve-readings.json");
  mkdirSync(join(procfs, "sys/kernel/random"), { recursive: true });
  boot("11111111-2222-3333-4444-555555555555", 1000);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function boot(id: string, uptimeSeconds: number): void {
  writeFileSync(join(procfs, "sys/kernel/random/boot_id"), `${id}\n`);
  writeFileSync(join(procfs, "uptime"), `${uptimeSeconds}.00 1.00\n`);
}

/** A run of textfile: what was asked of whom. */
async function run(targets: readonly string[], subjects: readonly string[]): Promise<string[]> {
  const state = new SlowState(directory, procfs);
  const asked: string[] = [];
  for (const name of targets) {
    const readings = state.readings(name);
    const getLasting = async (path: string) => {
      asked.push(`${name} ${path}`);
      return {};
    };
    const round = readings.begin({ getLasting, end: performance.now() + 1000 });
    const read = (subject: string) =>
      round.read(
        KIND,
        subject,
        {
          intervalMs: 3_600_000,
          read: async (get) => {
            await get(subject);
            return { of: subject };
          },
        },
        { failed() {}, lose() {} },
      );
    await Promise.all(subjects.map(read));
    await readings.idle();
  }
  state.save();
  return asked;
}

describe("the state of slow readings", () => {
  test("lets a run make one reading of each target, and the next run another", async () => {
    expect(await run(["home", "lab"], ["pve1", "pve2"])).toEqual(["home pve1", "lab pve1"]);
    expect(await run(["home", "lab"], ["pve1", "pve2"])).toEqual(["home pve2", "lab pve2"]);
    expect(await run(["home", "lab"], ["pve1", "pve2"])).toEqual([]);
  });

  test("counts their age on the clock of the boot", async () => {
    await run(["home"], ["pve1"]);
    boot("11111111-2222-3333-4444-555555555555", 1000 + 3590);
    expect(await run(["home"], ["pve1"])).toEqual([]);
    boot("11111111-2222-3333-4444-555555555555", 1000 + 3610);
    expect(await run(["home"], ["pve1"])).toEqual(["home pve1"]);
  });

  test("is of no use after a boot", async () => {
    await run(["home"], ["pve1"]);
    boot("99999999-2222-3333-4444-555555555555", 5000);
    expect(new SlowState(directory, procfs).fault).toBeUndefined();
    expect(await run(["home"], ["pve1"])).toEqual(["home pve1"]);
  });

  test("that is broken is told of and replaced", async () => {
    writeFileSync(file, "{", { mode: 0o600 });
    expect(new SlowState(directory, procfs).fault).toContain("is no JSON");
    expect(await run(["home"], ["pve1"])).toEqual(["home pve1"]);
    expect(await run(["home"], ["pve1"])).toEqual([]);
  });

  test("that is not ours is told of and left alone", async () => {
    const elsewhere = join(directory, "elsewhere");
    writeFileSync(elsewhere, "precious");
    symlinkSync(elsewhere, file);
    expect(new SlowState(directory, procfs).fault).toContain("is a symbolic link");
    await run(["home"], ["pve1"]);
    expect(readFileSync(elsewhere, "utf8")).toBe("precious");
  });

  test("is not kept where the boot cannot be told", async () => {
    rmSync(join(procfs, "uptime"));
    expect(new SlowState(directory, procfs).fault).toContain("does not tell which boot this is");
    expect(await run(["home"], ["pve1"])).toEqual(["home pve1"]);
    expect(existsSync(file)).toBe(false);
  });
});
