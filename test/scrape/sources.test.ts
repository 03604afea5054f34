import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { availability, COLLECTORS, openCollectors } from "../../src/scrape/sources.ts";
import { ownMetrics, recordingLog } from "./fakes.ts";

const NAMES = COLLECTORS.map(({ name }) => name);

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plumbline-sources-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function settings(flags: Record<string, boolean> = {}): Settings {
  const paths = {
    "path.sysfs": join(root, "sys"),
    "path.devfs": join(root, "dev"),
    "path.rootfs": root,
  };
  return load({ ...paths, ...flags }, {}, NAMES).settings;
}
const withNvme = () => mkdirSync(join(root, "sys/class/nvme"), { recursive: true });

const enabled = (flags?: Record<string, boolean>): string[] =>
  [...availability(settings(flags))].filter(([, { enabled }]) => enabled).map(([name]) => name);

function opened(flags?: Record<string, boolean>): string[] {
  const { collectors, close } = openCollectors(settings(flags), ownMetrics(), recordingLog());
  close();
  return collectors.map(({ name }) => name);
}

describe("the collectors", () => {
  test("have distinct names, a line of help and descriptors", () => {
    expect(new Set(NAMES).size).toBe(NAMES.length);
    expect(NAMES).toEqual(expect.arrayContaining(["nvme", "ebs", "instance_store", "csi"]));
    for (const { help, descriptors } of COLLECTORS) {
      expect(help).not.toBe("");
      expect(descriptors.length).toBeGreaterThan(0);
    }
  });

  test("are on where the host has what they read, and off where it does not, with the reason", () => {
    expect(enabled()).toEqual([]);
    expect(availability(settings()).get("csi")?.reason).toContain(join(root, "var/lib/kubelet"));
    expect(availability(settings()).get("nvme")?.reason).toContain(join(root, "sys"));
    withNvme();
    expect(enabled()).toEqual(["nvme", "ebs", "instance_store"]);
    expect(opened()).toEqual(["nvme", "ebs", "instance_store"]);
    mkdirSync(join(root, "var/lib/kubelet"), { recursive: true });
    expect(opened()).toEqual(["nvme", "ebs", "instance_store", "csi"]);
  });

  test("are on by --collector.NAME also where the host has nothing", () => {
    expect(enabled({ "collector.ebs": true })).toEqual(["ebs"]);
    expect(opened({ "collector.ebs": true })).toEqual(["ebs"]);
  });

  test("are off by --no-collector.NAME", () => {
    withNvme();
    expect(enabled({ "collector.ebs": false })).toEqual(["nvme", "instance_store"]);
    expect(opened({ "collector.ebs": false })).toEqual(["nvme", "instance_store"]);
  });

  test("are all off by --collector.disable-defaults, but for those that are named", () => {
    withNvme();
    expect(enabled({ "collector.disable-defaults": true })).toEqual([]);
    expect(opened({ "collector.disable-defaults": true })).toEqual([]);
    expect(enabled({ "collector.disable-defaults": true, "collector.nvme": true })).toEqual(["nvme"]);
  });
});
