/** A Kubernetes node in a temporary directory: the kubelet's files, a mount table and a /sys, which the test changes. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Settings } from "../../src/config/settings.ts";
import type { Mount } from "../../src/host/mountinfo.ts";
import { createLog } from "../../src/log/create.ts";
import { expose, type Format } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { BUILD_INFO } from "../../src/metrics/own-descriptors.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { openCollectors } from "../../src/scrape/sources.ts";
import { buildKubelet, mountInfoText, rootMount, type Volume } from "./kubelet-tree.ts";
import { settingsFor } from "./nvme-host.ts";
import { type BlockDevice, buildBlockDevices } from "./sysfs-tree.ts";

export interface NodeDescription {
  readonly volumes?: readonly Volume[];
  readonly devices?: readonly BlockDevice[];
  /** Beside those of the volumes and that of `/`, which is 254:0. */
  readonly mounts?: (root: string) => readonly Mount[];
}

export class CsiNode implements Disposable {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), "plumbline-csi-")));
  readonly kubelet = join(this.directory, "var/lib/kubelet");
  readonly sysfs = join(this.directory, "sys");
  readonly procfs = join(this.directory, "proc");
  mounts: Mount[];

  constructor({ volumes = [], devices = [], mounts = () => [] }: NodeDescription = {}) {
    this.mounts = [...buildKubelet(this.kubelet, volumes), ...mounts(this.kubelet)];
    buildBlockDevices(this.sysfs, devices);
    this.writeMounts();
  }

  /** The mount table becomes what `mounts` says, or `text`. */
  writeMounts(text = mountInfoText([rootMount("254:0"), ...this.mounts])): void {
    mkdirSync(join(this.procfs, "self"), { recursive: true });
    writeFileSync(join(this.procfs, "self/mountinfo"), text);
  }

  add(...volumes: Volume[]): void {
    this.mounts.push(...buildKubelet(this.kubelet, volumes));
    this.writeMounts();
  }

  /** `path` counts from the node's `/`. */
  write(path: string, content: string | Uint8Array): string {
    const whole = join(this.directory, path);
    mkdirSync(dirname(whole), { recursive: true });
    writeFileSync(whole, content);
    return whole;
  }

  settings(about: Partial<Settings> = {}): Settings {
    const { sysfs, procfs, kubelet, directory } = this;
    const settings = settingsFor({
      directory,
      sysfs,
      devfs: "/dev",
      stateDirectory: join(directory, "state"),
      commandLog: "",
    });
    return {
      ...settings,
      collectors: { disableDefaults: true, chosen: { csi: true } },
      path: { ...settings.path, procfs, kubelet },
      ...about,
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface Collecting extends Disposable {
  readonly own: OwnMetrics;
  /** The exposition, but for build, durations and times, which are 0. */
  scrape(format?: Format, timeoutMs?: number): Promise<string>;
  /** Lines since the last call; the node's directory is `NODE`. */
  logLines(): string[];
}

/** The collector csi of a node, as `serve` and `textfile` run it. */
export function collectOn(node: CsiNode, settings = node.settings(), own = ownMetrics()): Collecting {
  const lines: string[] = [];
  const log = createLog({ level: "debug", format: "logfmt" }, (line) => lines.push(line));
  const opened = openCollectors(settings, own, log);
  const scraper = new Scraper(opened.collectors, own, log);
  return {
    own,
    async scrape(format = "text", timeoutMs = 10_000) {
      const { sets } = await scraper.scrape({ timeoutMs });
      const { body, duplicates } = expose([...sets, withoutBuild(await own.samples())], format);
      if (duplicates.length > 0) throw new Error(`series given twice: ${duplicates.join(", ")}`);
      return new TextDecoder().decode(body).replace(MOVING, "$1 0");
    },
    logLines() {
      return lines.splice(0).map((line) =>
        line
          .trimEnd()
          .replace(/\bts=\S+/, "ts=TIME")
          .replaceAll(node.directory, "NODE"),
      );
    },
    [Symbol.dispose]: opened.close,
  };
}

export const ownMetrics = (): OwnMetrics =>
  new OwnMetrics({ version: "", revision: "", runtime: "", runtimeVersion: "" }, { processMetrics: false });

/** Times, and how many discoveries were how fast. */
const MOVING =
  /^(\w+_duration_seconds(?:\{[^}]*\})?|\w+_duration_seconds_(?:sum|bucket)\{.*\}|\w+_timestamp_seconds) .*$/gm;

function withoutBuild(own: Samples): Samples {
  const rest = new Samples();
  for (const [descriptor, family] of own.families) {
    if (descriptor.name !== BUILD_INFO.name) rest.families.set(descriptor, family);
  }
  return rest;
}
