/** Collector `nvme`: health, wear, temperature and namespaces of every NVMe controller, whoever made it. */
import type { Collector, CollectorDescription, ScrapeContext } from "../metrics/collector.ts";
import { counter, gauge } from "../metrics/descriptor.ts";
import type { Samples } from "../metrics/samples.ts";
import { identifyController, identifyNamespace, smartLog } from "./commands.ts";
import { Interview } from "./interview.ts";
import type { Controller, DeviceFaults, Devices, Namespace } from "./model.ts";
import { decodeIdentifyController, type IdentifyController } from "./pages/identify-controller.ts";
import { decodeIdentifyNamespace, type IdentifyNamespace } from "./pages/identify-namespace.ts";
import { CRITICAL_WARNINGS, decodeSmart, type SmartLog } from "./pages/smart.ts";
import { createCollector, NVME_DEVICE_ERRORS, NVME_DEVICES, type Reading } from "./shared.ts";

const NAME = "nvme";

/** Of more namespaces than this only the lowest are asked; each costs a command. */
const MAX_IDENTIFIED_NAMESPACES = 64;

const DEVICE = ["device"] as const;
const NAMESPACE = ["device", "namespace", "nsid"] as const;

const INFO = gauge(
  "nvme_info",
  "What the NVMe controller is and its state as the kernel sees it (live, connecting, resetting …); always 1",
  ["device", "model", "serial", "firmware", "transport", "subsystem_nqn", "state"],
);
const ACCESSIBLE = gauge(
  "nvme_device_accessible",
  "Whether the SMART log page of the controller was read (1) or not (0)",
  DEVICE,
);

const CRITICAL_WARNING = gauge(
  "nvme_critical_warning",
  "Critical warnings as the bit field of the SMART log page; 0 is none",
  DEVICE,
);
const WARNING_HELP: Readonly<Record<(typeof CRITICAL_WARNINGS)[number], string>> = {
  available_spare: "Whether the available spare is below its threshold (critical warning bit 0)",
  temperature:
    "Whether a temperature is at or above an over-threshold or below an under-threshold (critical warning bit 1)",
  reliability: "Whether media or internal errors have degraded the reliability (critical warning bit 2)",
  read_only: "Whether the media are in read-only mode (critical warning bit 3)",
  volatile_backup: "Whether the backup of the volatile memory has failed (critical warning bit 4)",
  persistent_memory:
    "Whether the persistent memory region is read-only or unreliable (critical warning bit 5)",
};
const CRITICAL_WARNING_BITS = CRITICAL_WARNINGS.map((name) =>
  gauge(`nvme_critical_warning_${name}`, WARNING_HELP[name], DEVICE),
);

