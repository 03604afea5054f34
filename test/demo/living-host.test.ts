/** The demo's Kubernetes node over simulated time, as the real collector reads it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { LivingHost } from "../../src/demo/living-host.ts";
import { LIVING_NODE_SHOWS, momentAt } from "../../src/demo/living-node.ts";
import { createLog } from "../../src/log/create.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { COLLECTORS, openCollectors } from "../../src/scrape/sources.ts";

const SINCE = 1_700_000_000_000;

let host: LivingHost;

const at = (seconds: number): void => host.show(SINCE + 1000 * seconds);

/** The collector `csi` alone, in front of the host. */
function collectCsi() {
  const names = COLLECTORS.map(({ name }) => name);
  const flags = { "collector.disable-defaults": true, "collector.csi": true, "node-name": "demo-node" };
  const settings: Settings = { ...load(flags, {}, names).settings, path: host.paths };
  const log = createLog({ level: "error", format: "logfmt" });
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const { collectors, close } = openCollectors(settings, own, log);
  const scraper = new Scraper(collectors, own, log);
  return {
    async scrape(): Promise<string> {
      const { sets } = await scraper.scrape({ timeoutMs: 10_000 });
      return new TextDecoder().decode(expose(sets, "text").body);
    },
    close,
  };
}

/** What one family says, the labels in the order given. */
function seriesOf(exposition: string, family: string, ...labels: string[]): string[] {
  return exposition
    .split("\n")
    .filter((line) => line.startsWith(`${family}{`))
    .map((line) =>
      labels.map((label) => new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? "?").join(" "),
    )
    .sort();
}

const devices = (exposition: string) =>
  seriesOf(exposition, "csi_volume_node_device_info", "persistentvolume", "device");
const backing = (exposition: string) =>
  seriesOf(exposition, "csi_volume_backing_device_info", "persistentvolume", "backing_device", "role");
const skipped = (exposition: string) =>
  Object.fromEntries(
    [...exposition.matchAll(/^csi_volume_device_exporter_volumes_skipped\{reason="(\w+)"\} (\d+)$/gm)]
      .filter(([, , count]) => count !== "0")
      .map(([, reason, count]) => [reason, Number(count)]),
  );

const ALWAYS = [
  " sdf",
  "archive dm-3",
  "backups sde",
  "data-postgres-0 nvme1n1",
  "ledger dm-1",
  "media dm-2",
  "orders nvme7n1",
  "vm-disk rbd0",
  "warehouse nvme2n1p1",
];

const ALWAYS_SKIPPED = {
  ephemeral: 1,
  network_filesystem: 1,
  no_mount: 1,
  same_filesystem: 1,
  virtual_filesystem: 1,
};

/** Every second of the first quarter of an hour, in which everything has happened at least once. */
const SECONDS = Array.from({ length: 900 }, (_, second) => second);

describe("the moments of the demo", () => {
  test("a path is offline for 40 s in every two minutes", () => {
    const failed = SECONDS.filter((second) => momentAt(second).failedPath);
    expect(failed).toEqual(SECONDS.filter((second) => second % 120 >= 30 && second % 120 < 70));
  });

  test("a controller is lost for 7 minutes in every 12", () => {
    const lost = SECONDS.filter((second) => momentAt(second).lostController);
    expect(lost).toEqual(SECONDS.filter((second) => second % 720 >= 60 && second % 720 < 480));
  });

  test("each minute has its own job, whose volume is mounted after it is described and unmounted before", () => {
    expect([14, 15, 16, 17, 49, 50, 51, 52, 75].map((second) => momentAt(second).job)).toEqual([
      undefined,
      { number: 1, mounted: false },
      { number: 1, mounted: false },
      { number: 1, mounted: true },
      { number: 1, mounted: true },
      { number: 1, mounted: false },
      { number: 1, mounted: false },
      undefined,
      { number: 2, mounted: false },
    ]);
  });
});

