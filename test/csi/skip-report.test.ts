import { expect, test } from "bun:test";
import type { Discovery, SkipReason } from "../../src/csi/model.ts";
import { SkipReport } from "../../src/csi/skip-report.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";

const skipping = (changes: Partial<Record<SkipReason, number>>): Discovery => ({
  volumes: [],
  skippedPaths: [],
  skipped: {
    bad_json: 0,
    unreadable: 0,
    unsafe_path: 0,
    no_mount: 0,
    ephemeral: 0,
    same_filesystem: 0,
    network_filesystem: 0,
    virtual_filesystem: 0,
    unresolved: 0,
    backing_unresolved: 0,
    ...changes,
  },
});

const MINUTE = 60_000;

function open() {
  const log = new RecordedLog();
  let now = 0;
  const report = new SkipReport(log, () => now);
  return {
    at(minutes: number, changes: Partial<Record<SkipReason, number>>) {
      now = minutes * MINUTE;
      report.tell(skipping(changes));
    },
    said: () => log.lines.splice(0).map(({ level, fields }) => `${level} ${fields["reason"] ?? ""}`.trim()),
  };
}

test("totals are told when they change, and not while they stay", () => {
  const { at, said } = open();
  at(0, {});
  expect(said()).toEqual([]);
  at(1, { ephemeral: 2 });
  at(60, { ephemeral: 2 });
  at(600, { ephemeral: 2 });
  expect(said()).toEqual(["warn 2 ephemeral"]);
  at(601, { ephemeral: 2, unresolved: 1 });
  expect(said()).toEqual(["warn 2 ephemeral, 1 unresolved"]);
});

test("the end is told as well", () => {
  const { at, said } = open();
  at(1, { unresolved: 1 });
  at(9, {});
  expect(said()).toEqual(["warn 1 unresolved", "info"]);
});

test("totals that change with every scrape are a line every two minutes, and the last of them is told", () => {
  const { at, said } = open();
  for (let scrape = 0; scrape < 40; scrape++) at(scrape / 4, { no_mount: (scrape % 2) + 1 });
  expect(said().length).toBeLessThanOrEqual(5);
  at(60, { no_mount: 7 });
  expect(said()).toEqual(["warn 7 no_mount"]);
});
