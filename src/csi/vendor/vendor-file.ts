/** What the files of a storage vendor's own node plugin tell of volumes that the kubelet's files led nowhere with. */
import * as v from "valibot";
import type { FileContent } from "../../host/watched-files.ts";
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

/** A file that several volumes could not be found in has failed once. */
export function collectAnswers(answers: readonly Answer[]): VendorAnswers {
  const devices = new Map<string, VendorDevice>();
  const failures = new Map<string, VendorFailure>();
  for (const answer of answers) {
    if (answer.kind === "found") devices.set(answer.handle, answer.device);
    else if (answer.kind === "failed")
      failures.set(answer.path, { path: answer.path, reason: answer.reason });
  }
  return { devices, failures: [...failures.values()] };
}

export type Taken<Fields> =
  | {
      readonly kind: "taken";
      readonly fields: Fields;
      /** The answer where the fields are of no use after all. */
      readonly unusable: (reason: string) => Answer;
    }
  | Extract<Answer, { kind: "missing" | "failed" }>;

/**
 * A reader of files out of which it takes what `schema` names, and nothing else: of the rest, which may be secrets, not
 * even the bytes are kept.
 */
export function vendorFile<const Schema extends v.GenericSchema>(schema: Schema) {
  type Fields = v.InferOutput<Schema>;
  const seen = new WeakMap<FileContent, { readonly fields: Fields } | "unknown">();

  return (files: Files, directory: string, name: string): Taken<Fields> => {
    const listing = files.list(directory);
    if (listing.kind === "failed") return failure(directory, listing.code);
    if (listing.entries.every((entry) => entry.name !== name)) return { kind: "missing" };

    const path = `${directory}/${name}`;
    const failed = (reason: string) => ({ kind: "failed", path, reason }) as const;
    const content = files.read(path, MAX_BYTES);
    if (content.kind === "failed") return failure(path, content.code);
    if (content.kind === "unsafe") return failed("is no regular file");
    if (content.kind === "too_large") return failed("is larger than 1 MiB");
    let result = seen.get(content);
    if (result === undefined) {
      const { success, output } = v.safeParse(schema, parseJson(content.bytes), { abortEarly: true });
      result = success ? { fields: output } : "unknown";
      seen.set(content, result);
      content.bytes.fill(0);
    }
    // Not in the words of JSON.parse or valibot: they repeat what stands in the file.
    if (result === "unknown") return failed("is not what the vendor writes");
    return { kind: "taken", fields: result.fields, unusable: failed };
  };
}

const MAX_BYTES = 1024 * 1024;

/** Where the vendor is not installed its directory is missing, as it should be. */
const failure = (path: string, code: string): Extract<Answer, { kind: "missing" | "failed" }> =>
  code === "ENOENT" ? { kind: "missing" } : { kind: "failed", path, reason: `cannot be read (${code})` };

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
