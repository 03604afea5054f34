/**
 * NetApp Trident's tracking files, `/var/lib/trident/tracking/<volume handle>.json`: one flat object for each volume
 * that its node plugin staged. They may hold CHAP secrets, of which nothing is kept.
 */
import * as v from "valibot";
import type { Files } from "../kubelet.ts";
import type { VolumeEntry } from "../model.ts";
import { collectAnswers, devicePath, takeFields, type VendorAnswers } from "./vendor-file.ts";

export const TRIDENT_DRIVER = "csi.trident.netapp.io";

/** `volumes`: those of which nothing else told the device; other drivers' are passed over. */
export function readTrident(files: Files, rootfs: string, volumes: readonly VolumeEntry[]): VendorAnswers {
  const directory = `${rootfs === "/" ? "" : rootfs}/var/lib/trident/tracking`;
  const handles = volumes.flatMap(({ driver, handle }) => (driver === TRIDENT_DRIVER ? [handle] : []));
  return collectAnswers(
    [...new Set(handles)].filter(isFileName).map((handle) => {
      const taken = takeFields(files, `${directory}/${handle}.json`, TrackingSchema);
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

/** What the handle would have to be for Trident to have written a file of that name: `tmp-…` is one half written. */
const isFileName = (handle: string): boolean => !handle.startsWith("tmp-") && !/[/\0]/.test(handle);

const TrackingSchema = v.object({
  devicePath: v.optional(v.string()),
  /** What `devicePath` has been called since Trident 23.01. */
  rawDevicePath: v.optional(v.string()),
});
