import { describe, expect, test } from "bun:test";
import { CSI, CsiCollector } from "../../src/csi/csi.ts";
import type { Found, Vendor, VendorRun } from "../../src/csi/discovery.ts";
import { KubeletError } from "../../src/csi/kubelet.ts";
import type { Discovery, SkippedPath, SkipReason, VolumeDevice } from "../../src/csi/model.ts";
import { SKIP_REASONS } from "../../src/csi/model.ts";
import { MountInfoError } from "../../src/host/mountinfo.ts";
import { FaultLog } from "../../src/log/faults.ts";
import { expose } from "../../src/metrics/exposition.ts";
import type { OwnMetrics } from "../../src/metrics/own.ts";
import { ownMetrics } from "../support/csi-node.ts";
import { RecordedLog, scrapeOf } from "../support/nvme-simulated-host.ts";

const volume = (about: Partial<VolumeDevice> = {}): VolumeDevice => ({
  driver: "driver.example",
  handle: "vol-1",
  persistentVolume: "pv-1",
  device: "dm-1",
  backing: { devices: [{ device: "dm-0", role: "multipath" }], complete: true },
  ...about,
});

function discovered(
  volumes: readonly VolumeDevice[] = [],
  skippedPaths: readonly SkippedPath[] = [],
): Discovery {
  const count = (reason: SkipReason) => skippedPaths.filter((skipped) => skipped.reason === reason).length;
  const skipped: Record<SkipReason, number> = {
    bad_json: count("bad_json"),
    unreadable: count("unreadable"),
    unsafe_path: count("unsafe_path"),
    no_mount: count("no_mount"),
    ephemeral: count("ephemeral"),
    same_filesystem: count("same_filesystem"),
    network_filesystem: count("network_filesystem"),
    virtual_filesystem: count("virtual_filesystem"),
    unresolved: count("unresolved"),
    backing_unresolved: count("backing_unresolved"),
  };
  return { volumes, skipped, skippedPaths };
}

const skip = (path: string, reason: SkipReason): SkippedPath => ({ path, reason });
const found = (discovery: Discovery, vendors: readonly [Vendor, VendorRun][] = []): Found => ({
  discovery,
  vendors: new Map(vendors),
});

interface Given {
  readonly vendors?: readonly Vendor[];
  readonly nodeIsHostName?: boolean;
  readonly own?: OwnMetrics;
}

/** A collector of which each run ends as `next` says. */
class Opened {
  readonly log = new RecordedLog();
  readonly own: OwnMetrics;
  readonly collector: CsiCollector;
  next: () => Promise<Found> = async () => found(discovered());
  runs = 0;

  constructor({ vendors = [], nodeIsHostName = false, own = ownMetrics() }: Given) {
    const run = (): Promise<Found> => {
      this.runs++;
      return this.next();
    };
    const options = { node: "node-a", nodeIsHostName, kubelet: "/var/lib/kubelet", vendors };
    this.own = own;
    this.collector = new CsiCollector({ run }, options, own, this.log, new FaultLog(this.log));
  }

  /** Its lines of a scrape, and the exporter's own. */
  async lines(): Promise<string[]> {
    const sets = await this.collector.collect(scrapeOf(5000)).then(
      ({ samples }) => [samples],
      () => [],
    );
    const { body } = expose([...sets, await this.own.samples()], "text");
    return new TextDecoder()
      .decode(body)
      .split("\n")
      .filter((line) => line.startsWith("csi_"));
  }
}

const open = (given: Given = {}): Opened => new Opened(given);

const ERRORS = "csi_volume_device_exporter_discovery_errors_total";
const TIMESTAMP = "csi_volume_device_exporter_last_successful_discovery_timestamp_seconds";
const DURATION = "csi_volume_device_exporter_discovery_duration_seconds";
const of = (lines: readonly string[], name: string) => lines.filter((line) => line.startsWith(name));
const failing = async (): Promise<Found> => {
  throw new KubeletError("cannot read /var/lib/kubelet/pods: no such file or directory", "ENOENT");
};

