import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hangs, SMART } from "../../src/demo/nvme-answers.ts";
import type { Collector, ScrapeContext } from "../../src/metrics/collector.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { smartLog } from "../../src/nvme/commands.ts";
import { NVME_DEVICE_ERRORS } from "../../src/nvme/shared.ts";
import { NVME_COLLECTORS, nvmeAvailability, openDevices, openNvme } from "../../src/nvme/source.ts";
import { SIMULATED, type SimulatedHost, settingsFor, withHost } from "../support/nvme-host.ts";
import { ONE_EBS_VOLUME } from "../support/nvme-hosts.ts";
import { drive, RecordedLog, scrapeOf } from "../support/nvme-simulated-host.ts";

function open(host: SimulatedHost, state?: "keep") {
  const log = new RecordedLog();
  const own = new OwnMetrics(
    { version: "0", revision: "0", runtime: "test", runtimeVersion: "0" },
    { processMetrics: false },
  );
  const source = openNvme(settingsFor(host), own, log, { worker: SIMULATED, state });
  return {
    ...source,
    log,
    errors: async () => (await own.samples()).families.get(NVME_DEVICE_ERRORS)?.labels ?? [],
    collector(name: string): Collector {
      const found = source.collectors.find((collector) => collector.name === name);
      if (found === undefined) throw new Error(`there is no collector ${name}`);
      return found;
    },
  };
}

/** Names of the families that a collector gives. */
async function familiesOf(collector: Collector, context: ScrapeContext): Promise<string[]> {
  const { samples } = await collector.collect(context);
  return [...samples.families.keys()].map(({ name }) => name);
}

describe("whether the collectors are on", () => {
  const availabilityOn = (host: SimulatedHost) => nvmeAvailability(settingsFor(host));

  test("they are where there are controllers, and the reason counts them", () =>
    withHost({ controllers: [drive(0), drive(1)] }, async (host) => {
      expect(availabilityOn(host)).toEqual({
        available: true,
        reason: `${host.sysfs}/class/nvme has 2 controllers`,
      });
    }));

  test("they are where the driver is there, which may find a controller later", () =>
    withHost({ controllers: [] }, async (host) => {
      expect(availabilityOn(host)).toEqual({
        available: true,
        reason: `${host.sysfs}/class/nvme has no controllers`,
      });
    }));

  test("they are not where there is neither the driver nor a node", () =>
    withHost({ controllers: [], listing: "missing" }, async (host) => {
      expect(availabilityOn(host)).toEqual({
        available: false,
        reason: `neither ${host.sysfs}/class/nvme nor ${host.devfs}/nvme* exists`,
      });
    }));

  test("they are where a node stands without the driver's directory, so that this shows", () =>
    withHost({ controllers: [], listing: "missing" }, async (host) => {
      writeFileSync(join(host.devfs, "nvme0"), "");
      expect(availabilityOn(host).available).toBe(true);
    }));

  test("they are where the directory cannot be read, so that this shows", () =>
    withHost({ controllers: [], listing: "unreadable" }, async (host) => {
      expect(availabilityOn(host)).toMatchObject({
        available: true,
        reason: expect.stringContaining("cannot list"),
      });
    }));
});

test("the collectors are those that the descriptions name, in their order", () =>
  withHost({ controllers: [] }, async (host) => {
    const source = open(host);
    expect(source.collectors.map(({ name }) => name)).toEqual(NVME_COLLECTORS.map(({ name }) => name));
    source.close();
  }));

test("a host without the driver gives nothing, with success, and one line", () =>
  withHost({ controllers: [], listing: "missing" }, async (host) => {
    const source = open(host);
    for (const collector of source.collectors) {
      expect((await collector.collect(scrapeOf(1000))).success).toBe(true);
    }
    expect(source.log.lines).toMatchObject([{ level: "info", message: "this host has no NVMe driver" }]);
    expect(await source.errors()).toEqual([]);
    source.close();
  }));

test("inspect asks a device without a collector", () =>
  withHost({ controllers: [drive(3)] }, async (host) => {
    const opened = openDevices(settingsFor(host), new RecordedLog(), { worker: SIMULATED });
    const [controller] = opened.devices.list();
    if (controller === undefined) throw new Error("there is no controller");
    expect((await opened.devices.ask(controller, smartLog(), scrapeOf(2000))).kind).toBe("page");
    opened.close();
  }));