const TEMPERATURE = gauge(
  "nvme_temperature_celsius",
  "Composite temperature of the controller in degrees Celsius",
  DEVICE,
);
const SENSOR_TEMPERATURE = gauge(
  "nvme_temperature_sensor_celsius",
  "Temperature of one sensor of the controller in degrees Celsius",
  ["device", "sensor"],
);
const AVAILABLE_SPARE = gauge(
  "nvme_available_spare_ratio",
  "Spare capacity that is left, as a share of 1",
  DEVICE,
);
const AVAILABLE_SPARE_THRESHOLD = gauge(
  "nvme_available_spare_threshold_ratio",
  "Spare capacity below which the controller warns, as a share of 1",
  DEVICE,
);
const PERCENTAGE_USED = gauge(
  "nvme_percentage_used_ratio",
  "The vendor's estimate of the life used; 1 is the endurance it was made for, and it goes on to 2.55",
  DEVICE,
);
const DATA_UNITS_READ = counter(
  "nvme_data_units_read_total",
  "Data read by the host, in units of 512000 bytes",
  DEVICE,
);
const DATA_UNITS_WRITTEN = counter(
  "nvme_data_units_written_total",
  "Data written by the host, in units of 512000 bytes",
  DEVICE,
);
const HOST_READ_COMMANDS = counter("nvme_host_read_commands_total", "Read commands completed", DEVICE);
const HOST_WRITE_COMMANDS = counter("nvme_host_write_commands_total", "Write commands completed", DEVICE);
const CONTROLLER_BUSY_TIME = counter(
  "nvme_controller_busy_time_seconds_total",
  "Time in which the controller was busy with I/O commands in seconds, counted by the device in minutes",
  DEVICE,
);
const POWER_CYCLES = counter("nvme_power_cycles_total", "Power cycles", DEVICE);
const POWER_ON_HOURS = counter("nvme_power_on_hours_total", "Time powered on in hours", DEVICE);
const UNSAFE_SHUTDOWNS = counter(
  "nvme_unsafe_shutdowns_total",
  "Losses of power without a shutdown notification before",
  DEVICE,
);
const MEDIA_ERRORS = counter(
  "nvme_media_errors_total",
  "Unrecovered data integrity errors: ECC, CRC or LBA tag mismatch",
  DEVICE,
);
const ERROR_LOG_ENTRIES = counter(
  "nvme_num_err_log_entries_total",
  "Entries written to the error information log over the life of the controller",
  DEVICE,
);
const WARNING_TEMPERATURE_TIME = counter(
  "nvme_warning_temperature_time_seconds_total",
  "Time at or above the warning temperature in seconds, counted by the device in minutes",
  DEVICE,
);
const CRITICAL_TEMPERATURE_TIME = counter(
  "nvme_critical_temperature_time_seconds_total",
  "Time at or above the critical temperature in seconds, counted by the device in minutes",
  DEVICE,
);
const THERMAL_1_TRANSITIONS = counter(
  "nvme_thermal_mgmt_t1_transitions_total",
  "Times that the controller went into a lower power state with little effect on its performance, to cool",
  DEVICE,
);
const THERMAL_2_TRANSITIONS = counter(
  "nvme_thermal_mgmt_t2_transitions_total",
  "Times that the controller went into a lower power state whatever the effect on its performance, to cool",
  DEVICE,
);
const THERMAL_1_TIME = counter(
  "nvme_thermal_mgmt_t1_time_seconds_total",
  "Time in a lower power state with little effect on performance, to cool, in seconds",
  DEVICE,
);
const THERMAL_2_TIME = counter(
  "nvme_thermal_mgmt_t2_time_seconds_total",
  "Time in a lower power state whatever the effect on performance, to cool, in seconds",
  DEVICE,
);

const WARNING_TEMPERATURE_THRESHOLD = gauge(
  "nvme_warning_temperature_threshold_celsius",
  "Composite temperature from which the controller warns, in degrees Celsius",
  DEVICE,
);
const CRITICAL_TEMPERATURE_THRESHOLD = gauge(
  "nvme_critical_temperature_threshold_celsius",
  "Composite temperature from which the controller may stop to protect itself, in degrees Celsius",
  DEVICE,
);
const TOTAL_CAPACITY = gauge(
  "nvme_total_capacity_bytes",
  "NVM capacity of the controller's subsystem in bytes",
  DEVICE,
);
const UNALLOCATED_CAPACITY = gauge(
  "nvme_unallocated_capacity_bytes",
  "NVM capacity that belongs to no namespace, in bytes",
  DEVICE,
);

const NAMESPACE_INFO = gauge(
  "nvme_namespace_info",
  "A path from a controller to a namespace and its ANA state (optimized, non-optimized, inaccessible …); always 1",
  ["device", "namespace", "path", "nsid", "ana_state"],
);
const NAMESPACE_SIZE = gauge(
  "nvme_namespace_size_bytes",
  "Size of the namespace in bytes; the same on each of its paths",
  NAMESPACE,
);
const NAMESPACE_CAPACITY = gauge(
  "nvme_namespace_capacity_bytes",
  "Bytes of the namespace that may be allocated at one time; the same on each of its paths",
  NAMESPACE,
);
const NAMESPACE_USED = gauge(
  "nvme_namespace_used_bytes",
  "Bytes of the namespace that are allocated now; the same on each of its paths",
  NAMESPACE,
);
const NAMESPACE_BLOCK_SIZE = gauge(
  "nvme_namespace_logical_block_size_bytes",
  "Size of a logical block of the namespace in bytes",
  NAMESPACE,
);

