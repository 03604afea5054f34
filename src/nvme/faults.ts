/** The faults of one collector: each counts once a scrape, and is logged when it starts, lasts and ends. */
import type { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import type { DeviceFaults, Reason } from "./model.ts";
import { NVME_DEVICE_ERRORS } from "./shared.ts";

interface Fault {
  readonly device: string;
  readonly reason: Reason;
  /** What the log takes for one fault. */
  readonly key: string;
}

/** One fault in two stages: a command that is not answered, and the wait until the kernel has given it up. */
const HANG: ReadonlySet<Reason> = new Set(["timeout", "busy"]);

/** All that the device has to tell was read, and nothing can be done about the rest. */
const HARMLESS: ReadonlySet<Reason> = new Set(["empty_page", "limit"]);

export class CollectorFaults implements DeviceFaults {
  readonly #collector: string;
  readonly #own: OwnMetrics;
  readonly #log: Log;
  readonly #faultLog: FaultLog;
  /** Of the scrape before this one. */
  #lasting: readonly Fault[] = [];
  /** Of this scrape, by device and reason. */
  readonly #recorded = new Map<string, Fault>();

  constructor(collector: string, own: OwnMetrics, log: Log, faultLog: FaultLog) {
    this.#collector = collector;
    this.#own = own;
    // So that what an earlier run counted is shown from the first scrape on.
    own.counter(NVME_DEVICE_ERRORS);
    this.#log = log;
    this.#faultLog = faultLog;
  }

  record(device: string, reason: Reason, detail: string): void {
    const counted = `${device} ${reason}`;
    if (this.#recorded.has(counted)) return;
    const key = `nvme ${this.#collector} ${device} ${HANG.has(reason) ? "hang" : reason}`;
    const fault = { device, reason, key };
    this.#recorded.set(counted, fault);
    this.#own.counter(NVME_DEVICE_ERRORS).inc({ collector: this.#collector, device, reason });
    const fields = { ...this.#fields(fault), err: detail };
    // A device without a page is told of once: there is no end to it that one could wait for.
    if (reason === "unsupported_page") this.#log.info("an NVMe device does not have a page", fields);
    else this.#faultLog.fail(key, "fault on an NVMe device", fields, HARMLESS.has(reason) ? "info" : "error");
  }

  settle(): void {
    const recorded = [...this.#recorded.values()];
    const keys = new Set(recorded.map(({ key }) => key));
    for (const fault of this.#lasting) {
      if (keys.has(fault.key) || fault.reason === "unsupported_page") continue;
      this.#faultLog.recover(fault.key, "the fault on an NVMe device is over", this.#fields(fault));
    }
    this.#lasting = recorded;
    this.#recorded.clear();
  }

  #fields({ device, reason }: Fault) {
    // What concerns no device in particular, such as the listing, names none.
    return { collector: this.#collector, device: device === "" ? undefined : device, reason };
  }
}
