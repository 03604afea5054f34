/** The CSI source as the rest of the program sees it: its collector, and whether this host runs a kubelet. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../config/settings.ts";
import { BlockDevices } from "../host/block-devices.ts";
import { MountTable } from "../host/mountinfo.ts";
import { codeOf, reasonOf } from "../host/system-error.ts";
import { WatchedFiles } from "../host/watched-files.ts";
import { FaultLog } from "../log/faults.ts";
import type { Log } from "../log/log.ts";
import type { Availability, Collector, CollectorDescription } from "../metrics/collector.ts";
import type { OwnMetrics } from "../metrics/own.ts";
import { CSI, CsiCollector } from "./csi.ts";
import { CsiDiscovery } from "./discovery.ts";
import { NODE_REMEDY } from "./findings.ts";

export interface CsiSeams {
  /** `major:minor` of the block device whose node stands at a path; left out, the file system is asked. */
  readonly nodeNumber?: (path: string) => string | undefined;
}

export interface CsiSource {
  readonly collectors: Collector[];
  /** What goes on from run to run is among the exporter's own metrics. */
  saveState(): void;
  close(): void;
}

export const CSI_COLLECTORS: readonly CollectorDescription[] = [CSI];

/**
 * On where a kubelet's directory is, be it that it cannot be looked into, and where one was named, be it a wrong one: so
 * that this shows. Where nobody says that there is a kubelet, and none is to be seen, nothing has failed.
 */
export function csiAvailability({ path: { kubelet }, kubeletIsNamed }: Settings): Availability {
  try {
    return statSync(kubelet).isDirectory()
      ? { available: true, reason: `${kubelet} exists` }
      : { available: kubeletIsNamed, reason: `${kubelet} is no directory` };
  } catch (error) {
    const code = codeOf(error);
    const isMissing = code === "ENOENT" || code === "ENOTDIR";
    const reason = isMissing ? `${kubelet} does not exist` : `${kubelet} cannot be seen: ${reasonOf(error)}`;
    return { available: kubeletIsNamed, reason };
  }
}

/**
 * Most mounts of a full node are those of secrets, tokens and subpaths: no volume is among them, nor anything that is
 * read below them.
 */
const isWanted = (path: string): boolean =>
  !/^\/pods\/[^/]+\/(?:volume-subpaths\/|volumes\/(?!kubernetes\.io~csi\/)[^/]+\/)/.test(path);

/** Nothing is read or opened before the first scrape. */
export function openCsi(settings: Settings, own: OwnMetrics, log: Log, seams: CsiSeams = {}): CsiSource {
  const { kubelet, rootfs, procfs, sysfs } = settings.path;
  const { vendorFiles: vendors } = settings.csi;
  const files = new WatchedFiles(log);
  const mounts = new MountTable(join(procfs, "self/mountinfo"), isWanted);
  const devices = new BlockDevices(sysfs);
  const discovery = new CsiDiscovery({ kubelet, rootfs, vendors }, { files, mounts, devices, ...seams });
  const options = {
    node: settings.nodeName,
    nodeIsHostName: settings.nodeNameIsHostName,
    kubelet,
    vendors,
  };
  if (settings.nodeNameIsHostName && existsSync(join(kubelet, "pods"))) {
    log.warn("the label node is the host name, which need not be the node's name in Kubernetes", {
      node: settings.nodeName,
      remedy: NODE_REMEDY,
    });
  }
  return {
    collectors: [new CsiCollector(discovery, options, own, log, new FaultLog(log))],
    saveState() {},
    close() {
      files.close();
      mounts.close();
    },
  };
}