test("the names, types and labels are those that rules and dashboards know", () => {
  expect(CSI.descriptors.map(({ name, type, labels }) => `${type} ${name} ${labels.join(",")}`)).toEqual([
    "gauge csi_volume_node_device_info node,driver,volume_handle,persistentvolume,device",
    "gauge csi_volume_backing_device_info node,driver,volume_handle,persistentvolume,device,backing_device,role",
    `counter ${ERRORS} discoverer`,
    "gauge csi_volume_device_exporter_volumes_discovered driver",
    "gauge csi_volume_device_exporter_volumes_skipped reason",
    `gauge ${TIMESTAMP} `,
    `histogram ${DURATION} discoverer`,
  ]);
  expect(CSI.descriptors[0]?.help).toBe("Maps CSI volumes to node block devices. Value is always 1.");
});

describe("a good discovery", () => {
  test("gives each volume its device and what lies below", async () => {
    const opened = open();
    const lv = volume({
      handle: "vol-2",
      persistentVolume: "",
      device: "dm-7",
      backing: {
        devices: [
          { device: "sda", role: "partition_parent" },
          { device: "sdb", role: "leaf" },
        ],
        complete: true,
      },
    });
    opened.next = async () => found(discovered([volume(), lv]));
    const lines = await opened.lines();
    const one =
      'node="node-a",driver="driver.example",volume_handle="vol-1",persistentvolume="pv-1",device="dm-1"';
    const two =
      'node="node-a",driver="driver.example",volume_handle="vol-2",persistentvolume="",device="dm-7"';
    expect(of(lines, "csi_volume_node_device_info")).toEqual([
      `csi_volume_node_device_info{${one}} 1`,
      `csi_volume_node_device_info{${two}} 1`,
    ]);
    expect(of(lines, "csi_volume_backing_device_info")).toEqual([
      `csi_volume_backing_device_info{${one},backing_device="dm-0",role="multipath"} 1`,
      `csi_volume_backing_device_info{${two},backing_device="sda",role="partition_parent"} 1`,
      `csi_volume_backing_device_info{${two},backing_device="sdb",role="leaf"} 1`,
    ]);
  });

  test("counts a volume once for its driver, on however many devices and under however many names", async () => {
    const opened = open();
    const volumes = [
      volume(),
      volume({ device: "dm-2" }),
      volume({ persistentVolume: "pv-9" }),
      volume({ handle: "vol-2" }),
      volume({ driver: "other.example" }),
    ];
    opened.next = async () => found(discovered(volumes));
    expect(of(await opened.lines(), "csi_volume_device_exporter_volumes_discovered")).toEqual([
      'csi_volume_device_exporter_volumes_discovered{driver="driver.example"} 2',
      'csi_volume_device_exporter_volumes_discovered{driver="other.example"} 1',
    ]);
  });

  test("tells every reason for a skipped volume, also those that none has", async () => {
    const opened = open();
    opened.next = async () => found(discovered([], [skip("/a", "no_mount"), skip("/b", "no_mount")]));
    const lines = of(await opened.lines(), "csi_volume_device_exporter_volumes_skipped");
    expect(lines).toHaveLength(SKIP_REASONS.length);
    expect(lines).toContain('csi_volume_device_exporter_volumes_skipped{reason="no_mount"} 2');
    expect(lines).toContain('csi_volume_device_exporter_volumes_skipped{reason="backing_unresolved"} 0');
  });

  test("escapes a handle with a quote, a newline and a brace", async () => {
    const opened = open();
    opened.next = async () => found(discovered([volume({ handle: 'a"\n}' })]));
    expect((await opened.lines())[0]).toContain('volume_handle="a\\"\\n}"');
  });

  test("sets the time of the last success", async () => {
    const opened = open();
    const before = Date.now() / 1000;
    const [line = ""] = of(await opened.lines(), TIMESTAMP);
    expect(Number(line.split(" ")[1])).toBeGreaterThanOrEqual(before);
  });

  test("gives the same samples again where nothing changed, and others where something did", async () => {
    const opened = open();
    const discovery = discovered([volume()]);
    opened.next = async () => found(discovery);
    const first = await opened.collector.collect(scrapeOf(1000));
    expect((await opened.collector.collect(scrapeOf(1000))).samples).toBe(first.samples);
    opened.next = async () => found(discovered([volume()]));
    expect((await opened.collector.collect(scrapeOf(1000))).samples).not.toBe(first.samples);
  });
});

