/** `plumbline inspect nvme DEVICE`: what one controller tells, decoded, as a table or JSON, and raw. */
import { Buffer } from "node:buffer";
import { realpathSync } from "node:fs";
import { basename } from "node:path";
import type { Loaded } from "../config/load.ts";
import { createLog } from "../log/create.ts";
import { writeStandardError } from "../log/standard-error.ts";
import type { ScrapeContext } from "../metrics/collector.ts";
import { type Inspection, inspect } from "../nvme/inspection.ts";
import { inspectionDump, inspectionTable } from "../nvme/inspection-table.ts";
import type { Controller, Devices, Reason } from "../nvme/model.ts";
import { type NvmeSeams, openDevices } from "../nvme/source.ts";
import { print } from "./print.ts";

export interface InspectOptions {
  readonly output: "table" | "json";
  /** The pages in hexadecimal as well. */
  readonly raw: boolean;
}

/** What the command says and exits with: 0 when the device was read, 1 with a sentence on standard error. */
export interface Report {
  readonly code: 0 | 1;
  readonly standardOutput: string;
  readonly standardError: string;
}

export async function run(
  loaded: Loaded,
  device: string,
  options: InspectOptions,
  seams: NvmeSeams = {},
): Promise<number> {
  const { settings } = loaded;
  const { devices, close } = openDevices(settings, createLog(settings.log), seams);
  const timeoutMs = settings.scrape.timeoutMs;
  try {
    const report = await inspectNvme(devices, device, options, {
      signal: AbortSignal.timeout(timeoutMs),
      deadline: performance.now() + timeoutMs,
    });
    print(report.standardOutput);
    writeStandardError(report.standardError);
    return report.code;
  } finally {
    close();
  }
}

/** Reasons that do not make the command fail: the device answered, and what it answered is shown. */
const TOLERATED: ReadonlySet<Reason> = new Set(["unsupported_page", "empty_page", "limit", "detail"]);

export async function inspectNvme(
  devices: Devices,
  device: string,
  options: InspectOptions,
  context: ScrapeContext,
): Promise<Report> {
  let controllers: readonly Controller[];
  try {
    controllers = devices.list();
  } catch (error) {
    return failure(error instanceof Error ? error.message : String(error));
  }
  const controller = find(controllers, device);
  if (controller === undefined) return failure(`${device} is no NVMe device; ${namesOf(controllers)}`);

  const inspection = await inspect(controller, devices, context);
  const complaints = inspection.problems.map(
    ({ detail, remedy }) =>
      `plumbline: ${controller.name}: ${detail}${remedy === undefined ? "" : `; ${remedy}`}\n`,
  );
  const failed = inspection.problems.some(({ reason }) => !TOLERATED.has(reason));
  return {
    code: failed ? 1 : 0,
    standardOutput:
      options.output === "json" ? json(inspection, options.raw) : table(inspection, options.raw),
    standardError: complaints.join(""),
  };
}

/** By the name of a controller, of a namespace, of a path to one or of a partition; a link is followed. */
function find(controllers: readonly Controller[], device: string): Controller | undefined {
  return named(controllers, basename(device)) ?? named(controllers, basename(followed(device)));
}

function named(controllers: readonly Controller[], name: string): Controller | undefined {
  const disk = name.replace(/(n\d+)p\d+$/, "$1");
  return controllers.find(
    (controller) =>
      controller.name === name ||
      controller.namespaces.some((namespace) => namespace.path === disk || namespace.name === disk),
  );
}

function followed(device: string): string {
  try {
    return realpathSync(device);
  } catch {
    return device;
  }
}

function namesOf(controllers: readonly Controller[]): string {
  if (controllers.length === 0) return "this host has no NVMe controller";
  return `this host has ${controllers.map(({ name, model }) => `${name} (${model})`).join(", ")}`;
}

const failure = (message: string): Report => ({
  code: 1,
  standardOutput: "",
  standardError: `plumbline: ${message}\n`,
});

const table = (inspection: Inspection, raw: boolean): string =>
  raw && inspection.pages.length > 0
    ? `${inspectionTable(inspection)}\n${inspectionDump(inspection.pages)}`
    : inspectionTable(inspection);

/** 64-bit integers become decimal strings, because JSON's numbers cannot hold them; "no bound" becomes "+Inf". */
function json({ pages, namespaces, ...inspection }: Inspection, raw: boolean): string {
  const shown = {
    ...inspection,
    namespaces: [...namespaces].map(([nsid, namespace]) => ({ nsid, ...namespace })),
    ...(raw && {
      pages: pages.map(({ command, bytes }) => ({
        page: command.page,
        nsid: command.nsid,
        hex: Buffer.from(bytes).toString("hex"),
      })),
    }),
  };
  const exact = (_: string, value: unknown) => {
    if (typeof value === "bigint") return value.toString();
    return value === Number.POSITIVE_INFINITY ? "+Inf" : value;
  };
  return `${JSON.stringify(shown, exact, 2)}\n`;
}
