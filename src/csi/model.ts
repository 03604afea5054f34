/** What is known of the CSI volumes of this node: what the kubelet wrote, and where each volume led. */
import type { Backing } from "../host/block-devices.ts";

/** Why a volume has no device, or (`backing_unresolved`) why nothing is known of what lies under it. */
export const SKIP_REASONS = [
  "bad_json",
  "unreadable",
  "unsafe_path",
  "no_mount",
  "ephemeral",
  "same_filesystem",
  "network_filesystem",
  "virtual_filesystem",
  "unresolved",
  "backing_unresolved",
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** One `vol_data.json` (or vendor's file) that names a volume. */
export interface VolumeEntry {
  /** The file that names the volume, for the log. */
  readonly path: string;
  readonly kind: "published" | "staged" | "block";
  readonly driver: string;
  readonly handle: string;
  /** Name of the PersistentVolume (`specVolID`); staged entries mostly lack it. */
  readonly persistentVolume: string | undefined;
  readonly ephemeral: boolean;
  /** Where a mount of the volume may be, the best first: directories for a file system, device nodes for a block volume. */
  readonly mountPoints: readonly string[];
  /** Directories of which a direct child may be the mount point (`globalmount`, `staging/<spec>`). */
  readonly mountParents: readonly string[];
  /** Device nodes that the kubelet made for a block volume: `dev/<podUID>`. */
  readonly deviceNodes: readonly string[];
}

/** What could not even be named: a file that was no volume's, a path that was not safe to follow. */
export interface SkippedPath {
  readonly path: string;
  readonly reason: SkipReason;
}

/** What one walk through the kubelet's directory found. */
export interface KubeletWalk {
  readonly entries: readonly VolumeEntry[];
  readonly skipped: readonly SkippedPath[];
}

/** One volume on one device, whoever uses it. */
export interface VolumeDevice {
  readonly driver: string;
  readonly handle: string;
  /** Empty where no file tells it. */
  readonly persistentVolume: string;
  /** The mounted kernel device: `dm-3`, `nvme1n1p1`. */
  readonly device: string;
  readonly backing: Backing;
}

/** The result of one discovery: pure data, sorted, the same for the same host. */
export interface Discovery {
  readonly volumes: readonly VolumeDevice[];
  /** Volumes by reason; every reason is there. */
  readonly skipped: Readonly<Record<SkipReason, number>>;
  /** For the debug log. */
  readonly skippedPaths: readonly SkippedPath[];
}
