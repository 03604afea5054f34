/** NVMe devices in memory, for the tests of what stands above the ioctl seam: answers by controller and page. */
import type { ScrapeContext } from "../../src/metrics/collector.ts";
import { isStates } from "../../src/metrics/families.ts";
import type { HistogramValue, Samples, Value } from "../../src/metrics/samples.ts";
import type {
  AdminCommand,
  Answer,
  Controller,
  DeviceFaults,
  Devices,
  Namespace,
  Page,
  Reason,
} from "../../src/nvme/model.ts";

type Given = Uint8Array | Exclude<Answer, { readonly kind: "page" }>;

/** What is not given is a page that the device is known not to have. */
export class FakeDevices implements Devices {
  controllers: Controller[];
  /** Every command that reached a device, in order. */
  readonly asked: { readonly controller: string; readonly command: AdminCommand }[] = [];
  /** The time of the next readings. */
  now = 1000;
  readonly #answers = new Map<string, Given>();

  constructor(...controllers: Controller[]) {
    this.controllers = controllers;
  }

  /** `page` may be followed by an nsid: `identify_namespace 2`. */
  answer(controller: string, page: Page | `identify_namespace ${number}`, given: Given): this {
    this.#answers.set(`${controller} ${page}`, given);
    return this;
  }

  list(): Controller[] {
    return this.controllers;
  }

  async ask(controller: Controller, command: AdminCommand, _context: ScrapeContext): Promise<Answer> {
    this.asked.push({ controller: controller.name, command });
    const given =
      this.#answers.get(`${controller.name} ${command.page} ${command.nsid}`) ??
      this.#answers.get(`${controller.name} ${command.page}`);
    if (given === undefined) return { kind: "known_unsupported" };
    return given instanceof Uint8Array ? { kind: "page", bytes: given, readAt: this.now } : given;
  }

  /** Pages asked of a controller, in order. */
  pagesAsked(controller: string): Page[] {
    return this.asked
      .filter((question) => question.controller === controller)
      .map((question) => question.command.page);
  }
}

/** Devices whose list cannot be read. */
export const unlistableDevices = (message: string): Devices => ({
  list: () => {
    throw new Error(message);
  },
  ask: () => {
    throw new Error("nothing may be asked");
  },
});

export class RecordedFaults implements DeviceFaults {
  readonly recorded: { readonly device: string; readonly reason: Reason; readonly detail: string }[] = [];
  settled = 0;

  record(device: string, reason: Reason, detail: string): void {
    this.recorded.push({ device, reason, detail });
  }

  settle(): void {
    this.settled++;
  }

  /** `nvme0 timeout`, in order. */
  get reasons(): string[] {
    return this.recorded.map(({ device, reason }) => `${device} ${reason}`);
  }
}

export const controllerOf = (name: string, facts: Partial<Controller> = {}): Controller => ({
  name,
  model: "Plumb Bob 9000",
  serial: `SN-${name}`,
  firmware: "1.0",
  transport: "pcie",
  subsystemNqn: `nqn.2014.08.org.nvmexpress:uuid:${name}`,
  state: "live",
  dev: "241:0",
  namespaces: [],
  ...facts,
});

export const namespaceOf = (path: string, facts: Partial<Namespace> = {}): Namespace => ({
  path,
  name: path.replace(/c\d+/, ""),
  nsid: 1,
  sizeBytes: 107374182400n,
  logicalBlockSizeBytes: 512,
  usedBlocks: undefined,
  anaState: undefined,
  ...facts,
});

export const ebsController = (name: string, facts: Partial<Controller> = {}): Controller =>
  controllerOf(name, {
    model: "Amazon Elastic Block Store",
    serial: "vol0123456789abcdef0",
    namespaces: [namespaceOf(`${name}n1`)],
    ...facts,
  });

export const instanceStoreController = (name: string, facts: Partial<Controller> = {}): Controller =>
  controllerOf(name, {
    model: "Amazon EC2 NVMe Instance Storage",
    serial: "AWS6AAAABBBBCCCC1",
    namespaces: [namespaceOf(`${name}n1`)],
    ...facts,
  });

export const scrapeContext = (): ScrapeContext => ({
  signal: new AbortController().signal,
  deadline: performance.now() + 10_000,
});

/** Every series by `name{label="value",…}`, labels in the order of the descriptor, absent ones left out. */
export function seriesOf(samples: Samples): Map<string, Value | HistogramValue> {
  const series = new Map<string, Value | HistogramValue>();
  for (const { descriptor, labels, values } of samples.families.values()) {
    values.forEach((value, i) => {
      if (isStates(value)) throw new Error(`${descriptor.name} has states`);
      const pairs = descriptor.labels
        .filter((label) => labels[i]?.[label] !== undefined)
        .map((label) => `${label}="${labels[i]?.[label]}"`);
      series.set(`${descriptor.name}{${pairs.join(",")}}`, value);
    });
  }
  return series;
}

export const familiesOf = (samples: Samples): string[] =>
  [...samples.families.keys()].map((descriptor) => descriptor.name).sort();
