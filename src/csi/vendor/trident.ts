/**
 * NetApp Trident's tracking files, `/var/lib/trident/tracking/<volume handle>.json`: one flat object for each volume
 * that its node plugin staged. They may hold CHAP secrets, of which nothing is kept.
 */
import { join } from "node:path";
import * as v from "valibot";
import type { Files } from "../kubelet.ts";
import type { VolumeEntry } from "../model.ts";
import { collectAnswers, devicePath, type VendorAnswers, vendorFile } from "./vendor-file.ts";

export const TRIDENT_DRIVER = "csi.trident.netapp.io";

/** `volumes`: those of which nothing else told the device; other drivers' are passed over. */
export function readTrident(files: Files, rootfs: string, volumes: readonly VolumeEntry[]): VendorAnswers {
  const directory = join(rootfs, "var/lib/trident/tracking");
  const handles = volumes.flatMap(({ driver, handle }) => (driver === TRIDENT_DRIVER ? [handle] : []));
  return collectAnswers(
    [...new Set(handles)].filter(isWritten).map((handle) => {
      const taken = readTracking(files, directory, `${handle}.json`);
      if (taken.kind !== "taken") return taken;
      const text = taken.fields.devicePath || taken.fields.rawDevicePath;
      // Volumes that are shares (NFS, SMB) have neither.
      if (!text) return { kind: "missing" };
      const path = devicePath(text);
      if (path === undefined) return taken.unusable("names no device below /dev");
      return { kind: "found", handle, device: { kind: "path", path } };
    }),
  );
}

/** `tmp-…` is a file that is being written. */
const isWritten = (handle: string): boolean => !handle.startsWith("tmp-");

const readTracking = vendorFile(
  v.object({
    devicePath: v.optional(v.string()),
    /** All that Trident 23.01 to 23.04 wrote; since then the device below LUKS. */
    rawDevicePath: v.optional(v.string()),
  }),
);
