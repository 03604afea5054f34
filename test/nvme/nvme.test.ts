import { describe, expect, test } from "bun:test";
import { identifyController, identifyNamespace, smartPage } from "../../src/demo/nvme-pages.ts";
import type { Answer } from "../../src/nvme/model.ts";
import { createNvmeCollector, NVME } from "../../src/nvme/nvme.ts";
import {
  controllerOf,
  FakeDevices,
  familiesOf,
  namespaceOf,
  RecordedFaults,
  scrapeContext,
  seriesOf,
  unlistableDevices,
} from "../support/nvme-devices.ts";

const SMART = smartPage({
  criticalWarning: 0b100010,
  temperatureKelvin: 314,
  availableSparePercent: 98,
  availableSpareThresholdPercent: 10,
  usedPercent: 3,
  dataUnitsRead: 2n ** 64n + 1n,
  dataUnitsWritten: 2n,
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
  sensorsKelvin: [300, 0, 0, 0, 0, 0, 0, 308],
  thermalManagement1Transitions: 13,
  thermalManagement2Transitions: 14,
  thermalManagement1Seconds: 15,
  thermalManagement2Seconds: 16,
});
const IDENTITY = identifyController({
  warningTemperatureKelvin: 343,
  criticalTemperatureKelvin: 353,
  totalCapacityBytes: 2001111162880n,
});
const NAMESPACE = identifyNamespace({
  sizeBlocks: 488552530n,
  capacityBlocks: 488552530n,
  usedBlocks: 1000n,
  logicalBlockSizeBytes: 4096,
});

/** What there is of a controller without namespaces that cannot be asked. */
const SYSFS = ["nvme_device_accessible", "nvme_info", "plumbline_nvme_devices"];

async function scrape(devices: FakeDevices) {
  const faults = new RecordedFaults();
  const { samples, success } = await createNvmeCollector(devices, faults).collect(scrapeContext());
  return { samples, series: seriesOf(samples), success, faults };
}

