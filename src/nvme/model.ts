/** Controllers, namespaces, commands and answers: the types that the NVMe readers and collectors share. */
import type { ScrapeContext } from "../metrics/collector.ts";

/** One entry of /sys/class/nvme; text is trimmed of blanks and NULs, bytes outside 0x20–0x7E are `?`. */
export interface Controller {
  /** Directory name: `nvme0`. */
  readonly name: string;
  /** /sys/class/nvme/<name>/model */
  readonly model: string;
  /** /sys/class/nvme/<name>/serial */
  readonly serial: string;
  /** /sys/class/nvme/<name>/firmware_rev */
  readonly firmware: string;
  /** /sys/class/nvme/<name>/transport: `pcie`, `tcp`, `rdma`, `fc`, `loop` */
  readonly transport: string;
  /** /sys/class/nvme/<name>/subsysnqn */
  readonly subsystemNqn: string;
  /** /sys/class/nvme/<name>/state: `live`, `connecting`, `resetting`, `deleting`, `dead` … */
  readonly state: string;
  /** /sys/class/nvme/<name>/dev, `major:minor`; absent where the file is */
  readonly dev: string | undefined;
  /** By nsid, ascending. */
  readonly namespaces: readonly Namespace[];
}

/** One path to a namespace, as the directory of its controller shows it. What sysfs does not tell is undefined. */
export interface Namespace {
  /** The path: `nvme1c2n1`, or the same as `name` where there is only one. */
  readonly path: string;
  /** The block device (multipath head): `nvme1n1`. */
  readonly name: string;
  /** File `nsid` of the path. */
  readonly nsid: number;
  /** File `size` of the head in /sys/class/block × 512: sysfs counts 512-byte sectors whatever the LBA size. */
  readonly sizeBytes: bigint | undefined;
  /** File `queue/logical_block_size` of the head. */
  readonly logicalBlockSizeBytes: number | undefined;
  /** File `nuse` (since Linux 6.8), in logical blocks. */
  readonly usedBlocks: bigint | undefined;
  /** File `ana_state` of the path. */
  readonly anaState: string | undefined;
}

/** The pages that plumbline reads, and nothing else. */
export type Page =
  | "identify_controller"
  | "identify_namespace"
  | "smart"
  | "ebs"
  | "instance_store"
  | "instance_store_detail";

/** An admin command, made by `commands.ts` alone. */
export interface AdminCommand {
  readonly page: Page;
  /** 0 where the command names no namespace. */
  readonly nsid: number;
  /** struct nvme_passthru_cmd, 72 bytes, with `addr` 0. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes the device transfers. */
  readonly length: number;
}

export type Answer =
  /** `readAt`: `performance.now()` of the main thread, in ms, at the ioctl's return. */
  | { readonly kind: "page"; readonly bytes: Uint8Array; readonly readAt: number }
  /** The NVMe status of a refused command (SC 7:0, SCT 10:8, DNR 0x4000). */
  | { readonly kind: "status"; readonly status: number }
  /** This status says that the device does not have the page: seen now for the first time. */
  | { readonly kind: "unsupported_page"; readonly status: number }
  /** Seen before: the device was not asked. No error. */
  | { readonly kind: "known_unsupported" }
  | { readonly kind: "not_live" }
  | { readonly kind: "permission"; readonly errno: number }
  | { readonly kind: "open"; readonly errno: number }
  | { readonly kind: "not_a_device" }
  | { readonly kind: "ioctl"; readonly errno: number }
  | { readonly kind: "timeout" }
  | { readonly kind: "busy" };

/** The bounded values of `reason` in plumbline_nvme_device_errors_total; spec: 'bad, missing, hostile input'. */
export type Reason =
  | Exclude<Answer["kind"], "page" | "status" | "known_unsupported">
  | "nvme_status"
  | "listing"
  | "empty_page"
  | "bad_identity"
  | "bad_magic"
  | "bad_histogram"
  | "detail"
  | "no_namespace"
  | "state_file"
  | "limit";

export interface Devices {
  /** Every controller under <sysfs>/class/nvme, by number; empty without that directory. Throws when it is unreadable. */
  list(): Controller[];
  /** Asks once, within the scrape's deadline; readings of the same page within a second are shared. Never rejects. */
  ask(controller: Controller, command: AdminCommand, context: ScrapeContext): Promise<Answer>;
}

/** Counts and logs what went wrong with a device, for one collector. */
export interface DeviceFaults {
  /** Adds 1 to plumbline_nvme_device_errors_total and logs at the start of a fault and every 10 minutes. */
  record(device: string, reason: Reason, detail: string): void;
  /** Ends the scrape: what was failing and was not recorded again has recovered. */
  settle(): void;
}
