import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type InspectOptions, inspectNvme } from "../../src/commands/inspect.ts";
import { ebsVolume as simulatedEbsVolume } from "../../src/demo/nvme-devices.ts";
import { identifyController, identifyNamespace, smartPage } from "../../src/demo/nvme-pages.ts";
import {
  controllerOf,
  ebsController,
  FakeDevices,
  instanceStoreController,
  namespaceOf,
  scrapeContext,
  unlistableDevices,
} from "../support/nvme-devices.ts";
import { SimulatedHost, scrapeOf } from "../support/nvme-simulated-host.ts";
import { EBS_COUNTERS, ebsVolumePage, instanceStoreVolumePages } from "../support/nvme-volumes.ts";

const TABLE: InspectOptions = { output: "table", raw: false };

const ebsVolume = () =>
  new FakeDevices(
    ebsController("nvme1", {
      namespaces: [namespaceOf("nvme1c3n1", { name: "nvme1n1", anaState: "optimized" })],
    }),
  )
    .answer(
      "nvme1",
      "smart",
      smartPage({ temperatureKelvin: 314, availableSparePercent: 98, powerOnHours: 8760n }),
    )
    .answer(
      "nvme1",
      "identify_controller",
      identifyController({ vendorId: 0x1d0f, mapping: "sdf", totalCapacityBytes: 2001111162880n }),
    )
    .answer(
      "nvme1",
      "identify_namespace",
      identifyNamespace({
        sizeBlocks: 1n,
        capacityBlocks: 209715200n,
        usedBlocks: 1n,
        logicalBlockSizeBytes: 512,
      }),
    )
    .answer("nvme1", "ebs", ebsVolumePage());

const inspect = (devices: FakeDevices, device: string, options: InspectOptions = TABLE) =>
  inspectNvme(devices, device, options, scrapeContext());

describe("the table", () => {
  test("shows all pages of an EBS volume with units and bars", async () => {
    const { code, standardOutput, standardError } = await inspect(ebsVolume(), "/dev/nvme1");
    expect(standardError).toBe("");
    expect(code).toBe(0);
    expect(standardOutput).toMatchSnapshot();
  });

  test("shows the bands of an instance-store volume", async () => {
    const { first, detail } = instanceStoreVolumePages();
    const devices = new FakeDevices(instanceStoreController("nvme1"))
      .answer("nvme1", "identify_controller", identifyController({ vendorId: 0x1d0f }))
      .answer("nvme1", "instance_store", first)
      .answer("nvme1", "instance_store_detail", detail);
    const { code, standardOutput } = await inspect(devices, "nvme1");
    expect(code).toBe(0);
    expect(standardOutput).toContain("Read latency, I/O up to 4,096 bytes, 40 operations");
    expect(standardOutput).toContain("Read latency, larger I/O, 7 operations");
    expect(standardOutput).toContain("Write latency, larger I/O\n  no operations");
  });

  test("names the critical warnings", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer(
      "nvme0",
      "smart",
      smartPage({ criticalWarning: 0b1001 }),
    );
    const { standardOutput } = await inspect(devices, "nvme0");
    expect(standardOutput).toMatch(/Critical warning +available_spare, read_only/);
  });

  test("with --raw is followed by the pages in hexadecimal, equal lines folded", async () => {
    const { standardOutput } = await inspect(ebsVolume(), "/dev/nvme1", { output: "table", raw: true });
    expect(standardOutput).toContain("\nSMART log page, 512 bytes\n");
    expect(standardOutput).toContain("\nIdentify Namespace of nsid 1, 4096 bytes\n");
    expect(standardOutput).toContain(
      "\nEBS statistics (log page D0h), 4096 bytes\n" +
        "00000000  10 b5 23 3c 01 00 00 00  a9 eb 00 00 00 00 00 00  |..#<............|\n",
    );
    expect(standardOutput).toContain(
      "00000060  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000200  1c ",
    );
    expect(standardOutput).toEndWith(
      "*\n00000ff0  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n",
    );
  });
});