describe("collector nvme", () => {
  test("gives every value of a healthy controller, in base units", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"))
      .answer("nvme0", "smart", SMART)
      .answer("nvme0", "identify_controller", IDENTITY);
    const { series, success, faults } = await scrape(devices);
    const d = 'device="nvme0"';
    expect(Object.fromEntries(series) as unknown).toEqual({
      [`nvme_info{${d},model="Plumb Bob 9000",serial="SN-nvme0",firmware="1.0",transport="pcie",subsystem_nqn="nqn.2014.08.org.nvmexpress:uuid:nvme0",state="live"}`]: 1,
      [`nvme_device_accessible{${d}}`]: 1,
      [`nvme_critical_warning{${d}}`]: 0b100010,
      [`nvme_critical_warning_available_spare{${d}}`]: 0,
      [`nvme_critical_warning_temperature{${d}}`]: 1,
      [`nvme_critical_warning_reliability{${d}}`]: 0,
      [`nvme_critical_warning_read_only{${d}}`]: 0,
      [`nvme_critical_warning_volatile_backup{${d}}`]: 0,
      [`nvme_critical_warning_persistent_memory{${d}}`]: 1,
      [`nvme_temperature_celsius{${d}}`]: 40.85,
      [`nvme_temperature_sensor_celsius{${d},sensor="1"}`]: 26.85,
      [`nvme_temperature_sensor_celsius{${d},sensor="8"}`]: 34.85,
      [`nvme_available_spare_ratio{${d}}`]: 0.98,
      [`nvme_available_spare_threshold_ratio{${d}}`]: 0.1,
      [`nvme_percentage_used_ratio{${d}}`]: 0.03,
      [`nvme_data_units_read_total{${d}}`]: 2n ** 64n + 1n,
      [`nvme_data_units_written_total{${d}}`]: 2n,
      [`nvme_host_read_commands_total{${d}}`]: 3n,
      [`nvme_host_write_commands_total{${d}}`]: 4n,
      [`nvme_controller_busy_time_seconds_total{${d}}`]: 300n,
      [`nvme_power_cycles_total{${d}}`]: 6n,
      [`nvme_power_on_hours_total{${d}}`]: 7n,
      [`nvme_unsafe_shutdowns_total{${d}}`]: 8n,
      [`nvme_media_errors_total{${d}}`]: 9n,
      [`nvme_num_err_log_entries_total{${d}}`]: 10n,
      [`nvme_warning_temperature_time_seconds_total{${d}}`]: 660,
      [`nvme_critical_temperature_time_seconds_total{${d}}`]: 720,
      [`nvme_thermal_mgmt_t1_transitions_total{${d}}`]: 13,
      [`nvme_thermal_mgmt_t2_transitions_total{${d}}`]: 14,
      [`nvme_thermal_mgmt_t1_time_seconds_total{${d}}`]: 15,
      [`nvme_thermal_mgmt_t2_time_seconds_total{${d}}`]: 16,
      [`nvme_warning_temperature_threshold_celsius{${d}}`]: 69.85,
      [`nvme_critical_temperature_threshold_celsius{${d}}`]: 79.85,
      [`nvme_total_capacity_bytes{${d}}`]: 2001111162880n,
      'plumbline_nvme_devices{collector="nvme"}': 1,
    });
    expect(success).toBe(true);
    expect(faults.reasons).toEqual([]);
    expect(faults.settled).toBe(1);
  });

  test("emits every family that it declares and no other", async () => {
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces: [namespaceOf("nvme0n1")] }))
      .answer("nvme0", "smart", new Uint8Array(512).fill(0xff))
      .answer("nvme0", "identify_controller", new Uint8Array(4096).fill(0xff))
      .answer("nvme0", "identify_namespace", NAMESPACE);
    const { samples } = await scrape(devices);
    const declared = NVME.descriptors.map(({ name }) => name);
    expect([...familiesOf(samples), "plumbline_nvme_device_errors_total"].sort()).toEqual(declared.sort());
  });

  test("a saturated page is shown as read: 2.55 and all digits", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer(
      "nvme0",
      "smart",
      new Uint8Array(512).fill(0xff),
    );
    const { series, faults } = await scrape(devices);
    expect(series.get('nvme_percentage_used_ratio{device="nvme0"}')).toBe(2.55);
    expect(series.get('nvme_host_read_commands_total{device="nvme0"}')).toBe(2n ** 128n - 1n);
    expect(series.get('nvme_controller_busy_time_seconds_total{device="nvme0"}')).toBe(
      (2n ** 128n - 1n) * 60n,
    );
    expect(faults.reasons).toEqual([]);
  });

  test("asks SMART, Identify Controller and each namespace, one after the other", async () => {
    const namespaces = [namespaceOf("nvme0n1"), namespaceOf("nvme0n2", { nsid: 2 })];
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces }));
    await scrape(devices);
    expect(devices.pagesAsked("nvme0")).toEqual([
      "smart",
      "identify_controller",
      "identify_namespace",
      "identify_namespace",
    ]);
    expect(devices.asked.map(({ command }) => command.nsid)).toEqual([0xffffffff, 0, 1, 2]);
  });

  test("no device is a success with nothing but their number", async () => {
    const { series, success, faults } = await scrape(new FakeDevices());
    expect(Object.fromEntries(series)).toEqual({ 'plumbline_nvme_devices{collector="nvme"}': 0 });
    expect(success).toBe(true);
    expect(faults.reasons).toEqual([]);
  });

  test("a scrape that nobody waits for any more tells of no fault, and of the end of none", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer("nvme0", "smart", { kind: "timeout" });
    const collect = async (deadline: number) => {
      const faults = new RecordedFaults();
      await createNvmeCollector(devices, faults).collect({ signal: AbortSignal.abort(), deadline });
      return { reasons: faults.reasons, settled: faults.settled };
    };
    expect(await collect(performance.now() + 10_000)).toEqual({ reasons: [], settled: 0 });
    // Late, not left: a device may be the cause.
    expect(await collect(performance.now())).toEqual({ reasons: ["nvme0 timeout"], settled: 1 });
  });

  test("controllers that cannot be listed reject the collection and count as `listing`", async () => {
    const faults = new RecordedFaults();
    const collector = createNvmeCollector(unlistableDevices("cannot read /sys/class/nvme: EACCES"), faults);
    await expect(collector.collect(scrapeContext())).rejects.toThrow("cannot read /sys/class/nvme: EACCES");
    expect(faults.recorded).toEqual([
      {
        device: "",
        reason: "listing",
        detail: "cannot read /sys/class/nvme: EACCES; let plumbline read class/nvme under --path.sysfs",
      },
    ]);
    expect(faults.settled).toBe(1);
  });
});