describe("textfile runs, one after the other", () => {
  test("give delta gauges from the second on", () =>
    withHost(ONE_EBS_VOLUME, async (host) => {
      const runs: string[][] = [];
      for (let run = 0; run < 2; run++) {
        const source = open(host, "keep");
        runs.push(await familiesOf(source.collector("ebs"), scrapeOf(3000)));
        source.saveState();
        source.close();
      }
      expect(runs[0]).not.toContain("ebs_collection_interval_seconds");
      expect(runs[1]).toContain("ebs_collection_interval_seconds");
      expect(runs[1]).toContain("ebs_volume_iops_exceeded_check");
    }));

  test("do not ask a device twice within a second", () =>
    withHost({ ...ONE_EBS_VOLUME, logCommands: true }, async (host) => {
      const times: number[] = [];
      for (let run = 0; run < 2; run++) {
        const source = open(host, "keep");
        await source.collector("ebs").collect(scrapeOf(3000));
        source.saveState();
        source.close();
        const lines = readFileSync(host.commandLog, "utf8").trimEnd().split("\n");
        times.push(JSON.parse(lines.at(-1) ?? "").at);
      }
      expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(980);

      const hurried = open(host, "keep");
      await hurried.collector("ebs").collect(scrapeOf(300));
      expect(await hurried.errors()).toMatchObject([{ reason: "busy" }]);
      hurried.close();
    }));

  test("keep nothing unless they are told to", () =>
    withHost(ONE_EBS_VOLUME, async (host) => {
      const source = open(host);
      await source.collector("ebs").collect(scrapeOf(2000));
      source.saveState();
      source.close();
      expect(existsSync(join(host.stateDirectory, "ebs-state.json"))).toBe(false);
    }));

  test("do not pile a second command onto a device that hangs", () =>
    withHost({ controllers: [drive(0, { answers: [hangs(SMART)] })], logCommands: true }, async (host) => {
      const commands = () => readFileSync(host.commandLog, "utf8").trimEnd().split("\n").length;
      const first = open(host, "keep");
      await first.collector("nvme").collect(scrapeOf(500));
      first.saveState();
      first.close();
      expect(commands()).toBe(1);

      const second = open(host, "keep");
      await second.collector("nvme").collect(scrapeOf(500));
      expect(await second.errors()).toMatchObject([{ collector: "nvme", device: "nvme0", reason: "busy" }]);
      second.saveState();
      second.close();
      expect(commands()).toBe(1);
    }));

  test("do not send a second command to a device that hangs when a reload opens them anew", () =>
    withHost({ controllers: [drive(0, { answers: [hangs(SMART)] })], logCommands: true }, async (host) => {
      const old = open(host);
      await old.collector("nvme").collect(scrapeOf(500));
      const reloaded = open(host);
      old.close();
      await reloaded.collector("nvme").collect(scrapeOf(500));
      expect(await reloaded.errors()).toMatchObject([{ device: "nvme0", reason: "busy" }]);
      reloaded.close();
      expect(readFileSync(host.commandLog, "utf8").trimEnd().split("\n")).toHaveLength(1);
    }));

  test("ask once for a page that a device does not have", () =>
    withHost({ controllers: [drive(0, { answers: [] })], logCommands: true }, async (host) => {
      const counts: number[] = [];
      for (let run = 0; run < 2; run++) {
        const source = open(host, "keep");
        await source.collector("nvme").collect(scrapeOf(2000));
        source.saveState();
        source.close();
        counts.push(readFileSync(host.commandLog, "utf8").trimEnd().split("\n").length);
      }
      expect(counts[1]).toBe(counts[0]);
    }));

  test("count a state file that is corrupt, and write it anew", () =>
    withHost({ controllers: [drive(0)] }, async (host) => {
      const file = join(host.stateDirectory, "ebs-state.json");
      writeFileSync(file, "{", { mode: 0o600 });
      const source = open(host, "keep");
      expect(await source.errors()).toEqual([{ collector: "ebs", device: "", reason: "state_file" }]);
      expect(source.log.lines).toMatchObject([{ level: "error", fields: { reason: "state_file" } }]);
      source.saveState();
      source.close();
      expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ boot_id: expect.any(String) });
    }));

  test("count a state file that is another's, and leave it", () =>
    withHost({ controllers: [drive(0)] }, async (host) => {
      const file = join(host.stateDirectory, "ebs-state.json");
      symlinkSync("elsewhere", file);
      const source = open(host, "keep");
      expect(await source.errors()).toEqual([{ collector: "ebs", device: "", reason: "state_file" }]);
      source.saveState();
      source.close();
      expect(existsSync(file)).toBe(false);
    }));
});