describe("JSON", () => {
  test("has 64-bit integers as decimal strings and everything else as it is decoded", async () => {
    const { code, standardOutput } = await inspect(ebsVolume(), "/dev/nvme1", { output: "json", raw: false });
    const parsed: unknown = JSON.parse(standardOutput);
    expect(code).toBe(0);
    expect(parsed).toMatchObject({
      controller: { name: "nvme1", serial: "vol0123456789abcdef0" },
      identity: { vendorId: 0x1d0f, mapping: "sdf", totalCapacityBytes: "2001111162880" },
      smart: { temperatureKelvin: 314, powerOnHours: "8760" },
      namespaces: [{ nsid: 1, capacityBlocks: "209715200" }],
      ebs: { readOps: "60329", queueLength: "2" },
      problems: [],
    });
    expect(parsed).not.toHaveProperty("pages");
  });

  test("with --raw has the pages as hexadecimal", async () => {
    const { standardOutput } = await inspect(ebsVolume(), "/dev/nvme1", { output: "json", raw: true });
    expect(JSON.parse(standardOutput)).toHaveProperty("pages");
    const { pages } = JSON.parse(standardOutput);
    expect(pages.map(({ page }: { page: string }) => page)).toEqual([
      "smart",
      "identify_controller",
      "identify_namespace",
      "ebs",
    ]);
    expect(pages[3].hex).toStartWith("10b5233c01000000");
    expect(pages[3].hex).toHaveLength(8192);
  });

  test("has +Inf for I/O sizes without a bound", async () => {
    const { first, detail } = instanceStoreVolumePages();
    const devices = new FakeDevices(instanceStoreController("nvme1"))
      .answer("nvme1", "identify_controller", identifyController({ vendorId: 0x1d0f }))
      .answer("nvme1", "instance_store", first)
      .answer("nvme1", "instance_store_detail", detail);
    const { standardOutput } = await inspect(devices, "nvme1", { output: "json", raw: false });
    expect(JSON.parse(standardOutput).instanceStore.bands.at(-1).sizeBound).toBe("+Inf");
  });

  test("names what could not be read", async () => {
    const devices = ebsVolume().answer("nvme1", "ebs", { kind: "timeout" });
    const { code, standardOutput } = await inspect(devices, "nvme1", { output: "json", raw: false });
    expect(code).toBe(1);
    expect(JSON.parse(standardOutput).problems).toMatchObject([{ reason: "timeout" }]);
  });
});

describe("the device", () => {
  test.each(["/dev/nvme1", "nvme1", "/dev/nvme1n1", "/dev/nvme1c3n1", "/dev/nvme1n1p2"])(
    "may be given as %s",
    async (device) => {
      const { code, standardOutput } = await inspect(ebsVolume(), device);
      expect(code).toBe(0);
      expect(standardOutput).toStartWith("nvme1\n");
    },
  );

  test("may be given as a link, as /dev/disk/by-id has them", async () => {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-inspect-"));
    try {
      writeFileSync(join(directory, "nvme1n1"), "");
      symlinkSync("nvme1n1", join(directory, "by-id"));
      const { code } = await inspect(ebsVolume(), join(directory, "by-id"));
      expect(code).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("that does not exist is told with those that do", async () => {
    const devices = new FakeDevices(controllerOf("nvme0"), ebsController("nvme1"));
    expect(await inspect(devices, "/dev/nvme11")).toEqual({
      code: 1,
      standardOutput: "",
      standardError:
        "plumbline: /dev/nvme11 is no NVMe device; this host has nvme0 (Plumb Bob 9000), " +
        "nvme1 (Amazon Elastic Block Store)\n",
    });
  });

  test("on a host without NVMe is told so", async () => {
    const { code, standardError } = await inspect(new FakeDevices(), "/dev/nvme0");
    expect(code).toBe(1);
    expect(standardError).toBe("plumbline: /dev/nvme0 is no NVMe device; this host has no NVMe controller\n");
  });

  test("that may not be read is shown as sysfs has it, with the remedy and exit code 1", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer("nvme0", "smart", {
      kind: "permission",
      errno: 13,
    });
    const { code, standardOutput, standardError } = await inspect(devices, "/dev/nvme0");
    expect(code).toBe(1);
    expect(standardOutput).toContain("Plumb Bob 9000");
    expect(standardError).toContain("nvme0: no permission to read SMART log page (EACCES, errno 13)");
    expect(standardError).toContain("run it as root");
  });

  test("that has no such page is no failure", async () => {
    const devices = new FakeDevices(controllerOf("nvme0")).answer("nvme0", "smart", {
      kind: "unsupported_page",
      status: 0x4002,
    });
    const { code, standardError } = await inspect(devices, "/dev/nvme0");
    expect(code).toBe(0);
    expect(standardError).toContain("does not have SMART log page");
  });

  test("cannot be found where the controllers cannot be listed", async () => {
    const devices = unlistableDevices("cannot read /sys/class/nvme: EACCES");
    const report = await inspectNvme(devices, "/dev/nvme0", TABLE, scrapeContext());
    expect(report).toEqual({
      code: 1,
      standardOutput: "",
      standardError: "plumbline: cannot read /sys/class/nvme: EACCES\n",
    });
  });
});

test("a simulated device is read through the real Workers, each page once and with reading commands only", async () => {
  const host = new SimulatedHost([
    simulatedEbsVolume({
      name: "nvme1",
      serial: "vol0123456789abcdef0",
      mapping: "/dev/sdf",
      sizeBytes: 107374182400n,
      counters: EBS_COUNTERS,
    }),
  ]);
  try {
    const devices = host.devices();
    const { code, standardOutput } = await inspectNvme(devices, "/dev/nvme1n1", TABLE, scrapeOf(10_000));
    expect(code).toBe(0);
    expect(standardOutput).toContain("Read latency, 60,329 operations");
    expect(host.commands().map(({ opcode, cdw10 }) => [opcode, cdw10])).toEqual([
      [2, 0x007f0002],
      [6, 1],
      [6, 0],
      [2, 0x03ff00d0],
    ]);
  } finally {
    host.close();
  }
});