describe("namespaces", () => {
  const SIZE = { sizeBytes: 3908420240n * 512n, logicalBlockSizeBytes: 4096 };
  const D = 'device="nvme0",namespace="nvme0n1",nsid="1"';

  test("on 4K blocks size and use are right: 3908420240 sectors, 488552530 blocks", async () => {
    const namespaces = [namespaceOf("nvme0n1", { ...SIZE, usedBlocks: 488552530n })];
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces }));
    const { series } = await scrape(devices);
    expect(series.get(`nvme_namespace_size_bytes{${D}}`)).toBe(2001111162880n);
    expect(series.get(`nvme_namespace_used_bytes{${D}}`)).toBe(2001111162880n);
    expect(series.get(`nvme_namespace_logical_block_size_bytes{${D}}`)).toBe(4096);
    expect(series.has(`nvme_namespace_capacity_bytes{${D}}`)).toBe(false);
  });

  test("capacity, and the use that sysfs does not tell, come from Identify", async () => {
    const devices = new FakeDevices(
      controllerOf("nvme0", { namespaces: [namespaceOf("nvme0n1", SIZE)] }),
    ).answer("nvme0", "identify_namespace", NAMESPACE);
    const { series } = await scrape(devices);
    expect(series.get(`nvme_namespace_capacity_bytes{${D}}`)).toBe(2001111162880n);
    expect(series.get(`nvme_namespace_used_bytes{${D}}`)).toBe(4096000n);
  });

  test("the use that sysfs tells is preferred", async () => {
    const namespaces = [namespaceOf("nvme0n1", { ...SIZE, usedBlocks: 1n })];
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces })).answer(
      "nvme0",
      "identify_namespace",
      NAMESPACE,
    );
    const { series } = await scrape(devices);
    expect(series.get(`nvme_namespace_used_bytes{${D}}`)).toBe(4096n);
  });

  test("the use that nobody tells is left out and the rest kept", async () => {
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces: [namespaceOf("nvme0n1", SIZE)] }));
    const { series, faults } = await scrape(devices);
    expect(series.has(`nvme_namespace_used_bytes{${D}}`)).toBe(false);
    expect(series.get(`nvme_namespace_size_bytes{${D}}`)).toBe(2001111162880n);
    expect(faults.reasons).toEqual([]);
  });

  test("sysfs files that are missing leave out what they tell, and Identify fills in the block size", async () => {
    const namespaces = [namespaceOf("nvme0n1", { sizeBytes: undefined, logicalBlockSizeBytes: undefined })];
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces })).answer(
      "nvme0",
      "identify_namespace",
      NAMESPACE,
    );
    const { series } = await scrape(devices);
    expect(series.has(`nvme_namespace_size_bytes{${D}}`)).toBe(false);
    expect(series.get(`nvme_namespace_logical_block_size_bytes{${D}}`)).toBe(4096);
    expect(series.get(`nvme_namespace_capacity_bytes{${D}}`)).toBe(2001111162880n);
  });

  test("two paths to one namespace show under both controllers with their ANA states", async () => {
    const head = { name: "nvme1n1", sizeBytes: 1n, logicalBlockSizeBytes: 512 };
    const devices = new FakeDevices(
      controllerOf("nvme1", { namespaces: [namespaceOf("nvme1c1n1", { ...head, anaState: "optimized" })] }),
      controllerOf("nvme2", {
        namespaces: [namespaceOf("nvme1c2n1", { ...head, anaState: "inaccessible" })],
      }),
    );
    const { series } = await scrape(devices);
    const paths = [...series.keys()].filter((name) => name.startsWith("nvme_namespace_info"));
    expect(paths).toEqual([
      'nvme_namespace_info{device="nvme1",namespace="nvme1n1",path="nvme1c1n1",nsid="1",ana_state="optimized"}',
      'nvme_namespace_info{device="nvme2",namespace="nvme1n1",path="nvme1c2n1",nsid="1",ana_state="inaccessible"}',
    ]);
    expect(series.get('nvme_namespace_size_bytes{device="nvme2",namespace="nvme1n1",nsid="1"}')).toBe(1n);
  });

  test("of 65 namespaces the lowest 64 are asked, all are shown, and `limit` is counted", async () => {
    const namespaces = Array.from({ length: 65 }, (_, i) => namespaceOf(`nvme0n${i + 1}`, { nsid: i + 1 }));
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces })).answer(
      "nvme0",
      "identify_namespace",
      NAMESPACE,
    );
    const { series, faults, success } = await scrape(devices);
    const asked = devices.asked.filter(({ command }) => command.page === "identify_namespace");
    expect(asked.map(({ command }) => command.nsid)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
    expect(series.has('nvme_namespace_size_bytes{device="nvme0",namespace="nvme0n65",nsid="65"}')).toBe(true);
    expect(series.has('nvme_namespace_capacity_bytes{device="nvme0",namespace="nvme0n65",nsid="65"}')).toBe(
      false,
    );
    expect(faults.reasons).toEqual(["nvme0 limit"]);
    expect(success).toBe(true);
  });
});

