/** What the files of a storage vendor's own node plugin tell of volumes that the kubelet's files led nowhere with. */
import * as v from "valibot";
import type { Files } from "../kubelet.ts";

export interface VendorAnswers {
  /** By volume handle; a vendor has one driver. */
  readonly devices: ReadonlyMap<string, VendorDevice>;
  /** Files that could not be used. */
  readonly failures: readonly VendorFailure[];
}

/** Where a vendor's file says that a volume is. */
export type VendorDevice =
  /** A device node: `/dev/dm-3`, `/dev/mapper/NAME`. */
  { readonly kind: "path"; readonly path: string } | { readonly kind: "number"; readonly majorMinor: string };

export interface VendorFailure {
  readonly path: string;
  /** Holds nothing of what stands in the file, which may be a secret. */
  readonly reason: string;
}

/** What came of one file. */
export type Answer =
  | { readonly kind: "found"; readonly handle: string; readonly device: VendorDevice }
  /** The vendor knows nothing of the volume. */
  | { readonly kind: "missing" }
  | ({ readonly kind: "failed" } & VendorFailure);

export function collectAnswers(answers: readonly Answer[]): VendorAnswers {
  const devices = new Map<string, VendorDevice>();
  const failures: VendorFailure[] = [];
  for (const answer of answers) {
    if (answer.kind === "found") devices.set(answer.handle, answer.device);
    else if (answer.kind === "failed") failures.push({ path: answer.path, reason: answer.reason });
  }
  return { devices, failures };
}

export type Taken<Fields> =
  | {
      readonly kind: "taken";
      readonly fields: Fields;
      /** The answer where the fields are of no use after all. */
      readonly unusable: (reason: string) => Answer;
    }
  | Extract<Answer, { kind: "missing" | "failed" }>;

/** Takes what `schema` names out of a file, and nothing else. */
export function takeFields<const Schema extends v.GenericSchema>(
  files: Files,
  path: string,
  schema: Schema,
): Taken<v.InferOutput<Schema>> {
  const content = files.read(path, MAX_BYTES);
  const failed = (reason: string) => ({ kind: "failed", path, reason }) as const;
  switch (content.kind) {
    case "failed":
      return MISSING.has(content.code) ? { kind: "missing" } : failed(`cannot be read (${content.code})`);
    case "unsafe":
      return failed("is no regular file");
    case "too_large":
      return failed("is larger than 1 MiB");
    case "read": {
      const { success, output } = v.safeParse(schema, parseJson(content.bytes), { abortEarly: true });
      // Not in the words of JSON.parse or valibot: they repeat what stands in the file.
      return success
        ? { kind: "taken", fields: output, unusable: failed }
        : failed("is not what the vendor writes");
    }
  }
}

const MAX_BYTES = 1024 * 1024;

/** Where the vendor is not installed that is as it should be. ENOTDIR: its directory is none. ENAMETOOLONG: the handle is no name. */
const MISSING = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);

/** Undefined where it is none, or no object: valibot takes a list for an object without members. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return Array.isArray(json) ? undefined : json;
  } catch {
    return undefined;
  }
}

/** The text if it is a path below /dev; it is looked up in sysfs and never opened. */
export function devicePath(text: string): string | undefined {
  const [empty, dev, ...names] = text.split("/");
  const isBelowDev = empty === "" && dev === "dev" && names.length > 0;
  return isBelowDev && names.every((name) => !NO_NAMES.has(name)) && !text.includes("\0") ? text : undefined;
}

const NO_NAMES = new Set(["", ".", ".."]);
