/** What `plumbline check` says of the CSI volumes of this node, and what to do where something is wrong. */
import { MountInfoError } from "../host/mountinfo.ts";
import type { Finding } from "../metrics/collector.ts";
import type { Found } from "./discovery.ts";
import { KubeletError } from "./kubelet.ts";
import { type Discovery, SKIP_REASONS, type SkipReason } from "./model.ts";
import { isUnmounted, PROPAGATION_REMEDY } from "./skip-report.ts";

export const RIGHTS_REMEDY =
  "run plumbline as root or with CAP_DAC_READ_SEARCH, the only capability that it needs for this: the kubelet's directories are root's alone";

export const NODE_REMEDY = "set NODE_NAME to the pod's spec.nodeName, or give --node-name";

export interface Place {
  /** The kubelet's directory, as it was configured. */
  readonly kubelet: string;
  /** Value of the label `node`. */
  readonly node: string;
  /** Nobody gave `node`. */
  readonly nodeIsHostName: boolean;
}

/** Pure. */
export function findingsOf(
  { discovery, vendors }: Found,
  { kubelet, node, nodeIsHostName }: Place,
): Finding[] {
  const found: Finding[] = [...drivers(discovery), ...skips(discovery)];
  if (found.length === 0) {
    found.push({ level: "ok", subject: kubelet, message: "can be read; this node has no CSI volume now" });
  }
  for (const [vendor, { failures }] of vendors) {
    const subject = `vendor files of ${vendor}`;
    const [first] = failures;
    if (first === undefined) found.push({ level: "ok", subject, message: "none that cannot be used" });
    else {
      found.push({
        level: "warning",
        subject,
        message: `${first.path} ${first.reason}${failures.length > 1 ? `, and ${failures.length - 1} more` : ""}`,
        remedy: "let plumbline read the vendor's directory, or leave the vendor out of csi.vendor_files",
      });
    }
  }
  if (nodeIsHostName) {
    const message = `${node}, the host name, which need not be the node's name in Kubernetes`;
    found.push({ level: "warning", subject: "label node", message, remedy: NODE_REMEDY });
  }
  return found;
}

/** Why nothing can be told of any volume, and what to do. */
export function explained(error: unknown, kubelet: string): { message: string; remedy?: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MountInfoError) {
    return { message, remedy: "let plumbline read self/mountinfo under --path.procfs" };
  }
  if (!(error instanceof KubeletError)) return { message };
  if (error.code === undefined) return { message, remedy: "give the scrape longer" };
  if (error.code === "EACCES" || error.code === "EPERM") return { message, remedy: RIGHTS_REMEDY };
  return {
    message,
    remedy: `name the kubelet's directory with --path.kubelet (it is ${kubelet} now), and mount it where this is a container; --no-collector.csi where no kubelet runs`,
  };
}

function drivers({ volumes }: Discovery): Finding[] {
  return [...Map.groupBy(volumes, ({ driver }) => driver)].map(([driver, series]) => {
    const handles = new Set(series.map(({ handle }) => handle)).size;
    const devices = new Set(series.map(({ device }) => device)).size;
    const message = `${counted(handles, "volume")} on ${counted(devices, "device")}`;
    return { level: "ok", subject: driver, message };
  });
}

function skips(discovery: Discovery): Finding[] {
  const { skipped, skippedPaths } = discovery;
  return SKIP_REASONS.filter((reason) => skipped[reason] > 0).map((reason) => {
    const { level, message, remedy } =
      reason === "no_mount" && isUnmounted(discovery)
        ? {
            level: "warning" as const,
            message: "of none of them is a mount to be seen",
            remedy: PROPAGATION_REMEDY,
          }
        : ABOUT[reason];
    const paths = skippedPaths.flatMap((skip) => (skip.reason === reason ? [skip.path] : []));
    const more = paths.length > MOST_PATHS ? `, and ${paths.length - MOST_PATHS} more` : "";
    return {
      level,
      subject: reason,
      message: `${counted(skipped[reason], "volume")}: ${message}: ${paths.slice(0, MOST_PATHS).join(", ")}${more}`,
      ...(remedy !== undefined && { remedy }),
    };
  });
}

/** As many are named, for whoever looks for the volumes that an alert counts. */
const MOST_PATHS = 10;

interface About {
  readonly level: Finding["level"];
  readonly message: string;
  readonly remedy?: string;
}

const ABOUT: Readonly<Record<SkipReason, About>> = {
  bad_json: {
    level: "warning",
    message: "the file that names it is none of the kubelet's",
    remedy: "remove what a crash left behind, or restart the pod whose volume it is",
  },
  unreadable: {
    level: "warning",
    message: "what names it cannot be read",
    remedy: RIGHTS_REMEDY,
  },
  unsafe_path: {
    level: "warning",
    message: "something else stands where a directory or a file belongs; it was not followed",
    remedy: "find out who put it there",
  },
  no_mount: {
    level: "warning",
    message: "not mounted: not yet, or left behind",
    remedy: "none while a pod starts; what a reboot left behind the kubelet removes with its pod",
  },
  ephemeral: { level: "ok", message: "inline in a pod, without a PersistentVolume" },
  same_filesystem: { level: "ok", message: "a directory on the kubelet's own disk" },
  network_filesystem: { level: "ok", message: "a network file system, which has no device here" },
  virtual_filesystem: { level: "ok", message: "a file system without a device" },
  unresolved: {
    level: "warning",
    message: "mounted, but its device is not in /sys",
    remedy: "let plumbline read the host's /sys (--path.sysfs); a device that was pulled has gone from it",
  },
  backing_unresolved: {
    level: "warning",
    message: "its device is known, but not all that lies below",
    remedy: "look at the slaves of the device in /sys/class/block (lsblk -s)",
  },
};

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;
