/**
 * What the kubelet's directory tells of the CSI volumes of this node. Below `mount` and `globalmount` nothing is looked
 * at: that is the tenants'.
 */
import type { DirectoryEntry, FileContent, WatchedFiles } from "../host/watched-files.ts";
import type { KubeletWalk, SkippedPath, SkipReason, VolumeEntry } from "./model.ts";
import { inTurns, type Limits } from "./turns.ts";
import { parseVolumeData, type VolumeData } from "./vol-data.ts";

/** The directory is not as a kubelet leaves it, or could not be walked in time: nothing can be said of volumes. */
export class KubeletError extends Error {
  override readonly name = "KubeletError";
  /** `EACCES`, `ENOENT` …; undefined where it was not the operating system that refused. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** An answer that is the same object as the last is taken to say the same. */
export type Files = Pick<WatchedFiles, "list" | "read">;

/**
 * `root`: as the kernel shows it, without symlinks. Throws KubeletError where `root` or its `pods` cannot be read and
 * where the deadline has passed, and the signal's reason where it is aborted.
 */
export async function walkKubelet(files: Files, root: string, limits: Limits): Promise<KubeletWalk> {
  const walk = new Walk(files, root);
  await inTurns(
    walk.steps(),
    limits,
    () => new KubeletError(`${root} could not be walked before the deadline`),
  );
  return walk;
}

/** The kubelet writes some 300 bytes. */
const MAX_FILE_BYTES = 1024 * 1024;

const CSI = "kubernetes.io~csi";
const FILE = "vol_data.json";
/** Beside the drivers' directories; raw block volumes are staged in there. */
const BLOCK = "volumeDevices";

/** Steps are short: they read one file or directory. Whatever went away since it was listed has never been there. */
class Walk implements KubeletWalk {
  readonly entries: VolumeEntry[] = [];
  readonly skipped: SkippedPath[] = [];
  readonly #files: Files;
  readonly #root: string;

  constructor(files: Files, root: string) {
    this.#files = files;
    this.#root = root;
  }

  *steps(): Generator<void, void> {
    yield* this.#published(`${this.#root}/pods`);
    // Step by step: below a symlink no path would be one that the mount table shows.
    let plugins = this.#root;
    let inside: readonly DirectoryEntry[] | undefined = [];
    for (const name of ["plugins", "kubernetes.io", "csi"]) {
      plugins += `/${name}`;
      inside = this.#list(plugins);
      if (inside === undefined) return;
    }
    if (this.#holdsDirectory(plugins, inside, BLOCK)) yield* this.#block(`${plugins}/${BLOCK}`);
    yield* this.#staged(plugins, inside);
  }

  *#published(pods: string): Generator<void, void> {
    for (const pod of this.#directories(pods, this.#listPods(pods))) {
      yield;
      const volumes = this.#list(`${pods}/${pod}/volumes`);
      if (volumes === undefined || !this.#holdsDirectory(`${pods}/${pod}/volumes`, volumes, CSI)) continue;
      const parent = `${pods}/${pod}/volumes/${CSI}`;
      for (const spec of this.#directories(parent, this.#list(parent))) {
        yield;
        const directory = `${parent}/${spec}`;
        const path = `${directory}/${FILE}`;
        const volume = this.#read(path);
        if (volume === undefined) continue;
        this.entries.push({
          path,
          kind: "published",
          driver: volume.driver,
          handle: volume.handle,
          persistentVolume: volume.specVolumeId ?? nameOf(spec),
          ephemeral: volume.ephemeral,
          mountPoints: [`${directory}/mount`],
          mountParents: [],
          deviceNodes: [],
        });
      }
    }
  }

  *#block(parent: string): Generator<void, void> {
    for (const spec of this.#directories(parent, this.#list(parent), BESIDE_BLOCK_VOLUMES)) {
      yield;
      const directory = `${parent}/${spec}`;
      const inside = this.#list(directory);
      if (inside === undefined || !this.#holdsDirectory(directory, inside, "data")) continue;
      const path = `${directory}/data/${FILE}`;
      const volume = this.#read(path);
      if (volume === undefined) continue;
      const publish = `${parent}/publish/${spec}`;
      const staging = `${parent}/staging/${spec}`;
      this.entries.push({
        path,
        kind: "block",
        driver: volume.driver,
        handle: volume.handle,
        persistentVolume: volume.specVolumeId ?? nameOf(spec),
        ephemeral: volume.ephemeral,
        // Old kubelets bound the device to `publish/<spec>` itself, later ones to a file in it for each pod.
        mountPoints: [publish, staging],
        mountParents: [publish, `${directory}/dev`, staging],
        deviceNodes: this.#deviceNodes(`${directory}/dev`),
      });
    }
  }

  *#staged(parent: string, drivers: readonly DirectoryEntry[]): Generator<void, void> {
    for (const driver of this.#directories(parent, drivers, [BLOCK])) {
      const volumes = `${parent}/${driver}`;
      for (const name of this.#directories(volumes, this.#list(volumes))) {
        yield;
        const directory = `${volumes}/${name}`;
        const path = `${directory}/${FILE}`;
        const volume = this.#read(path);
        if (volume === undefined) continue;
        this.entries.push({
          path,
          kind: "staged",
          driver: volume.driver,
          handle: volume.handle,
          // Before Kubernetes 1.24, `pv` stood in the place of the driver and the PersistentVolume in that of the hash.
          persistentVolume: volume.specVolumeId ?? (driver === "pv" ? name : undefined),
          ephemeral: volume.ephemeral,
          mountPoints: [`${directory}/globalmount`],
          mountParents: [`${directory}/globalmount`],
          deviceNodes: [],
        });
      }
    }
  }

