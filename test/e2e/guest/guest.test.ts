/**
 * The compiled binary on a real kernel's NVMe devices: QEMU's controllers, and those of a target behind Linux's own
 * NVMe/TCP driver. The guest boots once, scenario.ts runs there, and its report is judged here.
 */
import { beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plumblineBinary } from "../../support/binary.ts";
import { describeUnless } from "../../support/debian.ts";
import { type ParsedFormat, parseExposition } from "../../support/exposition-parser.ts";
import { QEMU, qemuDevices, TARGET } from "./devices.ts";
import { boot, prepare } from "./machine.ts";
import type { Report } from "./scenario.ts";

const GUEST_MS = 230_000;
/** What the kernel grants a command, instead of 60 s. */
const ADMIN_TIMEOUT_S = 20;

const kernel = prepare();
const reason = "lacking" in kernel ? kernel.lacking : undefined;

describeUnless(reason, "the binary in a guest with NVMe controllers", () => {
  let report: Report;
  let trace: string;
  const name = (serial: string): string => {
    const found = report.controllers.find((controller) => controller.serial === serial);
    return found?.name ?? `none has the serial ${serial}`;
  };

  beforeAll(async () => {
    if ("lacking" in kernel) return;
    const share = mkdtempSync(join(tmpdir(), "plumbline-guest-"));
    try {
      const scenario = join(import.meta.dir, "scenario.ts");
      const command = [process.execPath, scenario, await plumblineBinary(), "/share/report.json"];
      const guest = await boot(kernel, {
        devices: [...qemuDevices(), "-trace", "pci_nvme_get_log"],
        parameters: [`nvme_core.admin_timeout=${ADMIN_TIMEOUT_S}`],
        command: command.map((word) => `'${word}'`).join(" "),
        share,
        timeoutMs: GUEST_MS,
      });
      if (guest.status !== 0)
        throw new Error(`${guest.output}\n${guest.console}\n${guest.trace.slice(-2000)}`);
      report = JSON.parse(readFileSync(join(share, "report.json"), "utf8"));
      trace = guest.trace;
    } finally {
      rmSync(share, { recursive: true });
    }
  }, GUEST_MS + 10_000);

  test("says its version", () => {
    expect(report.version).toMatchObject({ status: 0, stdout: expect.stringContaining("plumbline 0.") });
  });

  // QEMU's controllers

  test("reads SMART of every controller as root", () => {
    for (const { name: device } of report.controllers) {
      expect([device, value(report.first.file, "nvme_device_accessible", { device })]).toEqual([device, "1"]);
    }
    expect(report.controllers).toHaveLength(10);
  });

  test("reads the temperature that the kernel reads", () => {
    const sensors = report.controllers.filter(({ milliCelsius }) => milliCelsius !== undefined);
    expect(sensors).toHaveLength(4);
    for (const { name: device, milliCelsius = 0 } of sensors) {
      expect(value(report.first.file, "nvme_temperature_celsius", { device })).toBe(
        String(milliCelsius / 1000),
      );
    }
  });

  test("reads Identify Controller: QEMU's thresholds are 343 K and 373 K", () => {
    const device = name(QEMU.plain.serial);
    expect(value(report.first.file, "nvme_warning_temperature_threshold_celsius", { device })).toBe("69.85");
    expect(value(report.first.file, "nvme_critical_temperature_threshold_celsius", { device })).toBe("99.85");
  });

  test("gives a namespace of 4096-byte blocks its size in bytes", () => {
    const device = name(QEMU.large.serial);
    expect(value(report.first.file, "nvme_namespace_logical_block_size_bytes", { device })).toBe("4096");
    for (const what of ["size", "capacity", "used"]) {
      expect(value(report.first.file, `nvme_namespace_${what}_bytes`, { device })).toBe(
        String(QEMU.large.sizeBytes),
      );
    }
  });

  test("gives a namespace what it uses from Identify, where sysfs has no nuse", () => {
    const device = name(TARGET.ebs);
    expect(value(report.first.file, "nvme_namespace_size_bytes", { device })).toBe("134217728");
    expect(value(report.first.file, "nvme_namespace_used_bytes", { device })).toBe("67108864");
  });

  test("shows two paths to a namespace that two controllers share", () => {
    const paths = series(report.first.file, "nvme_namespace_info").filter(
      ({ labels }) => labels["path"] !== labels["namespace"],
    );
    expect(paths.map(({ labels }) => labels["path"]).sort()).toEqual(
      report.controllers
        .filter(({ serial }) => serial === QEMU.shared.serial)
        .map(
          (controller) =>
            `${paths[0]?.labels["namespace"]?.replace(/n1$/, "")}c${controller.name.replace("nvme", "")}n1`,
        )
        .sort(),
    );
    expect(paths).toHaveLength(2);
    for (const { labels } of paths) {
      const size = value(report.first.file, "nvme_namespace_size_bytes", { device: labels["device"] ?? "" });
      expect(size).toBe(String(QEMU.shared.sizeBytes));
    }
  });

  test("asks QEMU's controllers for SMART alone, also the one with an EBS serial number", () => {
    const pages = [...trace.matchAll(/pci_nvme_get_log .* lid (0x[0-9a-f]+)/g)].map((match) => match[1]);
    expect(pages.length).toBeGreaterThan(20);
    expect([...new Set(pages)].sort()).toEqual(["0x2", "0x5"]); // 05h, Commands Supported, is the kernel's
  });

  // Amazon's page D0h

  test("exports an EBS volume's counters, latencies and mapping", () => {
    const labels = { volume_id: "vol-0123456789abcdef0", device: `${name(TARGET.ebs)}n1` };
    const metric = (metricName: string, more = {}) =>
      value(report.first.file, metricName, { ...labels, ...more });
    expect({
      reads: metric("ebs_total_read_ops_total"),
      writes: metric("ebs_total_write_ops_total"),
      readBytes: metric("ebs_total_read_bytes_total"),
      writeBytes: metric("ebs_total_write_bytes_total"),
      iops: metric("ebs_volume_performance_exceeded_iops_total"),
      throughput: metric("ebs_volume_performance_exceeded_throughput_total"),
      queue: metric("ebs_volume_queue_length"),
      upTo512: metric("ebs_read_io_latency_seconds_bucket", { le: "0.000512" }),
      upTo1024: metric("ebs_read_io_latency_seconds_bucket", { le: "0.001024" }),
      readSum: metric("ebs_read_io_latency_seconds_sum"),
      readCount: metric("ebs_read_io_latency_seconds_count"),
      writesBelowLast: metric("ebs_write_io_latency_seconds_bucket", { le: "67.108864" }),
      writesAll: metric("ebs_write_io_latency_seconds_bucket", { le: "+Inf" }),
      mapping: metric("ebs_volume_info", { mapping: "/dev/sdf", controller: name(TARGET.ebs) }),
    }).toEqual({
      reads: "60329",
      writes: "1290",
      readBytes: "988430336",
      writeBytes: "21135360",
      iops: "41892491",
      throughput: "2219379",
      queue: "2",
      upTo512: "15869",
      upTo1024: "59746",
      readSum: "38",
      readCount: "60329",
      writesBelowLast: "1289",
      writesAll: "1290",
      mapping: "1",
    });
  });

  test("exports an instance store with its five bands of I/O size, read in two transfers", () => {
    const labels = { serial: TARGET.instanceStore };
    const metric = (metricName: string, more = {}) =>
      value(report.first.file, `ec2_instance_store_${metricName}`, { ...labels, ...more });
    expect(metric("read_ops_total")).toBe("67");
    expect(metric("write_ops_total")).toBe("0");
    expect(metric("read_bytes_total")).toBe("1101824");
    expect(metric("read_seconds_total")).toBe("0.004284");
    const band = (bound: string) =>
      metric("read_io_size_latency_seconds_bucket", { io_size_le: bound, le: "+Inf" });
    expect(["512", "4096", "8192", "32768", "+Inf"].map(band)).toEqual(["2", "35", "0", "29", "1"]);
  });

  test("computes delta gauges from run to run of the textfile, and none in the first", () => {
    const percent = "ebs_volume_performance_exceeded_iops_percent";
    const labels = { volume_id: "vol-0123456789abcdef0" };
    expect(series(report.first.file, percent)).toEqual([]);
    const interval = Number(value(report.second.file, "ebs_collection_interval_seconds", labels));
    expect(interval).toBeGreaterThan(1);
    expect(Number(value(report.second.file, percent, labels))).toBeCloseTo(Math.min(100, 300 / interval), 6);
    expect(value(report.second.file, "ebs_volume_iops_exceeded_check", labels)).toBe("1");
    expect(value(report.second.file, "ebs_volume_throughput_exceeded_check", labels)).toBe("0");
  });

  test.each([
    ["a wrong magic", TARGET.wrongMagic, "bad_magic"],
    ["a status", TARGET.refused, "nvme_status"],
    ["a page that it does not have", TARGET.unsupported, "unsupported_page"],
    ["Amazon's model of another vendor", TARGET.impostor, "bad_identity"],
  ])("counts a device that answers with %s, and gives it no ebs_ series", (_, serial, why) => {
    const device = name(serial);
    const labels = { collector: "ebs", device, reason: why };
    expect(value(report.first.file, "plumbline_nvme_device_errors_total", labels)).toBe("1");
    expect(report.first.file).not.toContain(`device="${device}n1",volume_id=`);
    expect(value(report.first.file, "nvme_device_accessible", { device })).toBe("1");
  });

  test("does not ask again for a page that a device does not have, also in the next run", () => {
    const asked = (serial: string) =>
      report.secondCommands.filter((command) => command.serial === serial && (command.cdw10 & 0xff) === 0xd0);
    expect(asked(TARGET.unsupported)).toEqual([]);
    expect(asked(TARGET.refused)).toHaveLength(1);
    const labels = { collector: "ebs", device: name(TARGET.unsupported), reason: "unsupported_page" };
    expect(value(report.second.file, "plumbline_nvme_device_errors_total", labels)).toBe("1");
  });

  test("sends nothing but the commands of the specification, each page once", () => {
    const commands = report.secondCommands.map(({ serial, opcode, nsid, cdw10, cdw11, cdw12 }) =>
      [serial, ...[opcode, nsid, cdw10, cdw11, cdw12].map((word) => word.toString(16))].join(" "),
    );
    const each = (serial: string) => [
      `${serial} 2 ffffffff 7f0002 0 0`, // SMART
      `${serial} 6 0 1 0 0`, // Identify Controller
      `${serial} 6 1 0 0 0`, // Identify Namespace
    ];
    const page = (serial: string) => `${serial} 2 1 3ff00d0 0 0`;
    const { hung, ...connected } = TARGET;
    expect(commands.sort()).toEqual(
      [
        ...Object.values(connected).flatMap(each),
        ...[TARGET.ebs, TARGET.wrongMagic, TARGET.refused].map(page),
        `${TARGET.instanceStore} 2 ffffffff 3ff80d0 0 0`,
        `${TARGET.instanceStore} 2 ffffffff 3ff00d0 0 1000`,
      ].sort(),
    );
  });

  // Rights

  test.each(["withoutSysAdmin", "nobody"] as const)(
    "tells a lack of rights (%s) with its reason and remedy",
    (who) => {
      const { file, stderr, status } = report[who];
      const device = name(QEMU.plain.serial);
      expect(status).toBe(0);
      expect(value(file, "nvme_device_accessible", { device })).toBe("0");
      expect(value(file, "nvme_info", { device })).toBe("1");
      expect(value(file, "plumbline_collector_success", { collector: "nvme" })).toBe("0");
      expect(
        value(file, "plumbline_nvme_device_errors_total", {
          collector: "nvme",
          device,
          reason: "permission",
        }),
      ).toBe("1");
      expect(stderr).toContain("CAP_SYS_ADMIN");
    },
  );

  // Commands for people

  test("check tells what works and what does not", () => {
    expect(report.check.status).toBe(1);
    const { collectors } = JSON.parse(report.check.stdout);
    expect(collectors.slice(0, 4)).toMatchObject([
      { name: "nvme", enabled: true },
      { name: "ebs", enabled: true },
      { name: "instance_store" },
      { name: "csi", enabled: false },
    ]);
    const text = JSON.stringify(collectors);
    expect(text).toContain(`${name(QEMU.plain.serial)} (QEMU NVMe Ctrl, serial ${QEMU.plain.serial})`);
    expect(text).toContain("0x12345678");
  });

  test("inspect shows the pages of one device", () => {
    expect([report.inspect.status, report.inspectQemu.status, report.inspectTable.status]).toEqual([0, 0, 0]);
    expect(JSON.parse(report.inspect.stdout)).toMatchObject({
      controller: { serial: TARGET.ebs, transport: "tcp" },
      identity: { vendorId: 0x1d0f, mapping: "/dev/sdf" },
      smart: { temperatureKelvin: 300 },
    });
    expect(JSON.parse(report.inspectQemu.stdout)).toMatchObject({
      identity: { vendorId: 0x1b36, warningTemperatureKelvin: 343 },
      smart: { temperatureKelvin: 323 },
    });
    expect(report.inspectTable.stdout).toContain("Read latency, 67 operations");
  });

  // The service, as another user with CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH alone

  test("serves everything with two capabilities and no other right", () => {
    for (const scrape of report.serve.scrapes) {
      expect(scrape.status).toBe(200);
      for (const { name: device } of report.controllers) {
        expect(value(scrape.body, "nvme_device_accessible", { device })).toBe("1");
      }
      expect(value(scrape.body, "ebs_total_read_ops_total", {})).toBe("60329");
    }
    expect(series(report.serve.openMetrics.body, "ebs_total_read_ops_total", "openmetrics")).toHaveLength(1);
  });

  test("asks a device for the same page once a second at most", () => {
    const last = new Map<string, number>();
    for (const { serial, opcode, cdw10, cdw12, atMs } of report.serve.commands) {
      const key = `${serial} ${opcode} ${cdw10} ${cdw12}`;
      // 50 ms: a reading counts from its answer, this from the question.
      expect(atMs - (last.get(key) ?? -Infinity)).toBeGreaterThan(950);
      last.set(key, atMs);
    }
    expect(last.size).toBeGreaterThan(10);
  });

  // A device that no longer answers

  test("answers a scrape in time while a device does not answer, with all the others in it", () => {
    const { body, ms } = report.serve.hung;
    const hung = { collector: "ebs", device: report.hungName };
    expect(ms).toBeLessThan(3000);
    expect(value(body, "plumbline_nvme_device_errors_total", { ...hung, reason: "timeout" })).toBe("1");
    expect(value(body, "ebs_total_read_ops_total", {})).toBe("60329");
    for (const { name: device } of report.controllers) {
      expect(value(body, "nvme_device_accessible", { device })).toBe("1");
    }
  });

  test("does not ask a device again that has a command pending", () => {
    const { body, ms } = report.serve.busy;
    expect(ms).toBeLessThan(3000);
    for (const collector of ["ebs", "nvme"]) {
      const labels = { collector, device: report.hungName, reason: "busy" };
      const counted = (text: string) =>
        Number(value(text, "plumbline_nvme_device_errors_total", labels) ?? 0);
      // In the scrape before, a question of the other collector may have waited behind the one that hangs.
      expect(counted(body) - counted(report.serve.hung.body)).toBe(1);
    }
    expect(value(body, "nvme_device_accessible", { device: report.hungName })).toBe("0");
  });

  test("writes the textfile in time, though its process must wait for the kernel", () => {
    const { file, fileMs, ms, status } = report.hungTextfile;
    const hung = { collector: "ebs", device: report.hungName, reason: "timeout" };
    expect(value(file, "plumbline_nvme_device_errors_total", hung)).toBe("1");
    expect(value(file, "ebs_total_read_ops_total", {})).toBe("60329");
    expect(fileMs).toBeLessThan(3000 + START_MS);
    expect(ms).toBeGreaterThan(fileMs + 2000); // else this device did not hang, and the test shows nothing
    expect(status).toBe(0);
  });

  test("does not let the next run of the textfile pile up behind a hung one", () => {
    const { file, ms, status } = report.nextTextfile;
    expect(
      value(file, "plumbline_nvme_device_errors_total", {
        collector: "ebs",
        device: report.hungName,
        reason: "busy",
      }),
    ).toBe("1");
    expect(ms).toBeLessThan(3000 + START_MS);
    expect(status).toBe(0);
  });

  test("reads the device again once the kernel has reset it", () => {
    const { body } = report.serve.recovered;
    expect(value(body, "ebs_total_read_ops_total", { device: `${report.hungName}n1` })).toBe("60329");
    expect(value(body, "nvme_device_accessible", { device: report.hungName })).toBe("1");
  });

  test("logs the beginning and the end of a fault, each once, and stops when told", () => {
    const { status, stderr } = report.serve.stop;
    const about = stderr
      .split("\n")
      .filter((line) => line.includes("collector=ebs") && line.includes(`device=${report.hungName}`));
    expect(about.map((line) => /level=(\w+).*reason=(\w+)/.exec(line)?.slice(1).join(" "))).toEqual([
      "error timeout",
      "error busy",
      "info busy",
    ]);
    expect(status).toBe(0);
  });
});

/** Under emulation a process takes seconds to start. */
const START_MS = 6000;

function series(body: string, name: string, format: ParsedFormat = "text") {
  return parseExposition(new TextEncoder().encode(body), format)
    .flatMap((family) => family.samples)
    .filter((sample) => sample.name === name);
}

/** Of the one series that has these labels among its own; undefined where it is not one. */
function value(body: string, name: string, labels: Readonly<Record<string, string>>): string | undefined {
  const [found, ...more] = series(body, name).filter((sample) =>
    Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
  );
  return more.length === 0 ? found?.value : undefined;
}