export const NVME: CollectorDescription = {
  name: NAME,
  help: "Health, wear, temperature and namespaces of NVMe controllers",
  descriptors: [
    INFO,
    ACCESSIBLE,
    CRITICAL_WARNING,
    ...CRITICAL_WARNING_BITS,
    TEMPERATURE,
    SENSOR_TEMPERATURE,
    AVAILABLE_SPARE,
    AVAILABLE_SPARE_THRESHOLD,
    PERCENTAGE_USED,
    DATA_UNITS_READ,
    DATA_UNITS_WRITTEN,
    HOST_READ_COMMANDS,
    HOST_WRITE_COMMANDS,
    CONTROLLER_BUSY_TIME,
    POWER_CYCLES,
    POWER_ON_HOURS,
    UNSAFE_SHUTDOWNS,
    MEDIA_ERRORS,
    ERROR_LOG_ENTRIES,
    WARNING_TEMPERATURE_TIME,
    CRITICAL_TEMPERATURE_TIME,
    THERMAL_1_TRANSITIONS,
    THERMAL_2_TRANSITIONS,
    THERMAL_1_TIME,
    THERMAL_2_TIME,
    WARNING_TEMPERATURE_THRESHOLD,
    CRITICAL_TEMPERATURE_THRESHOLD,
    TOTAL_CAPACITY,
    UNALLOCATED_CAPACITY,
    NAMESPACE_INFO,
    NAMESPACE_SIZE,
    NAMESPACE_CAPACITY,
    NAMESPACE_USED,
    NAMESPACE_BLOCK_SIZE,
    NVME_DEVICES,
    NVME_DEVICE_ERRORS,
  ],
};

export interface NvmeReading extends Reading {
  /** Whether the SMART log page was read; one without contents was read too. */
  readonly accessible: boolean;
  readonly smart: SmartLog | undefined;
  readonly identity: IdentifyController | undefined;
  /** By nsid. */
  readonly namespaces: ReadonlyMap<number, IdentifyNamespace>;
}

export function createNvmeCollector(devices: Devices, faults: DeviceFaults): Collector {
  return createCollector<NvmeReading>(
    {
      name: NAME,
      subject: "NVMe controllers",
      candidates: (controllers) => controllers,
      read: (controller, context) => readNvme(controller, devices, context),
      addSamples: addNvmeSamples,
    },
    devices,
    faults,
  );
}

/** Never rejects. */
export async function readNvme(
  controller: Controller,
  devices: Devices,
  context: ScrapeContext,
): Promise<NvmeReading> {
  const interview = new Interview(devices, controller, context);
  const smart = await interview.ask(smartLog(), decodeSmart);
  const identity = await interview.ask(identifyController(), decodeIdentifyController);
  const namespaces = new Map<number, IdentifyNamespace>();
  // Every namespace is asked, because its capacity (NCAP) is nowhere in sysfs.
  for (const { nsid } of controller.namespaces.slice(0, MAX_IDENTIFIED_NAMESPACES)) {
    const namespace = await interview.ask(identifyNamespace(nsid), decodeIdentifyNamespace);
    if (namespace.kind === "page") namespaces.set(nsid, namespace.page);
  }
  if (controller.namespaces.length > MAX_IDENTIFIED_NAMESPACES) {
    interview.note({
      reason: "limit",
      detail:
        `it has ${controller.namespaces.length} namespaces, and only the ${MAX_IDENTIFIED_NAMESPACES} with the ` +
        "lowest nsids are asked to identify themselves; of the others there is what sysfs tells",
    });
  }
  return {
    controller,
    matches: true,
    failed: smart.kind === "failed",
    accessible: smart.kind === "page" || smart.kind === "empty",
    smart: smart.kind === "page" ? smart.page : undefined,
    identity: identity.kind === "page" ? identity.page : undefined,
    namespaces,
    problems: interview.problems,
    pages: interview.pages,
  };
}

/** Pure. */
export function addNvmeSamples(samples: Samples, reading: NvmeReading): void {
  const { controller } = reading;
  const device = { device: controller.name };
  samples.add(
    INFO,
    {
      device: controller.name,
      model: controller.model,
      serial: controller.serial,
      firmware: controller.firmware,
      transport: controller.transport,
      subsystem_nqn: controller.subsystemNqn,
      state: controller.state,
    },
    1,
  );
  samples.add(ACCESSIBLE, device, reading.accessible ? 1 : 0);
  if (reading.smart !== undefined) addSmart(samples, device, reading.smart);
  if (reading.identity !== undefined) addIdentity(samples, device, reading.identity);
  for (const namespace of controller.namespaces) {
    addNamespace(samples, controller.name, namespace, reading.namespaces.get(namespace.nsid));
  }
}

