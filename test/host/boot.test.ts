import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootId, uptimeMs } from "../../src/host/boot.ts";

const procfs = mkdtempSync(join(tmpdir(), "plumbline-boot-"));
afterAll(() => rmSync(procfs, { recursive: true }));

const ID = "3f6c1d0e-5a52-4c8e-9a06-0123456789ab";

test("the boot is told by its id and by the time since it began", () => {
  mkdirSync(join(procfs, "sys/kernel/random"), { recursive: true });
  writeFileSync(join(procfs, "sys/kernel/random/boot_id"), `${ID}\n`);
  writeFileSync(join(procfs, "uptime"), "12345.67 98765.43\n");
  expect(bootId(procfs)).toBe(ID);
  expect(uptimeMs(procfs)).toBe(12_345_670);
});

test("a procfs without them says so", () => {
  expect(bootId(join(procfs, "none"))).toBeUndefined();
  expect(uptimeMs(join(procfs, "none"))).toBeUndefined();
});

test.each(["", "\n", "junk", "-5.00 1.00", "Infinity 1"])("an uptime file of %j has no uptime", (text) => {
  writeFileSync(join(procfs, "uptime"), text);
  expect(uptimeMs(procfs)).toBeUndefined();
});

test("a boot_id that is no UUID is none", () => {
  writeFileSync(join(procfs, "sys/kernel/random/boot_id"), "x\n");
  expect(bootId(procfs)).toBeUndefined();
});