describe("a controller that fails", () => {
  type Fault = Exclude<Answer, { readonly kind: "page" | "known_unsupported" }>;

  /** Each with the words that its detail must hold. */
  const DEVICE_FAULTS: readonly (readonly [string, Fault, string, readonly string[]])[] = [
    ["not live", { kind: "not_live" }, "not_live", ['"resetting"', '"live"']],
    [
      "EACCES",
      { kind: "permission", errno: 13 },
      "permission",
      ["EACCES", "CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH", "systemd/plumbline.service"],
    ],
    ["EPERM", { kind: "permission", errno: 1 }, "permission", ["EPERM", "CAP_SYS_ADMIN"]],
    ["a node that is missing", { kind: "open", errno: 2 }, "open", ["nvme0", "ENOENT", "--path.devfs"]],
    ["a node of another device", { kind: "not_a_device" }, "not_a_device", ["nvme0", "241:0"]],
    ["ENODEV", { kind: "ioctl", errno: 19 }, "ioctl", ["SMART log page", "ENODEV"]],
    ["ENOTTY", { kind: "ioctl", errno: 25 }, "ioctl", ["SMART log page", "ENOTTY"]],
    ["an errno without a name", { kind: "ioctl", errno: 4095 }, "ioctl", ["errno 4095"]],
    ["no answer in time", { kind: "timeout" }, "timeout", ["SMART log page"]],
    ["a command still pending", { kind: "busy" }, "busy", ["pending"]],
  ];

  test.each(DEVICE_FAULTS)(
    "%s: what sysfs tells stays, nothing more is asked, one fault",
    async (_, fault, reason, words) => {
      const namespaces = [namespaceOf("nvme0n1"), namespaceOf("nvme0n2", { nsid: 2 })];
      const devices = new FakeDevices(controllerOf("nvme0", { state: "resetting", namespaces }))
        .answer("nvme0", "smart", fault)
        .answer("nvme0", "identify_controller", IDENTITY);
      const { samples, series, success, faults } = await scrape(devices);
      expect(familiesOf(samples)).toEqual([
        "nvme_device_accessible",
        "nvme_info",
        "nvme_namespace_info",
        "nvme_namespace_logical_block_size_bytes",
        "nvme_namespace_size_bytes",
        "plumbline_nvme_devices",
      ]);
      expect(series.get('nvme_device_accessible{device="nvme0"}')).toBe(0);
      expect(devices.pagesAsked("nvme0")).toEqual(["smart"]);
      expect(faults.reasons).toEqual([`nvme0 ${reason}`]);
      for (const word of words) expect(faults.recorded[0]?.detail).toContain(word);
      expect(success).toBe(false);
    },
  );

  test("a refused SMART page is named with its status, and the other pages are still asked", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"))
      .answer("nvme0", "smart", { kind: "status", status: 0x400b })
      .answer("nvme0", "identify_controller", IDENTITY);
    const { series, success, faults } = await scrape(devices);
    expect(series.get('nvme_device_accessible{device="nvme0"}')).toBe(0);
    expect(series.get('nvme_total_capacity_bytes{device="nvme0"}')).toBe(2001111162880n);
    expect(faults.recorded).toEqual([
      {
        device: "nvme0",
        reason: "nvme_status",
        detail: "the device refused SMART log page with NVMe status 0x400B (Invalid Namespace or Format)",
      },
    ]);
    expect(success).toBe(false);
  });

  test.each([
    [0x4002, "0x4002 (Invalid Field in Command)"],
    [0x4109, "0x4109 (Invalid Log Page)"],
  ])("status %d says that there is no SMART page: told once, no failure", async (status, words) => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer("nvme0", "smart", {
      kind: "unsupported_page",
      status,
    });
    const first = await scrape(devices);
    expect(first.faults.reasons).toEqual(["nvme0 unsupported_page"]);
    expect(first.faults.recorded[0]?.detail).toContain(words);
    expect(first.success).toBe(true);
    const second = await scrape(new FakeDevices(controllerOf("nvme0")));
    expect(familiesOf(second.samples)).toEqual(SYSFS);
    expect(second.series.get('nvme_device_accessible{device="nvme0"}')).toBe(0);
    expect(second.faults.reasons).toEqual([]);
    expect(second.success).toBe(true);
  });

  test("a SMART page of zeros was read and gives no series", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer("nvme0", "smart", new Uint8Array(512));
    const { samples, series, success, faults } = await scrape(devices);
    expect(familiesOf(samples)).toEqual(SYSFS);
    expect(series.get('nvme_device_accessible{device="nvme0"}')).toBe(1);
    expect(faults.reasons).toEqual(["nvme0 empty_page"]);
    expect(success).toBe(true);
  });

  test("the same refusal of many namespaces is one fault", async () => {
    const namespaces = [1, 2, 3].map((nsid) => namespaceOf(`nvme0n${nsid}`, { nsid }));
    const devices = new FakeDevices(controllerOf("nvme0", { namespaces }))
      .answer("nvme0", "smart", SMART)
      .answer("nvme0", "identify_namespace", { kind: "status", status: 0x4006 });
    const { success, faults } = await scrape(devices);
    expect(faults.reasons).toEqual(["nvme0 nvme_status"]);
    expect(success).toBe(true);
  });

  test("does not concern the others", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"), controllerOf("nvme1"), controllerOf("nvme2"))
      .answer("nvme0", "smart", SMART)
      .answer("nvme1", "smart", { kind: "timeout" })
      .answer("nvme2", "smart", SMART);
    const { series, success, faults } = await scrape(devices);
    expect(series.get('nvme_temperature_celsius{device="nvme0"}')).toBe(40.85);
    expect(series.get('nvme_temperature_celsius{device="nvme2"}')).toBe(40.85);
    expect(series.get('nvme_device_accessible{device="nvme1"}')).toBe(0);
    expect(success).toBe(true);
    expect(faults.reasons).toEqual(["nvme1 timeout"]);
  });
});