describe("a failed discovery", () => {
  test("gives nothing of any volume, and the exporter's own metrics all the same", async () => {
    const opened = open();
    opened.next = async () => found(discovered([volume()]));
    const timestamp = of(await opened.lines(), TIMESTAMP);
    opened.next = failing;
    const lines = await opened.lines();
    expect(of(lines, "csi_volume_node_device_info")).toEqual([]);
    expect(of(lines, "csi_volume_backing_device_info")).toEqual([]);
    expect(of(lines, "csi_volume_device_exporter_volumes_")).toEqual([]);
    expect(of(lines, ERRORS)).toEqual([`${ERRORS}{discoverer="kubelet"} 1`]);
    expect(of(lines, TIMESTAMP)).toEqual(timestamp);
    expect(lines).toContain(`${DURATION}_count{discoverer="kubelet"} 2`);
  });

  test("rejects with what failed and what to do", async () => {
    const opened = open();
    opened.next = failing;
    await expect(opened.collector.collect(scrapeOf(1000))).rejects.toThrow(
      /^cannot read \/var\/lib\/kubelet\/pods: no such file or directory; name the kubelet's directory with --path\.kubelet/,
    );
  });

  test("has no time of a last success before the first", async () => {
    const opened = open();
    opened.next = failing;
    expect(of(await opened.lines(), TIMESTAMP)).toEqual([]);
  });

  test("is not counted where nobody waited for it any more", async () => {
    const opened = open();
    const abandoned = new AbortController();
    opened.next = async () => {
      abandoned.abort();
      throw abandoned.signal.reason;
    };
    await expect(opened.collector.collect(scrapeOf(5000, abandoned.signal))).rejects.toThrow();
    opened.next = async () => found(discovered());
    expect(of(await opened.lines(), ERRORS)).toEqual([`${ERRORS}{discoverer="kubelet"} 0`]);
  });
});

describe("errors of discoveries", () => {
  test("are 0 from the start for each discoverer that is on", async () => {
    const { own } = open({ vendors: ["trident", "hpe"] });
    const { body } = expose([await own.samples()], "text");
    const lines = new TextDecoder().decode(body).split("\n");
    expect(of(lines, ERRORS)).toEqual(
      ["hpe", "kubelet", "trident"].map((name) => `${ERRORS}{discoverer="${name}"} 0`),
    );
  });

  test("of a vendor count its runs, are logged once, and do not fail the collector", async () => {
    const opened = open({ vendors: ["trident"] });
    const failures = [
      { path: "/t/a.json", reason: "is not the JSON that was expected" },
      { path: "/t/b.json", reason: "is not the JSON that was expected" },
    ];
    opened.next = async () => found(discovered(), [["trident", { failures, seconds: 0.2 }]]);
    await opened.lines();
    const lines = await opened.lines();
    expect(of(lines, `${ERRORS}{discoverer="trident"}`)).toEqual([`${ERRORS}{discoverer="trident"} 2`]);
    expect(lines).toContain(`${DURATION}_bucket{discoverer="trident",le="0.1"} 0`);
    expect(lines).toContain(`${DURATION}_bucket{discoverer="trident",le="0.25"} 2`);
    expect(opened.log.lines).toMatchObject([
      { level: "error", fields: { discoverer: "trident", path: "/t/a.json", files: 2 } },
    ]);
    opened.next = async () => found(discovered(), [["trident", { failures: [], seconds: 0 }]]);
    await opened.lines();
    expect(opened.log.lines.at(-1)).toMatchObject({ level: "info", fields: { count: 2 } });
  });

  test("and the time of the last success go on from one run of textfile to the next", async () => {
    const first = open();
    await first.lines();
    first.next = failing;
    const timestamp = of(await first.lines(), TIMESTAMP);
    const own = ownMetrics();
    own.restore(first.own.saved());
    const second = open({ own });
    second.next = failing;
    const lines = await second.lines();
    expect(of(lines, ERRORS)).toEqual([`${ERRORS}{discoverer="kubelet"} 2`]);
    expect(of(lines, TIMESTAMP)).toEqual(timestamp);
  });

  test("are kept over a reload, which opens another collector", async () => {
    const first = open();
    first.next = failing;
    await first.lines();
    const reloaded = open({ own: first.own, vendors: ["hpe"] });
    expect(of(await reloaded.lines(), ERRORS)).toEqual([
      `${ERRORS}{discoverer="hpe"} 0`,
      `${ERRORS}{discoverer="kubelet"} 1`,
    ]);
  });
});