  /** Throws KubeletError. */
  #listPods(pods: string): readonly DirectoryEntry[] {
    const listing = this.#files.list(pods);
    if (listing.kind === "listed") return listing.entries;
    const root = this.#files.list(this.#root);
    const [path, code] = root.kind === "failed" ? [this.#root, root.code] : [pods, listing.code];
    throw new KubeletError(`cannot read ${path}: ${WORDS.get(code) ?? code}`, code);
  }

  /** Undefined where it is not there or cannot be listed. */
  #list(directory: string): readonly DirectoryEntry[] | undefined {
    const listing = this.#files.list(directory);
    if (listing.kind === "listed") return listing.entries;
    if (listing.code === "ENOENT") return undefined;
    this.#skip(directory, UNSAFE.has(listing.code) ? "unsafe_path" : "unreadable");
    return undefined;
  }

  *#directories(
    parent: string,
    entries: readonly DirectoryEntry[] | undefined,
    apartFrom: readonly string[] = [],
  ): Generator<string, void> {
    for (const { name, type } of entries ?? []) {
      if (apartFrom.includes(name)) continue;
      if (type === "directory") yield name;
      else if (type !== "file") this.#skip(`${parent}/${name}`, "unsafe_path");
    }
  }

  #holdsDirectory(parent: string, entries: readonly DirectoryEntry[], wanted: string): boolean {
    const type = entries.find(({ name }) => name === wanted)?.type;
    if (type !== undefined && type !== "directory") this.#skip(`${parent}/${wanted}`, "unsafe_path");
    return type === "directory";
  }

  /** One for each pod. Very old kubelets left symlinks there, which are not followed. */
  #deviceNodes(directory: string): string[] {
    const listing = this.#files.list(directory);
    if (listing.kind === "failed") return [];
    return listing.entries.flatMap(({ name, type }) =>
      type === "file" || type === "other" ? [`${directory}/${name}`] : [],
    );
  }

  /** Undefined where there is none, or none that names a volume. */
  #read(path: string): VolumeData | undefined {
    const content = this.#files.read(path, MAX_FILE_BYTES);
    if (content.kind === "failed" && GONE.has(content.code)) return undefined;
    const volume = volumeIn(content);
    if (typeof volume !== "string") return volume;
    this.#skip(path, volume);
    return undefined;
  }

  #skip(path: string, reason: SkipReason): void {
    this.skipped.push({ path, reason });
  }
}

/** The volumes' own directories are beside these. */
const BESIDE_BLOCK_VOLUMES = ["publish", "staging"];

const UNSAFE = new Set(["ELOOP", "ENOTDIR"]);
const GONE = new Set(["ENOENT", "ENOTDIR"]);

const WORDS = new Map([
  ["ENOENT", "no such file or directory"],
  ["EACCES", "permission denied"],
  ["EPERM", "operation not permitted"],
  ["ENOTDIR", "not a directory"],
  ["ELOOP", "it is a symbolic link"],
]);

/** The name of the PersistentVolume whose directory is called so. */
const nameOf = (spec: string): string => spec.replaceAll("~", "/");

function volumeIn(content: FileContent): VolumeData | SkipReason {
  switch (content.kind) {
    case "failed":
      return "unreadable";
    case "unsafe":
      return "unsafe_path";
    case "too_large":
      return "bad_json";
    case "read": {
      const known = parsed.get(content);
      if (known !== undefined) return known;
      const volume = parseVolumeData(content.bytes) ?? "bad_json";
      parsed.set(content, volume);
      return volume;
    }
  }
}

/** By the answer of `Files`, which is the same object for as long as the file is the same. */
const parsed = new WeakMap<FileContent, VolumeData | SkipReason>();
