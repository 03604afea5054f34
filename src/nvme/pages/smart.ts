/** SMART / Health Information log page (LID 02h), NVM Express Base Specification section 5.1.12.1.3. */
import type { Decoded } from "../problem.ts";
import { lengthOf, readFields, u8, u16, u16s, u32, u128, viewOf } from "./layout.ts";

/** Units are the page's own; a device that saturates a field is shown as it says. */
export interface SmartLog {
  /** Bit field; `CRITICAL_WARNINGS` names the bits. */
  readonly criticalWarning: number;
  /** Composite temperature in kelvins; 0 where it is not reported. */
  readonly temperatureKelvin: number;
  readonly availableSparePercent: number;
  readonly availableSpareThresholdPercent: number;
  /** Estimate of the life used; 100 is "as warranted", and it goes on to 255. */
  readonly usedPercent: number;
  /** Thousands of 512-byte units, read by the host. */
  readonly dataUnitsRead: bigint;
  readonly dataUnitsWritten: bigint;
  readonly hostReadCommands: bigint;
  readonly hostWriteCommands: bigint;
  readonly controllerBusyMinutes: bigint;
  readonly powerCycles: bigint;
  readonly powerOnHours: bigint;
  readonly unsafeShutdowns: bigint;
  readonly mediaErrors: bigint;
  readonly errorLogEntries: bigint;
  readonly warningTemperatureMinutes: number;
  readonly criticalTemperatureMinutes: number;
  /** Sensors 1 to 8 in kelvins; 0 where there is none. */
  readonly sensorsKelvin: readonly number[];
  readonly thermalManagement1Transitions: number;
  readonly thermalManagement2Transitions: number;
  readonly thermalManagement1Seconds: number;
  readonly thermalManagement2Seconds: number;
}

/** Bits 0 to 5 of the critical warning. */
export const CRITICAL_WARNINGS = [
  "available_spare",
  "temperature",
  "reliability",
  "read_only",
  "volatile_backup",
  "persistent_memory",
] as const;

const LAYOUT = {
  criticalWarning: u8(0),
  temperatureKelvin: u16(1),
  availableSparePercent: u8(3),
  availableSpareThresholdPercent: u8(4),
  usedPercent: u8(5),
  dataUnitsRead: u128(32),
  dataUnitsWritten: u128(48),
  hostReadCommands: u128(64),
  hostWriteCommands: u128(80),
  controllerBusyMinutes: u128(96),
  powerCycles: u128(112),
  powerOnHours: u128(128),
  unsafeShutdowns: u128(144),
  mediaErrors: u128(160),
  errorLogEntries: u128(176),
  warningTemperatureMinutes: u32(192),
  criticalTemperatureMinutes: u32(196),
  sensorsKelvin: u16s(200, 8),
  thermalManagement1Transitions: u32(216),
  thermalManagement2Transitions: u32(220),
  thermalManagement1Seconds: u32(224),
  thermalManagement2Seconds: u32(228),
};

const LENGTH = lengthOf(LAYOUT);

/** Problem: `empty_page` for nothing but zeros, as some virtual devices answer, and for a page too short. */
export function decodeSmart(bytes: Uint8Array): Decoded<SmartLog> {
  if (bytes.length < LENGTH) return empty(`SMART log page has ${bytes.length} bytes instead of 512`);
  if (bytes.every((byte) => byte === 0)) {
    return empty("SMART log page is all zeros, as virtual devices without health data answer; nothing to do");
  }
  return { page: readFields(viewOf(bytes), LAYOUT), problems: [] };
}

const empty = (detail: string): Decoded<SmartLog> => ({
  page: undefined,
  problems: [{ reason: "empty_page", detail }],
});