test("the buckets of the durations are those that were agreed on", async () => {
  const lines = of(await open().lines(), `${DURATION}_bucket`);
  expect(lines.map((line) => /le="([^"]+)"/.exec(line)?.[1])).toEqual([
    "0.005",
    "0.01",
    "0.025",
    "0.05",
    "0.1",
    "0.25",
    "0.5",
    "1",
    "2.5",
    "5",
    "10",
    "+Inf",
  ]);
});

test("scrapes that come while one is running share its discovery", async () => {
  const opened = open();
  const { promise, resolve } = Promise.withResolvers<Found>();
  opened.next = () => promise;
  const scrapes = [opened.collector.collect(scrapeOf(1000)), opened.collector.collect(scrapeOf(1000))];
  resolve(found(discovered()));
  await Promise.all(scrapes);
  expect(opened.runs).toBe(1);
  opened.next = async () => found(discovered());
  expect(await opened.lines()).toContain(`${DURATION}_count{discoverer="kubelet"} 2`);
  expect(opened.runs).toBe(2);
});

test("a discovery has to end 0.2 s before the scrape has to", async () => {
  let limit = 0;
  const log = new RecordedLog();
  const collector = new CsiCollector(
    {
      async run({ deadline }) {
        limit = deadline;
        return found(discovered());
      },
    },
    { node: "", nodeIsHostName: false, kubelet: "", vendors: [] },
    ownMetrics(),
    log,
    new FaultLog(log),
  );
  const context = scrapeOf(1000);
  await collector.collect(context);
  expect(context.deadline - limit).toBe(200);
});

describe("the log", () => {
  const debugged = ({ log }: { readonly log: RecordedLog }) =>
    log.lines.filter(({ level }) => level === "debug");
  const warned = ({ log }: { readonly log: RecordedLog }) =>
    log.lines.filter(({ level }) => level === "warn");

  test("has a debug line for each skip, once, and one warning that names the totals", async () => {
    const opened = open();
    const discovery = discovered(
      [volume()],
      [skip("/a", "ephemeral"), skip("/b", "no_mount"), skip("/c", "no_mount")],
    );
    opened.next = async () => found(discovery);
    for (let scrape = 0; scrape < 3; scrape++) await opened.lines();
    expect(debugged(opened).map(({ fields }) => fields)).toEqual([
      { path: "/a", reason: "ephemeral" },
      { path: "/b", reason: "no_mount" },
      { path: "/c", reason: "no_mount" },
    ]);
    expect(warned(opened)).toEqual([
      {
        level: "warn",
        message: "CSI volumes without a device",
        fields: { collector: "csi", reason: "2 no_mount, 1 ephemeral" },
      },
    ]);
  });

  test("says nothing where every volume has a device", async () => {
    const opened = open();
    opened.next = async () => found(discovered([volume()]));
    await opened.lines();
    expect(opened.log.lines).toEqual([]);
  });

  test("says what to do where of no volume a mount is to be seen", async () => {
    const opened = open();
    opened.next = async () => found(discovered([], [skip("/a", "no_mount"), skip("/b", "ephemeral")]));
    await opened.lines();
    expect(warned(opened)).toMatchObject([
      { fields: { remedy: expect.stringContaining("HostToContainer") } },
    ]);
  });
});

