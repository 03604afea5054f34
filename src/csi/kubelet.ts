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
export type Files = Pick<WatchedFiles, "list" | "read"> & Partial<Pick<WatchedFiles, "token">>;

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
/** Beside the volumes' directories; their devices are bound there. */
const BINDS: ReadonlySet<string> = new Set(["publish", "staging"]);

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
    // Step by step from above: below a symlink no path would be one that the mount table shows, and what is watched from
    // above need not be looked at again.
    const inside = this.#listOrThrow(this.#root);
    yield* this.#published(`${this.#root}/pods`);
    const plugins = this.#within(this.#root, "plugins", inside);
    const csi = this.#within(this.#within(plugins, "kubernetes.io"), "csi");
    const drivers = this.#list(csi);
    if (csi === undefined || drivers === undefined) return;
    if (typeOf(BLOCK, drivers) === "directory") yield* this.#block(`${csi}/${BLOCK}`);
    yield* this.#staged(csi, drivers);
  }

  *#published(pods: string): Generator<void, void> {
    yield* this.#each(pods, this.#directories(pods, this.#listOrThrow(pods)), (pod) =>
      this.#pod(`${pods}/${pod}`),
    );
  }

  *#pod(pod: string): Generator<void, void> {
    const parent = this.#within(this.#within(pod, "volumes"), CSI);
    if (parent === undefined) return;
    for (const spec of this.#directories(parent, this.#list(parent))) {
      yield;
      const directory = `${parent}/${spec}`;
      const volume = this.#volumeIn(directory);
      if (volume === undefined) continue;
      this.entries.push({
        path: `${directory}/${FILE}`,
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

  *#block(parent: string): Generator<void, void> {
    const names = this.#directories(parent, this.#list(parent));
    const specs = names.filter((name) => !BINDS.has(name));
    // Only to be told when a directory in there is renamed, and with it the mounts: the mount table does not tell of that.
    for (const name of names) if (BINDS.has(name)) this.#list(`${parent}/${name}`);
    yield* this.#each(parent, specs, (spec) => this.#blockVolume(parent, spec));
  }

  #blockVolume(parent: string, spec: string): void {
    const directory = `${parent}/${spec}`;
    const data = this.#within(directory, "data");
    const volume = this.#volumeIn(data);
    if (volume === undefined) return;
    const publish = `${parent}/publish/${spec}`;
    const staging = `${parent}/staging/${spec}`;
    this.entries.push({
      path: `${data}/${FILE}`,
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

  *#staged(parent: string, entries: readonly DirectoryEntry[]): Generator<void, void> {
    for (const driver of this.#directories(parent, entries)) {
      if (driver === BLOCK) continue;
      const volumes = `${parent}/${driver}`;
      yield* this.#each(volumes, this.#directories(volumes, this.#list(volumes)), (name) =>
        // Before Kubernetes 1.24, `pv` stood in the place of the driver and the PersistentVolume in that of the hash.
        this.#stagedVolume(`${volumes}/${name}`, driver === "pv" ? name : undefined),
      );
    }
  }

  #stagedVolume(directory: string, persistentVolume: string | undefined): void {
    const volume = this.#volumeIn(directory);
    if (volume === undefined) return;
    this.entries.push({
      path: `${directory}/${FILE}`,
      kind: "staged",
      driver: volume.driver,
      handle: volume.handle,
      persistentVolume: volume.specVolumeId ?? persistentVolume,
      ephemeral: volume.ephemeral,
      mountPoints: [`${directory}/globalmount`],
      mountParents: [`${directory}/globalmount`],
      deviceNodes: [],
    });
  }

  /** Of a directory in which nothing changed since it was walked, what came of it then is taken again. */
  *#each(
    parent: string,
    names: readonly string[],
    walk: (name: string) => Iterable<void> | void,
  ): Generator<void, void> {
    for (const name of names) {
      yield;
      const directory = `${parent}/${name}`;
      if (this.#takeKnown(directory)) continue;
      const [entries, skipped] = [this.entries.length, this.skipped.length];
      yield* walk(name) ?? [];
      const token = this.#files.token?.(directory);
      if (token === undefined) continue;
      walked.set(token, { entries: this.entries.slice(entries), skipped: this.skipped.slice(skipped) });
    }
  }

  #takeKnown(directory: string): boolean {
    const token = this.#files.token?.(directory);
    const known = token && walked.get(token);
    for (const entry of known?.entries ?? []) this.entries.push(entry);
    for (const skipped of known?.skipped ?? []) this.skipped.push(skipped);
    return known !== undefined;
  }

  /** Throws KubeletError. */
  #listOrThrow(directory: string): readonly DirectoryEntry[] {
    const listing = this.#files.list(directory);
    if (listing.kind === "listed") return listing.entries;
    throw new KubeletError(
      `cannot read ${directory}: ${WORDS.get(listing.code) ?? listing.code}`,
      listing.code,
    );
  }

  /** Undefined where there is none, it is not there any more, or it cannot be listed. */
  #list(directory: string | undefined): readonly DirectoryEntry[] | undefined {
    if (directory === undefined) return undefined;
    const listing = this.#files.list(directory);
    if (listing.kind === "listed") return listing.entries;
    // A name that is no UTF-8 cannot be opened, which looks like one that is gone.
    if (!GONE.has(listing.code) || directory.includes("\uFFFD")) this.#skip(directory, "unreadable");
    return undefined;
  }

  /** The names of those that are directories. */
  #directories(parent: string, entries: readonly DirectoryEntry[] | undefined): string[] {
    const names: string[] = [];
    for (const { name, type } of entries ?? []) {
      if (type === "directory") names.push(name);
      else if (type !== "file") this.#skip(`${parent}/${name}`, "unsafe_path");
    }
    return names;
  }

  /** The path of a directory in a directory; undefined where there is none. */
  #within(directory: string | undefined, name: string, inside = this.#list(directory)): string | undefined {
    const path = `${directory}/${name}`;
    const type = typeOf(name, inside);
    if (type === "directory") return path;
    if (type !== undefined) this.#skip(path, "unsafe_path");
    return undefined;
  }

  /** One for each pod. Very old kubelets left symlinks there, which are not followed. */
  #deviceNodes(directory: string): string[] {
    const listing = this.#files.list(directory);
    if (listing.kind === "failed") return [];
    return listing.entries.flatMap(({ name, type }) =>
      type === "file" || type === "other" ? [`${directory}/${name}`] : [],
    );
  }

  /** Undefined where no file names one. */
  #volumeIn(directory: string | undefined): VolumeData | undefined {
    if (typeOf(FILE, this.#list(directory)) === undefined) return undefined;
    const path = `${directory}/${FILE}`;
    const content = this.#files.read(path, MAX_FILE_BYTES);
    if (content.kind === "failed" && GONE.has(content.code)) return undefined;
    const volume = volumeOf(content);
    if (typeof volume !== "string") return volume;
    this.#skip(path, volume);
    return undefined;
  }

  #skip(path: string, reason: SkipReason): void {
    this.skipped.push({ path, reason });
  }
}

/** What was a directory when it was listed is none, or another kind of file. */
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

const WORDS = new Map([
  ["ENOENT", "no such file or directory"],
  ["EACCES", "permission denied"],
  ["EPERM", "operation not permitted"],
  ["ENOTDIR", "not a directory"],
  ["ELOOP", "it is a symbolic link"],
  ["EREMOTE", "what is mounted there may never answer"],
]);

const typeOf = (
  wanted: string,
  entries: readonly DirectoryEntry[] | undefined,
): DirectoryEntry["type"] | undefined => entries?.find(({ name }) => name === wanted)?.type;

/** The name of the PersistentVolume whose directory is called so. */
const nameOf = (spec: string): string => spec.replaceAll("~", "/");

function volumeOf(content: FileContent): VolumeData | SkipReason {
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

/** By the token of their directory. */
const walked = new WeakMap<object, KubeletWalk>();

/** By the answer of `Files`, which is the same object for as long as the file is the same. */
const parsed = new WeakMap<FileContent, VolumeData | SkipReason>();
