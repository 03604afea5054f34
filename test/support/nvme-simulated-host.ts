/** A temporary simulated host, and devices in front of it that are asked through real Workers. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildHost, type ControllerDescription, type HostDescription } from "../../src/demo/nvme-host.ts";
import { type RecordedAnswer, recordPage } from "../../src/demo/nvme-recording.ts";
import { FaultLog } from "../../src/log/faults.ts";
import type { LogFields } from "../../src/log/log.ts";
import type { ScrapeContext } from "../../src/metrics/collector.ts";
import { type DevicesOptions, NvmeDevices } from "../../src/nvme/devices.ts";
import { WorkerPool } from "../../src/nvme/worker-pool.ts";

export const HANGING_WORKER = new URL("./nvme-hanging-worker.ts", import.meta.url);

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

export class RecordedLog {
  readonly lines: LogLine[] = [];
  readonly debug = this.#level("debug");
  readonly info = this.#level("info");
  readonly warn = this.#level("warn");
  readonly error = this.#level("error");

  #level(level: string) {
    return (message: string, fields: LogFields = {}): void => {
      this.lines.push({ level, message, fields });
    };
  }
}

export interface Command {
  readonly at: number;
  readonly dev: string;
  readonly opcode: number;
  readonly nsid: number;
  readonly cdw10: number;
}

export class SimulatedHost {
  readonly directory = mkdtempSync(join(tmpdir(), "plumbline-nvme-"));
  readonly sysfs: string;
  readonly devfs: string;
  readonly log = new RecordedLog();
  readonly pool: WorkerPool;
  readonly #commandLog: string;

  constructor(controllers: readonly ControllerDescription[], host: Partial<HostDescription> = {}) {
    const built = buildHost(this.directory, { controllers, logCommands: true, ...host });
    this.sysfs = built.sysfs;
    this.devfs = built.devfs;
    this.#commandLog = built.commandLog;
    this.pool = new WorkerPool(HANGING_WORKER, new FaultLog(this.log));
  }

  devices(options: Partial<DevicesOptions> = {}): NvmeDevices {
    return new NvmeDevices({ sysfs: this.sysfs, devfs: this.devfs, pool: this.pool, ...options });
  }

  commands(): Command[] {
    if (!existsSync(this.#commandLog)) return [];
    // A worker may be writing: what stands behind the last line's end is not whole.
    const lines = readFileSync(this.#commandLog, "utf8").split("\n").slice(0, -1);
    return lines.map((line): Command => JSON.parse(line));
  }

  /** Whatever is asked of this controller from now on hangs, until `release`. */
  hang(controller: string): void {
    writeFileSync(join(this.devfs, `${controller}.hang`), "");
  }

  release(controller: string): void {
    rmSync(join(this.devfs, `${controller}.hang`));
  }

  /** Changes a file of a controller in sysfs. */
  write(file: string, text: string): void {
    writeFileSync(join(this.sysfs, "class/nvme", file), text);
  }

  close(): void {
    this.pool.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A scrape that has so much time. */
export const scrapeOf = (timeoutMs: number, signal = new AbortController().signal): ScrapeContext => ({
  signal,
  deadline: performance.now() + timeoutMs,
});

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function waitUntil(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await wait(5);
  }
  throw new Error("what was waited for did not come");
}

/** One drive with one namespace; answers SMART with 314 K and refuses the rest, unless told otherwise. */
export function drive(number: number, changes: Partial<ControllerDescription> = {}): ControllerDescription {
  const name = `nvme${number}`;
  return {
    name,
    model: "Plumb Drive",
    serial: `PL${number}`,
    firmware: "1.0",
    namespaces: [{ name: `${name}n1`, nsid: 1, blocks: 1000n }],
    answers: [SMART_ANSWER],
    ...changes,
  };
}

const smart = new Uint8Array(512);
new DataView(smart.buffer).setUint16(1, 314, true);

export const SMART_ANSWER: RecordedAnswer = {
  opcode: "get_log_page",
  page: 2,
  reply: { kind: "page", page: recordPage(smart) },
};

export const smartReply = (reply: RecordedAnswer["reply"]): RecordedAnswer => ({ ...SMART_ANSWER, reply });
