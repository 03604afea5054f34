import { describe, expect, test } from "bun:test";
import { FaultLog } from "../../src/log/faults.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { CollectorFaults } from "../../src/nvme/faults.ts";
import { NVME_DEVICE_ERRORS } from "../../src/nvme/shared.ts";
import { RecordedLog } from "../support/nvme-simulated-host.ts";

const MINUTE = 60_000;

function setUp() {
  const own = new OwnMetrics(
    { version: "0", revision: "0", runtime: "test", runtimeVersion: "0" },
    { processMetrics: false },
  );
  const log = new RecordedLog();
  let now = 0;
  const faultLog = new FaultLog(log, () => now);
  const faults = (collector: string) => new CollectorFaults(collector, own, log, faultLog);
  return {
    log,
    nvme: faults("nvme"),
    ebs: faults("ebs"),
    pass: (ms: number): void => {
      now += ms;
    },
    counts: async () => {
      const { labels = [], values = [] } = (await own.samples()).families.get(NVME_DEVICE_ERRORS) ?? {};
      return Object.fromEntries(
        labels.map(({ collector, device, reason }, i) => [`${collector} ${device} ${reason}`, values[i]]),
      );
    },
  };
}

describe("the counter", () => {
  test("has one for each device and reason of a scrape, however often it was met", async () => {
    const { nvme, ebs, counts } = setUp();
    for (let scrape = 0; scrape < 2; scrape++) {
      nvme.record("nvme0", "ioctl", "first");
      nvme.record("nvme0", "ioctl", "again");
      nvme.record("nvme0", "busy", "also");
      nvme.record("nvme1", "ioctl", "another");
      ebs.record("nvme0", "ioctl", "another collector");
      nvme.settle();
      ebs.settle();
    }
    expect(await counts()).toEqual({
      "nvme nvme0 ioctl": 2,
      "nvme nvme0 busy": 2,
      "nvme nvme1 ioctl": 2,
      "ebs nvme0 ioctl": 2,
    });
  });

  test("goes on from an earlier run also where nothing fails", async () => {
    const own = new OwnMetrics(
      { version: "0", revision: "0", runtime: "test", runtimeVersion: "0" },
      { processMetrics: false },
    );
    const labels = { collector: "nvme", device: "nvme0", reason: "ioctl" };
    own.restore({ [NVME_DEVICE_ERRORS.name]: [{ labels, value: 41 }] });
    new CollectorFaults("nvme", own, new RecordedLog(), new FaultLog(new RecordedLog()));
    expect((await own.samples()).families.get(NVME_DEVICE_ERRORS)).toMatchObject({
      labels: [labels],
      values: [41],
    });
  });
});

describe("the log", () => {
  test("speaks at the start, every ten minutes and at the end, not each scrape", () => {
    const { nvme, log, pass } = setUp();
    for (let scrape = 0; scrape <= 20; scrape++) {
      nvme.record("nvme0", "permission", "no permission (EACCES)");
      nvme.settle();
      pass(MINUTE);
    }
    expect(log.lines.map(({ level }) => level)).toEqual(["error", "error", "error"]);
    expect(log.lines[0]).toMatchObject({
      message: "fault on an NVMe device",
      fields: { collector: "nvme", device: "nvme0", reason: "permission", err: "no permission (EACCES)" },
    });
    nvme.settle();
    nvme.settle();
    expect(log.lines.slice(3)).toMatchObject([
      { level: "info", fields: { collector: "nvme", device: "nvme0", reason: "permission" } },
    ]);
  });

  test("ends one fault of a device while another one starts", () => {
    const { nvme, log } = setUp();
    nvme.record("nvme0", "timeout", "late");
    nvme.settle();
    nvme.record("nvme0", "nvme_status", "refused");
    nvme.settle();
    expect(log.lines.map(({ level, fields }) => `${level} ${fields["reason"]}`)).toEqual([
      "error timeout",
      "error nvme_status",
      "info timeout",
    ]);
  });

  test("does not call a hang over as long as the device has a command pending", () => {
    const { nvme, log } = setUp();
    nvme.record("nvme0", "timeout", "late");
    nvme.settle();
    nvme.record("nvme0", "busy", "still late");
    nvme.settle();
    expect(log.lines.map(({ level, fields }) => `${level} ${fields["reason"]}`)).toEqual([
      "error timeout",
      "error busy",
    ]);
    nvme.settle();
    expect(log.lines.slice(2)).toMatchObject([
      { level: "info", fields: { device: "nvme0", reason: "busy" } },
    ]);
  });

  test("tells once that a device does not have a page, and never that this is over", () => {
    const { nvme, log } = setUp();
    nvme.record("nvme0", "unsupported_page", "refused");
    nvme.settle();
    nvme.settle();
    expect(log.lines).toMatchObject([{ level: "info", fields: { reason: "unsupported_page" } }]);
  });

  test.each(["empty_page", "limit"] as const)(
    "does not call `%s` an error: nothing can be done",
    (reason) => {
      const { nvme, log, pass } = setUp();
      for (let scrape = 0; scrape <= 10; scrape++) {
        nvme.record("nvme0", reason, "nothing to do");
        nvme.settle();
        pass(MINUTE);
      }
      expect(log.lines).toMatchObject([
        { level: "info", fields: { reason } },
        { level: "info", fields: { reason, count: 11 } },
      ]);
    },
  );

  test("names no device where the fault is of none", () => {
    const { nvme, log } = setUp();
    nvme.record("", "listing", "cannot list");
    expect(log.lines[0]?.fields["device"]).toBeUndefined();
  });
});