describe("check", () => {
  test("counts the volumes and devices of each driver", async () => {
    const opened = open();
    const second = volume({ handle: "vol-2" });
    const other = volume({ driver: "other.example" });
    opened.next = async () => found(discovered([volume(), second, other]));
    expect(await opened.collector.check(scrapeOf(1000))).toEqual([
      { level: "ok", subject: "driver.example", message: "2 volumes on 1 device" },
      { level: "ok", subject: "other.example", message: "1 volume on 1 device" },
    ]);
  });

  test("says of every reason whether it is as it should be, else what to do, and names a path", async () => {
    const opened = open();
    const skipped = SKIP_REASONS.map((reason) => skip(`/${reason}`, reason));
    opened.next = async () => found(discovered([], skipped));
    const findings = await opened.collector.check(scrapeOf(1000));
    expect(findings.map(({ subject }) => subject)).toEqual([...SKIP_REASONS]);
    for (const { level, subject, message, remedy } of findings) {
      expect(message).toContain(`/${subject}`);
      expect(remedy !== undefined).toBe(level === "warning");
    }
    const fine = findings.filter(({ level }) => level === "ok").map(({ subject }) => subject);
    expect(fine).toEqual(["ephemeral", "same_filesystem", "network_filesystem", "virtual_filesystem"]);
  });

  test("names the mount propagation where of no volume a mount is to be seen", async () => {
    const opened = open();
    opened.next = async () => found(discovered([], [skip("/a", "no_mount")]));
    expect(await opened.collector.check(scrapeOf(1000))).toMatchObject([
      { level: "warning", subject: "no_mount", remedy: expect.stringContaining("HostToContainer") },
    ]);
  });

  test("is content with a node that has no volume", async () => {
    expect(await open().collector.check(scrapeOf(1000))).toMatchObject([
      { level: "ok", subject: "/var/lib/kubelet" },
    ]);
  });

  test("warns where the label node is only the host's name", async () => {
    expect(await open({ nodeIsHostName: true }).collector.check(scrapeOf(1000))).toContainEqual(
      expect.objectContaining({
        level: "warning",
        subject: "label node",
        remedy: expect.stringContaining("NODE_NAME"),
      }),
    );
  });

  test("tells of a vendor's files that cannot be used", async () => {
    const opened = open({ vendors: ["hpe"] });
    const failures = [
      { path: "/h/deviceInfo.json", reason: "cannot be read" },
      { path: "/h/2", reason: "" },
    ];
    opened.next = async () => found(discovered([volume()]), [["hpe", { failures, seconds: 0 }]]);
    expect(await opened.collector.check(scrapeOf(1000))).toContainEqual(
      expect.objectContaining({ level: "warning", message: "/h/deviceInfo.json cannot be read, and 1 more" }),
    );
  });

  test.each([
    ["a missing directory", new KubeletError("cannot read /k: no such file", "ENOENT"), "--path.kubelet"],
    [
      "missing rights",
      new KubeletError("cannot read /k: permission denied", "EACCES"),
      "CAP_DAC_READ_SEARCH",
    ],
    ["too little time", new KubeletError("too late"), "longer"],
    ["no mount table", new MountInfoError("cannot read mountinfo", "EACCES"), "--path.procfs"],
  ])("of %s is an error with its remedy", async (_, error, remedy) => {
    const opened = open();
    opened.next = async () => {
      throw error;
    };
    expect(await opened.collector.check(scrapeOf(1000))).toEqual([
      {
        level: "error",
        subject: "/var/lib/kubelet",
        message: error.message,
        remedy: expect.stringContaining(remedy),
      },
    ]);
  });
});
