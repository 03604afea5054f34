import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "../../src/config/load.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { resume } from "../../src/textfile/continuity.ts";
import { recordingLog } from "../scrape/fakes.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plumbline-log-"));
  mkdirSync(join(directory, "proc/sys/kernel/random"), { recursive: true });
  boot("11111111-1111-4111-8111-111111111111");
});
afterEach(() => rmSync(directory, { recursive: true }));

const boot = (id: string) => writeFileSync(join(directory, "proc/sys/kernel/random/boot_id"), `${id}\n`);

/** What a run writes to its log that meets these faults of devices, so long after the boot. */
function linesOfRun(minutes: number, failing: readonly string[]): string[] {
  writeFileSync(join(directory, "proc/uptime"), `${minutes * 60}.00 1.00\n`);
  const { settings } = load(
    { "state.directory": join(directory, "state"), "path.procfs": join(directory, "proc") },
    {},
    [],
  );
  const own = new OwnMetrics(
    { version: "0", revision: "0", runtime: "bun", runtimeVersion: "0" },
    { processMetrics: false },
  );
  const log = recordingLog();
  const continuity = resume(settings, own, log);
  if (continuity === undefined) throw new Error("no state can be kept");
  for (const device of failing)
    continuity.log.error("fault on an NVMe device", { collector: "nvme", device, reason: "timeout" });
  continuity.save(own);
  return log.lines.map(
    ({ level, message, fields }) => `${level} ${message} ${fields["device"]} ${fields["count"] ?? ""}`,
  );
}

test("a fault that lasts from run to run is told when it starts, every ten minutes with the count, and at its end", () => {
  expect(linesOfRun(1, ["nvme0"])).toEqual(["error fault on an NVMe device nvme0 "]);
  for (let minute = 2; minute <= 10; minute++) expect(linesOfRun(minute, ["nvme0"])).toEqual([]);
  expect(linesOfRun(11, ["nvme0"])).toEqual(["error fault on an NVMe device nvme0 11"]);
  expect(linesOfRun(12, [])).toEqual(["info no longer: fault on an NVMe device nvme0 11"]);
  expect(linesOfRun(13, [])).toEqual([]);
});

test("a second device that fails is told at once", () => {
  linesOfRun(1, ["nvme0"]);
  expect(linesOfRun(2, ["nvme0", "nvme1"])).toEqual(["error fault on an NVMe device nvme1 "]);
});

test("after another boot everything is told anew", () => {
  linesOfRun(5, ["nvme0"]);
  boot("22222222-2222-4222-8222-222222222222");
  expect(linesOfRun(1, ["nvme0"])).toContain("error fault on an NVMe device nvme0 ");
});

test("what was said is forgotten where its file is no such thing", () => {
  linesOfRun(1, ["nvme0"]);
  writeFileSync(join(directory, "state/plumbline-log.json"), "[[]]");
  expect(linesOfRun(2, ["nvme0"])).toEqual(["error fault on an NVMe device nvme0 "]);
});
