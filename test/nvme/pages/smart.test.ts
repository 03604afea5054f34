import { describe, expect, test } from "bun:test";
import { smartPage } from "../../../src/demo/nvme-pages.ts";
import { decodeSmart } from "../../../src/nvme/pages/smart.ts";

describe("SMART log page", () => {
  test("every field is read from where it stands", () => {
    const smart = {
      criticalWarning: 0b101,
      temperatureKelvin: 314,
      availableSparePercent: 98,
      availableSpareThresholdPercent: 10,
      usedPercent: 3,
      dataUnitsRead: 1n,
      dataUnitsWritten: 2n ** 64n,
      hostReadCommands: 3n,
      hostWriteCommands: 4n,
      controllerBusyMinutes: 5n,
      powerCycles: 6n,
      powerOnHours: 7n,
      unsafeShutdowns: 8n,
      mediaErrors: 9n,
      errorLogEntries: 10n,
      warningTemperatureMinutes: 11,
      criticalTemperatureMinutes: 12,
      sensorsKelvin: [300, 301, 0, 0, 0, 0, 0, 308],
      thermalManagement1Transitions: 13,
      thermalManagement2Transitions: 14,
      thermalManagement1Seconds: 15,
      thermalManagement2Seconds: 16,
    };
    expect(decodeSmart(smartPage(smart))).toEqual({ page: smart, problems: [] });
  });

  test("a saturated page is read as it is, with all digits", () => {
    const { page, problems } = decodeSmart(new Uint8Array(512).fill(0xff));
    expect(problems).toEqual([]);
    expect(page).toMatchObject({
      usedPercent: 255,
      dataUnitsRead: 2n ** 128n - 1n,
      warningTemperatureMinutes: 2 ** 32 - 1,
    });
  });

  test("all zeros, as virtual devices answer, is an empty page", () => {
    const { page, problems } = decodeSmart(new Uint8Array(512));
    expect(page).toBeUndefined();
    expect(problems.map(({ reason }) => reason)).toEqual(["empty_page"]);
  });

  test("a short answer is an empty page", () => {
    const { page, problems } = decodeSmart(smartPage({ temperatureKelvin: 300 }).subarray(0, 231));
    expect(page).toBeUndefined();
    expect(problems).toEqual([
      { reason: "empty_page", detail: "SMART log page has 231 bytes instead of 512" },
    ]);
  });

  test("a page that is part of a larger buffer is read where it lies", () => {
    const buffer = new Uint8Array(1024);
    buffer.set(smartPage({ powerCycles: 77n }), 511);
    expect(decodeSmart(buffer.subarray(511, 1023)).page?.powerCycles).toBe(77n);
  });
});
