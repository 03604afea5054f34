/**
 * What Prometheus knows every process by (`process_*`), read at each export. prom-client's own collectors leave
 * zeros where /proc cannot be read, and count CPU time only from when they were made.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Descriptor } from "./descriptor.ts";
import type { OwnMetrics } from "./own.ts";
import {
  PROCESS_CPU_SECONDS_TOTAL,
  PROCESS_MAX_FDS,
  PROCESS_OPEN_FDS,
  PROCESS_RESIDENT_MEMORY_BYTES,
  PROCESS_START_TIME_SECONDS,
  PROCESS_VIRTUAL_MEMORY_BYTES,
} from "./own-descriptors.ts";

/** Registers the metrics of this process; one that cannot be read (Deno asks for a permission) is not exported. */
export function observeProcess(own: OwnMetrics, self = "/proc/self"): void {
  own.counter(PROCESS_CPU_SECONDS_TOTAL, (counter) => {
    const { user, system } = process.cpuUsage();
    counter.reset();
    counter.inc((user + system) / 1e6);
  });
  observe(own, PROCESS_RESIDENT_MEMORY_BYTES, () => kibibytes(`${self}/status`, "VmRSS") * 1024);
  observe(own, PROCESS_VIRTUAL_MEMORY_BYTES, () => kibibytes(`${self}/status`, "VmSize") * 1024);
  // Reading the directory takes a descriptor itself.
  observe(own, PROCESS_OPEN_FDS, () => readdirSync(`${self}/fd`).length - 1);
  observe(own, PROCESS_MAX_FDS, () => openFilesLimit(`${self}/limits`));
  observe(own, PROCESS_START_TIME_SECONDS, () => Math.round(performance.timeOrigin) / 1000);
}

function observe(own: OwnMetrics, descriptor: Descriptor<never, "gauge">, read: () => number): void {
  own.gauge(descriptor, (gauge) => {
    const value = attempt(read);
    if (Number.isFinite(value)) gauge.set(value);
    else gauge.remove();
  });
}

function attempt(read: () => number): number {
  try {
    return read();
  } catch {
    return Number.NaN;
  }
}

/** A line of /proc/PID/status: `VmRSS:     51234 kB` */
function kibibytes(path: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(readFileSync(path, "latin1"))?.[1]);
}

/** The soft limit in /proc/PID/limits: `Max open files   1024   1048576   files` */
function openFilesLimit(path: string): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync(path, "latin1"))?.[1]);
}