describe("the demo's Kubernetes node", () => {
  beforeEach(() => {
    host = new LivingHost(SINCE);
  });
  afterEach(() => {
    host.remove();
  });

  test("has each volume on its device, with what lies below, and counts what has none", async () => {
    const csi = collectCsi();
    const exposition = await csi.scrape();
    csi.close();
    expect(devices(exposition)).toEqual(ALWAYS);
    expect(backing(exposition)).toEqual([
      " sdf leaf",
      "archive nvme5n1 leaf",
      "archive nvme6n1 leaf",
      "backups sde leaf",
      "data-postgres-0 nvme1n1 leaf",
      "ledger dm-0 multipath",
      "media dm-2 multipath",
      "orders nvme7n1 leaf",
      "vm-disk rbd0 leaf",
      "warehouse nvme2n1 partition_parent",
    ]);
    expect(skipped(exposition)).toEqual(ALWAYS_SKIPPED);
    expect(exposition).toContain('plumbline_collector_success{collector="csi"} 1');
  });

  test("gives volumes to jobs and takes them away, before the eyes of one reader", async () => {
    const csi = collectCsi();
    const story: [second: number, volumes: string[], unmounted: number][] = [];
    for (const second of [0, 16, 17, 49, 51, 52, 74, 76, 80, 115]) {
      at(second);
      const exposition = await csi.scrape();
      const volumes = devices(exposition).filter((volume) => !ALWAYS.includes(volume));
      story.push([second, volumes, skipped(exposition)["no_mount"] ?? 0]);
    }
    csi.close();
    expect(story).toEqual([
      [0, [], 1],
      [16, [], 2],
      [17, ["report-1 dm-4"], 1],
      [49, ["report-1 dm-4"], 1],
      [51, [], 2],
      [52, [], 1],
      [74, [], 1],
      [76, [], 2],
      [80, ["report-2 dm-4"], 1],
      [115, [], 1],
    ]);
  });

  test("looks to a reader that came along the way as to one that comes now", async () => {
    const along = collectCsi();
    for (const second of [0, 18, 35, 50, 65, 80, 110, 170, 260]) {
      at(second);
      const exposition = await along.scrape();
      const now = collectCsi();
      const anew = await now.scrape();
      now.close();
      expect([devices(exposition), backing(exposition), skipped(exposition)]).toEqual([
        devices(anew),
        backing(anew),
        skipped(anew),
      ]);
    }
    along.close();
  });

  test("lets a path and a controller fail and come back where node_exporter looks", () => {
    const state = (second: number, path: string): string => {
      at(second);
      return readFileSync(join(host.paths.sysfs, path), "utf8").trim();
    };
    expect([29, 30, 69, 70].map((second) => state(second, "block/sdb/device/state"))).toEqual([
      "running",
      "offline",
      "offline",
      "running",
    ]);
    const controller = "class/nvme-subsystem/nvme-subsys7/nvme8/state";
    expect([59, 60, 479, 480].map((second) => state(second, controller))).toEqual([
      "live",
      "connecting",
      "connecting",
      "live",
    ]);
  });

  test("has what node_exporter reads of every NVMe subsystem and multipath device", () => {
    const read = (path: string) => readFileSync(join(host.paths.sysfs, path), "utf8").trim();
    const subsystems = readdirSync(join(host.paths.sysfs, "class/nvme-subsystem"));
    expect(subsystems).toContain("nvme-subsys7");
    for (const subsystem of subsystems) {
      for (const file of ["subsysnqn", "model", "serial", "iopolicy"]) {
        expect(read(`class/nvme-subsystem/${subsystem}/${file}`)).not.toBe("");
      }
    }
    const members = readdirSync(join(host.paths.sysfs, "class/nvme-subsystem/nvme-subsys7"));
    expect(members.filter((name) => /^nvme\d/.test(name)).sort()).toEqual(["nvme7", "nvme7n1", "nvme8"]);

    const multipath = readdirSync(join(host.paths.sysfs, "block")).filter(
      (name) => name.startsWith("dm-") && read(`block/${name}/dm/uuid`).startsWith("mpath-"),
    );
    const paths = multipath.map((name) =>
      readdirSync(join(host.paths.sysfs, "block", name, "slaves")).sort(),
    );
    expect(multipath.map((name, i) => [name, ...(paths[i] ?? [])])).toEqual([
      ["dm-0", "sda", "sdb"],
      ["dm-2", "sdc", "sdd"],
    ]);
  });

  test("counts the I/O of each device, none on a path while it is offline, and never backwards", () => {
    const readsAt = (second: number): Map<string, number> => {
      at(second);
      const lines = readFileSync(join(host.paths.procfs, "diskstats"), "utf8").trimEnd().split("\n");
      return new Map(lines.map((line) => [line.split(" ")[2] ?? "", Number(line.split(" ")[3])]));
    };
    const disks = readdirSync(join(host.paths.sysfs, "dev/block"));
    let before = readsAt(0);
    expect(before.size).toBe(disks.length);
    for (const second of [20, 25, 45, 60, 71, 80, 140]) {
      const reads = readsAt(second);
      for (const [name, count] of reads) {
        // A job has a new device each time.
        if (name !== "dm-4") expect([name, count >= (before.get(name) ?? 0)]).toEqual([name, true]);
      }
      expect((reads.get("sda") ?? 0) > (before.get("sda") ?? 0)).toBe(true);
      expect((reads.get("sdb") ?? 0) > (before.get("sdb") ?? 0)).toBe(second !== 60);
      before = reads;
    }
  });

  test("gives every block device a number of its own, by which it is found", () => {
    at(20);
    const names = readdirSync(join(host.paths.sysfs, "class/block"));
    const numbered = names.filter((name) => existsSync(join(host.paths.sysfs, "class/block", name, "dev")));
    expect(numbered).toContain("dm-4");
    for (const name of numbered) {
      const number = readFileSync(join(host.paths.sysfs, "class/block", name, "dev"), "utf8").trim();
      expect(realpathSync(join(host.paths.sysfs, "dev/block", number))).toBe(
        realpathSync(join(host.paths.sysfs, "class/block", name)),
      );
    }
    expect(readdirSync(join(host.paths.sysfs, "dev/block"))).toHaveLength(numbered.length);
  });

  test("leaves nothing of what has been, whatever came and went", () => {
    const files = (directory: string): string[] =>
      readdirSync(directory)
        .flatMap((name) => {
          const path = join(directory, name);
          return lstatSync(path).isDirectory() ? [path, ...files(path)] : [path];
        })
        .sort();
    const first = files(host.directory);
    for (const second of [16, 20, 40, 51, 62, 80, 110]) at(second);
    expect(files(host.directory)).not.toEqual(first);
    at(0);
    expect(files(host.directory)).toEqual(first);
    host.remove();
    expect(existsSync(host.directory)).toBe(false);
  });

  test("shows the volumes that people are told of, and no other", () => {
    at(20);
    const told = LIVING_NODE_SHOWS.flatMap(([volumes]) => volumes.split(", ")).filter((name) => name !== "…");
    const named = new Set<string>();
    const collect = (directory: string): void => {
      for (const name of readdirSync(directory)) {
        const path = join(directory, name);
        if (lstatSync(path).isDirectory()) collect(path);
        else if (name === "vol_data.json")
          named.add(JSON.parse(readFileSync(path, "utf8")).specVolID ?? "(unknown)");
      }
    };
    collect(host.paths.kubelet);
    expect([...named].sort()).toEqual(told.sort());
  });
});

test("a host that can no longer be written says so once and leaves the process alone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-lines-"));
  try {
    const lines: string[] = [];
    const script = join(directory, "live.ts");
    await Bun.write(
      script,
      `import { LivingHost } from "${join(import.meta.dir, "../../src/demo/living-host.ts")}";
       import { createLog } from "${join(import.meta.dir, "../../src/log/create.ts")}";
       // As if it had begun long ago: the first tick has something to change.
       const host = new LivingHost(Date.now() - 20_000);
       host.live(createLog({ level: "info", format: "logfmt" }));
       host.remove();
       setTimeout(() => {}, Number(process.argv[2]));`,
    );
    const run = async (ms: number) => {
      const child = Bun.spawn([process.execPath, script, `${ms}`], {
        env: { ...process.env, TMPDIR: directory },
        stderr: "pipe",
      });
      lines.push(...(await new Response(child.stderr).text()).split("\n").filter((line) => line !== ""));
      return await child.exited;
    };
    expect(await run(2500)).toBe(0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("the simulated host no longer moves");
    expect(readdirSync(directory)).toEqual(["live.ts"]);
    // Without anything else to do, it does not wait for the next tick.
    expect(await run(0)).toBe(0);
    expect(lines).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