describe("check", () => {
  test("says what was read, what was not, and the remedy", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"), controllerOf("nvme1"))
      .answer("nvme0", "smart", SMART)
      .answer("nvme0", "identify_controller", IDENTITY)
      .answer("nvme1", "smart", { kind: "permission", errno: 13 });
    const faults = new RecordedFaults();
    const found = await createNvmeCollector(devices, faults).check(scrapeContext());
    expect(found).toEqual([
      {
        level: "ok",
        subject: "nvme0 (Plumb Bob 9000, serial SN-nvme0)",
        message: "read: SMART log page, Identify Controller",
      },
      {
        level: "error",
        subject: "nvme1 (Plumb Bob 9000, serial SN-nvme1)",
        message: "no permission to read SMART log page (EACCES, errno 13)",
        remedy: expect.stringContaining("AmbientCapabilities=CAP_SYS_ADMIN"),
      },
    ]);
    expect(faults.reasons).toEqual([]);
  });

  test("a page that is missing beside others is a warning", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"))
      .answer("nvme0", "smart", SMART)
      .answer("nvme0", "identify_controller", { kind: "status", status: 0x4006 });
    const found = await createNvmeCollector(devices, new RecordedFaults()).check(scrapeContext());
    expect(found.map(({ level }) => level)).toEqual(["ok", "warning"]);
  });

  test("a host without NVMe is as it may be", async () => {
    const found = await createNvmeCollector(new FakeDevices(), new RecordedFaults()).check(scrapeContext());
    expect(found.map(({ level }) => level)).toEqual(["ok"]);
  });

  test("controllers that cannot be listed are an error with a remedy", async () => {
    const devices = unlistableDevices("cannot read /sys/class/nvme: EACCES");
    const found = await createNvmeCollector(devices, new RecordedFaults()).check(scrapeContext());
    expect(found).toEqual([
      {
        level: "error",
        subject: "NVMe controllers",
        message: "cannot read /sys/class/nvme: EACCES",
        remedy: "let plumbline read class/nvme under --path.sysfs",
      },
    ]);
  });
});
