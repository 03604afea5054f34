/** `vol_data.json`: what the kubelet writes of a CSI volume beside its mount, one flat JSON object of strings. */
import * as v from "valibot";

/** A label longer than this is nothing that a storage system would call a volume. */
const MAX_LABEL_BYTES = 1024;

export interface VolumeData {
  readonly driver: string;
  readonly handle: string;
  /** Name of the PersistentVolume, or of the pod's own volume where it is ephemeral; staged volumes mostly lack it. */
  readonly specVolumeId: string | undefined;
  readonly ephemeral: boolean;
}

/** Undefined where the bytes are no such object. */
export function parseVolumeData(bytes: Uint8Array): VolumeData | undefined {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
  const { success, output } = v.safeParse(VolumeDataSchema, json, { abortEarly: true });
  if (!success) return undefined;
  return {
    driver: output.driverName,
    handle: output.volumeHandle,
    specVolumeId: output.specVolID === "" ? undefined : output.specVolID,
    ephemeral: output.volumeLifecycleMode === "Ephemeral" || output.driverMode === "ephemeral",
  };
}

/** Invalid UTF-8 becomes U+FFFD, as it will be in the exposition: else two series there could be the same. */
const decoder = new TextDecoder();

const Label = v.pipe(
  v.string(),
  v.transform((text) => text.toWellFormed()),
  v.check((text) => text.length <= MAX_LABEL_BYTES && Buffer.byteLength(text) <= MAX_LABEL_BYTES),
);
const Name = v.pipe(Label, v.nonEmpty());

const VolumeDataSchema = v.object({
  driverName: Name,
  volumeHandle: Name,
  specVolID: v.optional(Label),
  /** `Persistent` or `Ephemeral`; Persistent where it is missing. */
  volumeLifecycleMode: v.optional(v.string()),
  /** What Kubernetes 1.15 wrote instead: `persistent` or `ephemeral`. */
  driverMode: v.optional(v.string()),
});