function addSmart(samples: Samples, device: { readonly device: string }, smart: SmartLog): void {
  samples.add(CRITICAL_WARNING, device, smart.criticalWarning);
  CRITICAL_WARNING_BITS.forEach((descriptor, bit) => {
    samples.add(descriptor, device, (smart.criticalWarning >> bit) & 1);
  });
  addTemperature(samples, TEMPERATURE, device, smart.temperatureKelvin);
  smart.sensorsKelvin.forEach((kelvin, i) => {
    addTemperature(samples, SENSOR_TEMPERATURE, { device: device.device, sensor: `${i + 1}` }, kelvin);
  });
  samples.add(AVAILABLE_SPARE, device, smart.availableSparePercent / 100);
  samples.add(AVAILABLE_SPARE_THRESHOLD, device, smart.availableSpareThresholdPercent / 100);
  samples.add(PERCENTAGE_USED, device, smart.usedPercent / 100);
  samples.add(DATA_UNITS_READ, device, smart.dataUnitsRead);
  samples.add(DATA_UNITS_WRITTEN, device, smart.dataUnitsWritten);
  samples.add(HOST_READ_COMMANDS, device, smart.hostReadCommands);
  samples.add(HOST_WRITE_COMMANDS, device, smart.hostWriteCommands);
  samples.add(CONTROLLER_BUSY_TIME, device, smart.controllerBusyMinutes * 60n);
  samples.add(POWER_CYCLES, device, smart.powerCycles);
  samples.add(POWER_ON_HOURS, device, smart.powerOnHours);
  samples.add(UNSAFE_SHUTDOWNS, device, smart.unsafeShutdowns);
  samples.add(MEDIA_ERRORS, device, smart.mediaErrors);
  samples.add(ERROR_LOG_ENTRIES, device, smart.errorLogEntries);
  samples.add(WARNING_TEMPERATURE_TIME, device, smart.warningTemperatureMinutes * 60);
  samples.add(CRITICAL_TEMPERATURE_TIME, device, smart.criticalTemperatureMinutes * 60);
  samples.add(THERMAL_1_TRANSITIONS, device, smart.thermalManagement1Transitions);
  samples.add(THERMAL_2_TRANSITIONS, device, smart.thermalManagement2Transitions);
  samples.add(THERMAL_1_TIME, device, smart.thermalManagement1Seconds);
  samples.add(THERMAL_2_TIME, device, smart.thermalManagement2Seconds);
}

function addIdentity(
  samples: Samples,
  device: { readonly device: string },
  identity: IdentifyController,
): void {
  addTemperature(samples, WARNING_TEMPERATURE_THRESHOLD, device, identity.warningTemperatureKelvin);
  addTemperature(samples, CRITICAL_TEMPERATURE_THRESHOLD, device, identity.criticalTemperatureKelvin);
  addCapacity(samples, TOTAL_CAPACITY, device, identity.totalCapacityBytes);
  addCapacity(samples, UNALLOCATED_CAPACITY, device, identity.unallocatedCapacityBytes);
}

function addNamespace(
  samples: Samples,
  device: string,
  namespace: Namespace,
  identified: IdentifyNamespace | undefined,
): void {
  const nsid = `${namespace.nsid}`;
  const labels = { device, namespace: namespace.name, nsid };
  samples.add(NAMESPACE_INFO, { ...labels, path: namespace.path, ana_state: namespace.anaState }, 1);
  if (namespace.sizeBytes !== undefined) samples.add(NAMESPACE_SIZE, labels, namespace.sizeBytes);
  const blockSize = namespace.logicalBlockSizeBytes ?? identified?.logicalBlockSizeBytes;
  if (blockSize === undefined) return;
  samples.add(NAMESPACE_BLOCK_SIZE, labels, blockSize);
  const usedBlocks = namespace.usedBlocks ?? identified?.usedBlocks;
  if (usedBlocks !== undefined) samples.add(NAMESPACE_USED, labels, usedBlocks * BigInt(blockSize));
  if (identified !== undefined) {
    samples.add(NAMESPACE_CAPACITY, labels, identified.capacityBlocks * BigInt(blockSize));
  }
}

/** 0 K is "not reported". */
function addTemperature<Label extends string>(
  samples: Samples,
  descriptor: ReturnType<typeof gauge<readonly Label[]>>,
  labels: Readonly<Record<Label, string>>,
  kelvin: number,
): void {
  if (kelvin !== 0) samples.add(descriptor, labels, celsiusOf(kelvin));
}

/** In hundredths, so that 314 K is 40.85 °C and not 40.850000000000023. */
export const celsiusOf = (kelvin: number): number => (100 * kelvin - 27315) / 100;

/** 0 is "not reported". */
function addCapacity(
  samples: Samples,
  descriptor: typeof TOTAL_CAPACITY,
  device: { readonly device: string },
  bytes: bigint,
): void {
  if (bytes !== 0n) samples.add(descriptor, device, bytes);
}
