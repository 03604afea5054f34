import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LiveCollectors } from "../../src/scrape/live-collectors.ts";
import { openCollectors } from "../../src/scrape/sources.ts";
import { CsiNode } from "../support/csi-node.ts";
import { ownMetrics, recordingLog } from "./fakes.ts";

describe("a reload without another setting", () => {
  const live = (node: CsiNode) => {
    const settings = node.settings({ collectors: { disableDefaults: false, chosen: { nvme: false } } });
    const own = ownMetrics();
    const collectors = new LiveCollectors(settings, own, recordingLog(), openCollectors);
    const names = () => collectors.scraper.names.filter((name) => name === "csi");
    return { reload: () => collectors.replace(settings), names, [Symbol.dispose]: () => collectors.close() };
  };

  test("switches on what the host has got meanwhile, and off what it has no more", () => {
    using node = new CsiNode();
    rmSync(node.kubelet, { recursive: true });
    using collectors = live(node);
    expect(collectors.names()).toEqual([]);
    mkdirSync(join(node.kubelet, "pods"), { recursive: true });
    expect(collectors.reload()).toBe("replaced");
    expect(collectors.names()).toEqual(["csi"]);
    rmSync(node.kubelet, { recursive: true });
    expect(collectors.reload()).toBe("replaced");
    expect(collectors.names()).toEqual([]);
  });

  test("keeps the collectors where the host is as it was", () => {
    using node = new CsiNode();
    using collectors = live(node);
    expect(collectors.reload()).toBe("kept");
  });
});
