/** An inspection as text for people: values with their units, histograms as bars, pages in hexadecimal. Pure. */

import type { Inspection, RawPage } from "./inspection.ts";
import { PAGE_NAMES } from "./interview.ts";
import type { Controller } from "./model.ts";
import { celsiusOf } from "./nvme.ts";
import type { AmazonStatistics, LatencyHistogram, SizeBand } from "./pages/amazon.ts";
import { AMAZON_VENDOR_ID, type IdentifyController } from "./pages/identify-controller.ts";
import { isPrintable } from "./pages/layout.ts";
import { CRITICAL_WARNINGS, type SmartLog } from "./pages/smart.ts";

type Row = readonly [label: string, value: string | undefined];

const BAR_WIDTH = 40;
/** Eighths of a character, from one to seven. */
const PARTS = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Ends in a newline. */
export function inspectionTable(inspection: Inspection): string {
  const { controller, identity, smart, ebs, instanceStore } = inspection;
  const sections = [
    section(controller.name, controllerRows(controller, identity)),
    ...namespaceSections(inspection),
    ...(smart === undefined ? [] : [section("SMART", smartRows(smart))]),
    ...(ebs === undefined ? [] : statisticsSections("EBS volume", ebs, EBS_LIMITS)),
    ...(instanceStore === undefined
      ? []
      : [
          ...statisticsSections("Instance-store volume", instanceStore.statistics, INSTANCE_STORE_LIMITS),
          ...instanceStore.bands.flatMap(bandSections),
        ]),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** The pages as `hexdump -C` shows them. Ends in a newline. */
export function inspectionDump(pages: readonly RawPage[]): string {
  return pages
    .map(({ command, bytes }) => {
      const of = command.page === "identify_namespace" ? ` of nsid ${command.nsid}` : "";
      return `${PAGE_NAMES[command.page]}${of}, ${bytes.length} bytes\n${dump(bytes)}\n`;
    })
    .join("\n");
}

function section(title: string, rows: readonly Row[]): string {
  const known = rows.filter((row): row is readonly [string, string] => row[1] !== undefined && row[1] !== "");
  const width = Math.max(...known.map(([label]) => label.length));
  return [title, ...known.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join("\n");
}

function controllerRows(controller: Controller, identity: IdentifyController | undefined): Row[] {
  return [
    ["Model", controller.model],
    ["Serial number", controller.serial],
    ["Firmware", controller.firmware],
    ["State", controller.state],
    ["Transport", controller.transport],
    ["Subsystem", controller.subsystemNqn],
    ["Device number", controller.dev],
    ["PCI vendor", identity && vendor(identity.vendorId)],
    ["Block device mapping", identity?.mapping],
    ["Warning temperature", identity && temperature(identity.warningTemperatureKelvin)],
    ["Critical temperature", identity && temperature(identity.criticalTemperatureKelvin)],
    ["Total capacity", identity && capacity(identity.totalCapacityBytes)],
    ["Unallocated capacity", identity && capacity(identity.unallocatedCapacityBytes)],
  ];
}

function namespaceSections({ controller, namespaces }: Inspection): string[] {
  return controller.namespaces.map((namespace) => {
    const identified = namespaces.get(namespace.nsid);
    const blockSize = namespace.logicalBlockSizeBytes ?? identified?.logicalBlockSizeBytes;
    const inBytes = (blocks: bigint | undefined) =>
      blocks === undefined || blockSize === undefined ? undefined : bytesText(blocks * BigInt(blockSize));
    return section(`Namespace ${namespace.name}`, [
      ["Namespace identifier", `${namespace.nsid}`],
      ["Path", namespace.path],
      ["ANA state", namespace.anaState],
      ["Size", namespace.sizeBytes === undefined ? undefined : bytesText(namespace.sizeBytes)],
      ["Capacity", inBytes(identified?.capacityBlocks)],
      ["Used", inBytes(namespace.usedBlocks ?? identified?.usedBlocks)],
      ["Logical block", blockSize === undefined ? undefined : `${blockSize} bytes`],
    ]);
  });
}

function smartRows(smart: SmartLog): Row[] {
  const warnings = CRITICAL_WARNINGS.filter((_, bit) => (smart.criticalWarning >> bit) & 1);
  return [
    ["Critical warning", warnings.length === 0 ? `${smart.criticalWarning}` : warnings.join(", ")],
    ["Temperature", temperature(smart.temperatureKelvin)],
    ...smart.sensorsKelvin.map((kelvin, i): Row => [`Temperature sensor ${i + 1}`, temperature(kelvin)]),
    ["Available spare", ratio(smart.availableSparePercent)],
    ["Available spare threshold", ratio(smart.availableSpareThresholdPercent)],
    ["Life used", ratio(smart.usedPercent)],
    ["Data read", bytesText(smart.dataUnitsRead * 512_000n)],
    ["Data written", bytesText(smart.dataUnitsWritten * 512_000n)],
    ["Read commands", grouped(smart.hostReadCommands)],
    ["Write commands", grouped(smart.hostWriteCommands)],
    ["Controller busy", `${grouped(smart.controllerBusyMinutes)} min`],
    ["Power cycles", grouped(smart.powerCycles)],
    ["Powered on", `${grouped(smart.powerOnHours)} h`],
    ["Unsafe shutdowns", grouped(smart.unsafeShutdowns)],
    ["Media errors", grouped(smart.mediaErrors)],
    ["Error log entries", grouped(smart.errorLogEntries)],
    ["Above warning temperature", `${smart.warningTemperatureMinutes} min`],
    ["Above critical temperature", `${smart.criticalTemperatureMinutes} min`],
    ["Thermal management 1", throttled(smart.thermalManagement1Transitions, smart.thermalManagement1Seconds)],
    ["Thermal management 2", throttled(smart.thermalManagement2Transitions, smart.thermalManagement2Seconds)],
  ];
}

type Limits = (statistics: AmazonStatistics) => Row[];

const EBS_LIMITS: Limits = (statistics) => [
  ["Volume IOPS exceeded", duration(statistics.volumeIopsExceededUs)],
  ["Volume throughput exceeded", duration(statistics.volumeThroughputExceededUs)],
  ["Instance IOPS exceeded", duration(statistics.instanceIopsExceededUs)],
  ["Instance throughput exceeded", duration(statistics.instanceThroughputExceededUs)],
];

const INSTANCE_STORE_LIMITS: Limits = (statistics) => [
  ["IOPS exceeded", duration(statistics.instanceIopsExceededUs)],
  ["Throughput exceeded", duration(statistics.instanceThroughputExceededUs)],
];

function statisticsSections(title: string, statistics: AmazonStatistics, limits: Limits): string[] {
  return [
    section(title, [
      ["Page version", `${statistics.version}`],
      ["Read operations", grouped(statistics.readOps)],
      ["Write operations", grouped(statistics.writeOps)],
      ["Data read", bytesText(statistics.readBytes)],
      ["Data written", bytesText(statistics.writeBytes)],
      ["Read time", duration(statistics.readTimeUs)],
      ["Write time", duration(statistics.writeTimeUs)],
      ...limits(statistics),
      ["Queue length", grouped(statistics.queueLength)],
    ]),
    ...histogramSections("Read latency", statistics.readLatency),
    ...histogramSections("Write latency", statistics.writeLatency),
  ];
}

function bandSections({ sizeBound, readLatency, writeLatency }: SizeBand): string[] {
  const sizes = Number.isFinite(sizeBound) ? `I/O up to ${grouped(BigInt(sizeBound))} bytes` : "larger I/O";
  return [
    ...histogramSections(`Read latency, ${sizes}`, readLatency),
    ...histogramSections(`Write latency, ${sizes}`, writeLatency),
  ];
}

/** From the first to the last bin that is not empty. */
function histogramSections(title: string, histogram: LatencyHistogram | undefined): string[] {
  if (histogram === undefined) return [];
  const first = histogram.findIndex((bin) => bin.count > 0n);
  if (first === -1) return [`${title}\n  no operations`];
  const last = histogram.findLastIndex((bin) => bin.count > 0n);
  const bins = histogram.slice(first, last + 1);
  const largest = Math.max(...bins.map((bin) => Number(bin.count)));
  const total = bins.reduce((sum, bin) => sum + bin.count, 0n);
  const rows = bins.map((bin, i): readonly [string, string, string] => [
    first + i === histogram.length - 1 ? `> ${duration(bin.lowerUs)}` : `≤ ${duration(bin.upperUs)}`,
    grouped(bin.count),
    bar(Number(bin.count) / largest),
  ]);
  const bounds = Math.max(...rows.map(([bound]) => bound.length));
  const counts = Math.max(...rows.map(([, count]) => count.length));
  return [
    [
      `${title}, ${grouped(total)} operations`,
      ...rows.map(([bound, count, drawn]) =>
        `  ${bound.padStart(bounds)}  ${count.padStart(counts)}  ${drawn}`.trimEnd(),
      ),
    ].join("\n"),
  ];
}

/** Whatever is not nothing can be seen. */
function bar(share: number): string {
  const eighths = share === 0 ? 0 : Math.max(1, Math.round(share * BAR_WIDTH * 8));
  return "█".repeat(Math.floor(eighths / 8)) + (PARTS[(eighths % 8) - 1] ?? "");
}

const vendor = (id: number): string =>
  `0x${id.toString(16).padStart(4, "0")}${id === AMAZON_VENDOR_ID ? " (Amazon)" : ""}`;

const temperature = (kelvin: number): string | undefined =>
  kelvin === 0 ? undefined : `${celsiusOf(kelvin)} °C`;

const ratio = (percent: number): string => `${percent / 100}`;

const throttled = (transitions: number, seconds: number): string =>
  `${grouped(BigInt(transitions))} times, ${grouped(BigInt(seconds))} s`;

const capacity = (bytes: bigint): string | undefined => (bytes === 0n ? undefined : bytesText(bytes));

/** `2.00 TB (2001111162880 bytes)` */
function bytesText(bytes: bigint): string {
  const units = ["kB", "MB", "GB", "TB", "PB", "EB"];
  if (bytes < 1000n) return `${bytes} bytes`;
  let scaled = Number(bytes) / 1000;
  let unit = 0;
  while (scaled >= 999.995 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled.toFixed(2)} ${units[unit]} (${bytes} bytes)`;
}

/** With every digit: `512 µs`, `1.024 ms`, `67.108864 s`. */
function duration(us: bigint): string {
  if (us < 1000n) return `${us} µs`;
  return us < 1_000_000n ? `${Number(us) / 1e3} ms` : `${Number(us) / 1e6} s`;
}

const grouped = (count: bigint): string => count.toString().replace(/\B(?=(\d{3})+$)/g, ",");

function dump(bytes: Uint8Array): string {
  const lines: string[] = [];
  let previous = "";
  let repeating = false;
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = bytes.subarray(offset, offset + 16);
    const hexadecimal = [...row].map((byte) => byte.toString(16).padStart(2, "0"));
    const line = hexadecimal.join(" ");
    if (line === previous && offset + 16 < bytes.length) {
      if (!repeating) lines.push("*");
      repeating = true;
      continue;
    }
    previous = line;
    repeating = false;
    const halves = `${hexadecimal.slice(0, 8).join(" ")}  ${hexadecimal.slice(8).join(" ")}`;
    const characters = [...row].map((byte) => (isPrintable(byte) ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${offset.toString(16).padStart(8, "0")}  ${halves.padEnd(48)}  |${characters}|`);
  }
  return lines.join("\n");
}
