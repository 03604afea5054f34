/**
 * What the three NVMe collectors have in common: the metrics about themselves and the way from a list of controllers
 * to samples and findings. Each gives a `Reader`, which says what it reads of one controller and what that becomes.
 */
import type { Collection, Collector, Finding, ScrapeContext } from "../metrics/collector.ts";
import { counter, gauge } from "../metrics/descriptor.ts";
import { Samples } from "../metrics/samples.ts";
import type { Controller, DeviceFaults, Devices } from "./model.ts";
import type { Problem } from "./problem.ts";

export const NVME_DEVICES = gauge(
  "plumbline_nvme_devices",
  "NVMe controllers of this host that the collector reads",
  ["collector"],
);

export const NVME_DEVICE_ERRORS = counter(
  "plumbline_nvme_device_errors_total",
  "Faults met with an NVMe controller, at most one of each reason a scrape; the log says more",
  ["collector", "device", "reason"],
);

/** What one scrape learned of one controller. */
export interface Reading {
  readonly controller: Controller;
  /** False where the controller turned out not to be one for this collector. */
  readonly matches: boolean;
  /** Whether it could not be read. A device that does not have the page has not failed. */
  readonly failed: boolean;
  /** At most one of each reason. */
  readonly problems: readonly Problem[];
  /** For people: what was read, such as "SMART log page". */
  readonly pages: readonly string[];
}

export interface Reader<Seen extends Reading> {
  readonly name: string;
  /** What the controllers are that this collector looks for, in the plural: "EBS volumes". */
  readonly subject: string;
  /** Those worth asking, judged by sysfs alone. */
  candidates(controllers: readonly Controller[]): readonly Controller[];
  read(controller: Controller, context: ScrapeContext): Promise<Seen>;
  /** Pure. */
  addSamples(samples: Samples, seen: Seen): void;
  /** What `check` says where there is no candidate, unless that is as it may be. */
  readonly whenNone?: Finding;
}

export function createCollector<Seen extends Reading>(
  reader: Reader<Seen>,
  devices: Devices,
  faults: DeviceFaults,
): Collector {
  const readAll = (controllers: readonly Controller[], context: ScrapeContext) =>
    Promise.all(reader.candidates(controllers).map((controller) => reader.read(controller, context)));

  return {
    name: reader.name,

    async collect(context): Promise<Collection> {
      const readings = await readAll(list(devices, faults), context);
      if (!isAbandoned(context)) record(readings, faults);
      const matching = readings.filter((reading) => reading.matches);
      const samples = new Samples();
      for (const reading of matching) reader.addSamples(samples, reading);
      samples.add(NVME_DEVICES, { collector: reader.name }, matching.length);
      const success = matching.length === 0 || matching.some((reading) => !reading.failed);
      return { samples, success };
    },

    async check(context): Promise<Finding[]> {
      let controllers: readonly Controller[];
      try {
        controllers = devices.list();
      } catch (error) {
        return [
          { level: "error", subject: "NVMe controllers", message: messageOf(error), remedy: LIST_REMEDY },
        ];
      }
      const readings = await readAll(controllers, context);
      if (readings.length === 0) {
        const message = `none among the ${controllers.length} NVMe controllers of this host`;
        return [reader.whenNone ?? { level: "ok", subject: reader.subject, message }];
      }
      return readings.flatMap(findings);
    },
  };
}

const LIST_REMEDY = "let plumbline read class/nvme under --path.sysfs";

/** Throws where the controllers cannot be listed, after it has recorded so. */
function list(devices: Devices, faults: DeviceFaults): Controller[] {
  try {
    return devices.list();
  } catch (error) {
    // No device can be named: the label is empty, as if it were absent.
    faults.record("", "listing", `${messageOf(error)}; ${LIST_REMEDY}`);
    faults.settle();
    throw error;
  }
}

/** Whoever asked has gone before the deadline: devices that were not asked any more have no fault, nor lost one. */
const isAbandoned = ({ signal, deadline }: ScrapeContext): boolean =>
  signal.aborted && performance.now() < deadline;

function record(readings: readonly Reading[], faults: DeviceFaults): void {
  for (const { controller, problems } of readings) {
    for (const { reason, detail, remedy } of problems) {
      faults.record(controller.name, reason, remedy === undefined ? detail : `${detail}; ${remedy}`);
    }
  }
  faults.settle();
}

function findings({ controller, matches, failed, problems, pages }: Reading): Finding[] {
  const subject = `${controller.name} (${controller.model || "no model"}, serial ${controller.serial || "unknown"})`;
  const found: Finding[] = problems.map(({ detail, remedy }) => ({
    level: failed && matches ? "error" : "warning",
    subject,
    message: detail,
    ...(remedy !== undefined && { remedy }),
  }));
  if (pages.length > 0) found.unshift({ level: "ok", subject, message: `read: ${pages.join(", ")}` });
  if (found.length === 0) found.push({ level: "ok", subject, message: "has none of the pages" });
  return found;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
