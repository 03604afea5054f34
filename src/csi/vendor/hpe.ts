/**
 * What HPE's node plugin notes of a volume that it staged: `deviceInfo.json` in the volume's `globalmount`, beside the
 * `mount` on which the file system is.
 */
import { dirname } from "node:path";
import * as v from "valibot";
import type { MountsBelow } from "../../host/mountinfo.ts";
import type { Files } from "../kubelet.ts";
import type { VolumeEntry } from "../model.ts";
import { type Answer, collectAnswers, devicePath, type VendorAnswers, vendorFile } from "./vendor-file.ts";

export const HPE_DRIVER = "csi.hpe.com";

/** `volumes`: those of which nothing else told the device; other drivers' are passed over. */
export function readHpe(files: Files, mounts: MountsBelow, volumes: readonly VolumeEntry[]): VendorAnswers {
  return collectAnswers(
    volumes
      .filter(({ kind, driver }) => kind === "staged" && driver === HPE_DRIVER)
      .map((volume) => readDeviceInfo(files, mounts, volume)),
  );
}

function readDeviceInfo(files: Files, mounts: MountsBelow, { path, handle }: VolumeEntry): Answer {
  const directory = dirname(path);
  const globalMount = `${directory}/globalmount`;
  // Below a mount point everything is the tenant's, who could write such a file as well.
  if (mounts.below.has(globalMount) || !holdsDirectory(files, directory, "globalmount")) {
    return { kind: "missing" };
  }
  const taken = readFile(files, globalMount, "deviceInfo.json");
  if (taken.kind !== "taken") return taken;
  const { volume_id, device } = taken.fields;
  if (volume_id !== handle) return taken.unusable("is that of another volume");
  if (device.path_name) {
    // `dm-3` for SCSI, `/dev/nvme0n1` for NVMe.
    const node = devicePath(device.path_name.startsWith("/") ? device.path_name : `/dev/${device.path_name}`);
    if (node === undefined) return taken.unusable("names no device below /dev");
    return { kind: "found", handle, device: { kind: "path", path: node } };
  }
  if (!device.major || !device.minor) return taken.unusable("names no device");
  return { kind: "found", handle, device: { kind: "number", majorMinor: `${device.major}:${device.minor}` } };
}

/** A symlink there could lead anywhere. */
function holdsDirectory(files: Files, directory: string, name: string): boolean {
  const listing = files.list(directory);
  if (listing.kind === "failed") return false;
  return listing.entries.some((entry) => entry.name === name && entry.type === "directory");
}

/** HPE writes it as text. */
const DeviceNumber = v.pipe(
  v.union([v.string(), v.pipe(v.number(), v.safeInteger())]),
  v.transform(String),
  v.regex(/^\d{0,10}$/),
);

const readFile = vendorFile(
  v.object({
    volume_id: v.string(),
    device: v.object({
      path_name: v.optional(v.string()),
      major: v.optional(DeviceNumber),
      minor: v.optional(DeviceNumber),
    }),
  }),
);
