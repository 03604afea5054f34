/**
 * A small JSON file that carries state from one run to the next within one boot: a regular file of our own, mode 0600,
 * at most 1 MiB where nobody says otherwise, replaced atomically. Its form is `{"boot_id": "…", "state": …}`.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from "node:fs";
import { geteuid } from "node:process";
import * as v from "valibot";
import { writeAtomically } from "./atomic-write.ts";
import { codeOf, reasonOf } from "./system-error.ts";

const MIB = 1024 * 1024;
const MAX_BYTES = MIB;

export type LoadedState<T> =
  | { readonly kind: "loaded"; readonly state: T }
  /** There is none yet. */
  | { readonly kind: "missing" }
  /** Written before this boot: nothing wrong, but of no use. */
  | { readonly kind: "stale"; readonly reason: string }
  /** No such state; the next `save` replaces it. */
  | { readonly kind: "corrupt"; readonly reason: string }
  /** Not ours to read or to replace; `save` throws. */
  | { readonly kind: "foreign"; readonly reason: string };

export class StateFile<const Schema extends v.GenericSchema> {
  readonly path: string;
  readonly #schema: v.ObjectSchema<{ boot_id: v.StringSchema<undefined>; state: Schema }, undefined>;
  readonly #bootId: string;
  readonly #maxBytes: number;

  constructor(path: string, schema: Schema, bootId: string, maxBytes = MAX_BYTES) {
    this.path = path;
    this.#maxBytes = maxBytes;
    this.#schema = v.object({ boot_id: v.string(), state: schema });
    this.#bootId = bootId;
  }

  /** Never throws: whatever is wrong with the file is in the answer. */
  load(): LoadedState<v.InferOutput<Schema>> {
    const read = readOwn(this.path, this.#maxBytes);
    if (read.kind !== "read") return read;
    let json: unknown;
    try {
      json = JSON.parse(read.text);
    } catch (error) {
      return { kind: "corrupt", reason: `${this.path} is no JSON: ${reasonOf(error)}` };
    }
    const parsed = v.safeParse(this.#schema, json);
    if (!parsed.success) {
      const issue = parsed.issues[0];
      return {
        kind: "corrupt",
        reason: `${this.path}: ${v.getDotPath(issue) ?? "the file"}: ${issue.message}`,
      };
    }
    const { boot_id, state } = parsed.output;
    if (boot_id !== this.#bootId)
      return { kind: "stale", reason: `${this.path} was written before this boot` };
    return { kind: "loaded", state };
  }

  /** Throws where the file cannot be written or is not ours to replace. */
  save(state: v.InferInput<Schema>): void {
    const foreign = foreignness(this.path);
    if (foreign !== undefined) throw new Error(`cannot write ${this.path}: ${foreign}`);
    const bytes = new TextEncoder().encode(`${JSON.stringify({ boot_id: this.#bootId, state })}\n`);
    if (bytes.length > this.#maxBytes)
      throw new Error(
        `cannot write ${this.path}: the state has ${bytes.length} bytes, more than ${inMiB(this.#maxBytes)}`,
      );
    writeAtomically(this.path, bytes, 0o600);
  }
}

const inMiB = (bytes: number): string => `${bytes / MIB} MiB`;

type Read =
  | { readonly kind: "read"; readonly text: string }
  | Extract<LoadedState<never>, { kind: "missing" | "corrupt" | "foreign" }>;

function readOwn(path: string, maxBytes: number): Read {
  let fd: number;
  try {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return { kind: "missing" };
    if (codeOf(error) === "ELOOP") return { kind: "foreign", reason: `${path} is a symbolic link` };
    return { kind: "foreign", reason: `cannot read ${path}: ${reasonOf(error)}` };
  }
  try {
    const stat = fstatSync(fd);
    const notOurs = describeForeign(stat);
    if (notOurs !== undefined) return { kind: "foreign", reason: `${path} ${notOurs}` };
    if (stat.size > maxBytes)
      return { kind: "corrupt", reason: `${path} has ${stat.size} bytes, more than ${inMiB(maxBytes)}` };
    const buffer = new Uint8Array(stat.size);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    return { kind: "read", text: new TextDecoder().decode(buffer.subarray(0, length)) };
  } catch (error) {
    return { kind: "corrupt", reason: `cannot read ${path}: ${reasonOf(error)}` };
  } finally {
    closeSync(fd);
  }
}

function foreignness(path: string): string | undefined {
  try {
    return describeForeign(lstatSync(path));
  } catch {
    // Missing, or a directory that the write itself will complain about.
    return undefined;
  }
}

function describeForeign(stat: Stats): string | undefined {
  if (stat.isSymbolicLink()) return "is a symbolic link";
  if (!stat.isFile()) return "is no regular file";
  const uid = geteuid?.();
  if (uid !== undefined && stat.uid !== uid) return `belongs to uid ${stat.uid}, not to us (${uid})`;
  if ((stat.mode & 0o022) !== 0) return "can be written by others than its owner";
  return undefined;
}
