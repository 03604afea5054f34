/**
 * One discovery: from the kubelet's files, the mount table and /sys to the volumes and their devices. Its result is
 * remembered for as long as nothing of what it was made from has changed.
 */
import { lstatSync, realpathSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { Backing, BlockDevices } from "../host/block-devices.ts";
import type { MountsBelow, MountTable } from "../host/mountinfo.ts";
import { codeOf, reasonOf } from "../host/system-error.ts";
import type { WatchedFiles } from "../host/watched-files.ts";
import { type Files, KubeletError, walkKubelet } from "./kubelet.ts";
import type { Discovery, KubeletWalk } from "./model.ts";
import { inTurns, type Limits } from "./turns.ts";
import { HPE_DRIVER, readHpe } from "./vendor/hpe.ts";
import { readTrident, TRIDENT_DRIVER } from "./vendor/trident.ts";
import type { VendorAnswers, VendorDevice, VendorFailure } from "./vendor/vendor-file.ts";
import {
  deviceAt,
  discoveryOf,
  type Host,
  mountsByDirectory,
  type Resolution,
  resolveVolume,
  type Volume,
  volumesOf,
} from "./volumes.ts";

export type Vendor = "trident" | "hpe";

export interface DiscoveryOptions {
  /** The kubelet's directory; may be, or lie behind, a symlink. */
  readonly kubelet: string;
  readonly rootfs: string;
  readonly vendors: readonly Vendor[];
}

/** What a discovery reads; it closes none of it. */
export interface Sources {
  readonly files: Pick<WatchedFiles, "refresh" | "forgetAll"> & Files;
  readonly mounts: Pick<MountTable, "read" | "forget">;
  readonly devices: Pick<BlockDevices, "refresh" | "nameOf" | "exists" | "dmNamed" | "backing">;
  /** `major:minor` of the block device whose node stands at a path; undefined for anything else. */
  readonly nodeNumber?: (path: string) => string | undefined;
}

export interface VendorRun {
  readonly failures: readonly VendorFailure[];
  readonly seconds: number;
}

export interface Found {
  /** The same object for as long as nothing changed. */
  readonly discovery: Discovery;
  /** One for each vendor that is asked. */
  readonly vendors: ReadonlyMap<Vendor, VendorRun>;
}

/** What a result was made from. */
interface Basis {
  readonly root: string;
  readonly mounts: number;
  readonly files: number;
  readonly devices: number;
}

interface Kept {
  readonly basis: Basis;
  readonly walk: KubeletWalk;
  /** Answers of `nodeNumber`, of whose changes nothing tells. */
  readonly nodes: ReadonlyMap<string, string | undefined>;
  /** What lies below each device; good for as long as no device changes. */
  readonly backings: Map<string, Backing>;
  readonly found: Found;
}

export class CsiDiscovery {
  readonly #options: DiscoveryOptions;
  readonly #sources: Sources;
  readonly #nodeNumber: (path: string) => string | undefined;
  /** What was looked at last, be it that the run failed. */
  #seen: { readonly basis: Basis; readonly mounts: MountsBelow } | undefined;
  #kept: Kept | undefined;

  constructor(options: DiscoveryOptions, sources: Sources) {
    this.#options = options;
    this.#sources = sources;
    this.#nodeNumber = sources.nodeNumber ?? blockDeviceNumber;
  }

  /**
   * One run at a time. Rejects with a KubeletError, a MountInfoError or the signal's reason: then nothing is known of
   * any volume.
   */
  async run(limits: Limits): Promise<Found> {
    const { basis, mounts } = this.#look();
    const kept = this.#kept;
    if (kept !== undefined && isSame(kept.basis, basis) && this.#stillSo(kept.nodes))
      return again(kept.found);

    const { files } = this.#sources;
    const walk =
      kept !== undefined && kept.basis.root === basis.root && kept.basis.files === basis.files
        ? kept.walk
        : await walkKubelet(files, basis.root, limits);
    const nodes = new Map<string, string | undefined>();
    const backings = kept?.basis.devices === basis.devices ? kept.backings : new Map<string, Backing>();
    const resolved = await this.#resolve(walk, mounts, nodes, backings, limits);
    // Something changed, or nobody would tell; what came of it may be the same.
    const same = kept !== undefined && isDeepStrictEqual(kept.found.discovery, resolved.discovery);
    const found = same ? { ...resolved, discovery: kept.found.discovery } : resolved;
    this.#kept = { basis, walk, nodes, backings, found };
    return found;
  }

  /** What changed since the run before, as far as the kernel tells. */
  #look(): { readonly basis: Basis; readonly mounts: MountsBelow } {
    const { files, mounts: table, devices } = this.#sources;
    const root = realPath(this.#options.kubelet);
    const seen = this.#seen;
    if (seen !== undefined && seen.basis.root !== root) files.forgetAll();
    const looked = { root, files: files.refresh(), devices: devices.refresh() };
    // A mount table can change in ways of which the kernel tells only here.
    if (seen?.basis.files !== looked.files || seen.basis.devices !== looked.devices) table.forget();
    const { mounts, generation } = table.read(root);
    const lasting = seen?.mounts === mounts;
    const basis = { ...looked, mounts: generation, files: lasting ? looked.files : files.refresh(mounts) };
    this.#seen = { basis, mounts };
    return this.#seen;
  }

  #stillSo(nodes: Kept["nodes"]): boolean {
    for (const [path, number] of nodes) if (this.#nodeNumber(path) !== number) return false;
    return true;
  }

  async #resolve(
    walk: KubeletWalk,
    mounts: MountsBelow,
    nodes: Map<string, string | undefined>,
    backings: Map<string, Backing>,
    limits: Limits,
  ): Promise<Found> {
    const { devices } = this.#sources;
    const nodeNumber = (path: string): string | undefined => {
      const number = nodes.has(path) ? nodes.get(path) : this.#nodeNumber(path);
      nodes.set(path, number);
      return number;
    };
    const host: Host = { mounts, mountsIn: mountsByDirectory(mounts, walk.entries), devices, nodeNumber };
    const resolutions = new Map<Volume, Resolution>();
    const late = (): Error =>
      new KubeletError(
        `the volumes below ${this.#options.kubelet} could not be resolved before the deadline`,
      );

    await inTurns(resolveAll(volumesOf(walk.entries), host, resolutions), limits, late);
    const vendors = new Map<Vendor, VendorRun>();
    for (const vendor of this.#options.vendors) {
      const startedAt = performance.now();
      const failures = this.#ask(vendor, resolutions, mounts);
      vendors.set(vendor, { failures, seconds: (performance.now() - startedAt) / 1000 });
    }
    await inTurns(lookBelow(resolutions, devices, backings), limits, late);
    const backingOf = (device: string): Backing => backings.get(device) ?? devices.backing(device);
    return { discovery: discoveryOf(resolutions, walk.skipped, backingOf), vendors };
  }

  /** Only of volumes that the kubelet's files lead nowhere with; what a vendor's file says overrides nothing. */
  #ask(vendor: Vendor, resolutions: Map<Volume, Resolution>, mounts: MountsBelow): readonly VendorFailure[] {
    const { files, devices } = this.#sources;
    const driver = DRIVERS[vendor];
    const open = [...resolutions].flatMap(([volume, resolution]) =>
      volume.driver === driver && isOpen(resolution) ? [volume] : [],
    );
    const entries = open.flatMap((volume) => volume.entries);
    const answers: VendorAnswers =
      vendor === "trident"
        ? readTrident(files, this.#options.rootfs, entries)
        : readHpe(files, mounts, entries);
    for (const volume of open) {
      const answer = answers.devices.get(volume.handle);
      const device = answer === undefined ? undefined : deviceOf(answer, devices);
      if (device !== undefined) resolutions.set(volume, { devices: new Map([[device, new Set()]]) });
    }
    return answers.failures;
  }
}

const DRIVERS: Readonly<Record<Vendor, string>> = { trident: TRIDENT_DRIVER, hpe: HPE_DRIVER };

/** The mount table shows resolved paths. Throws KubeletError. */
function realPath(kubelet: string): string {
  try {
    return realpathSync(kubelet);
  } catch (error) {
    throw new KubeletError(`cannot read ${kubelet}: ${reasonOf(error)}`, codeOf(error));
  }
}

const isSame = (a: Basis, b: Basis): boolean =>
  a.root === b.root && a.mounts === b.mounts && a.files === b.files && a.devices === b.devices;

/** The vendors' files are among those that did not change: asking them took no time. */
function again({ discovery, vendors }: Found): Found {
  const asked = [...vendors].map(([vendor, { failures }]) => [vendor, { failures, seconds: 0 }] as const);
  return { discovery, vendors: new Map(asked) };
}

function* resolveAll(
  volumes: readonly Volume[],
  host: Host,
  resolutions: Map<Volume, Resolution>,
): Generator<void, void> {
  for (const volume of volumes) {
    resolutions.set(volume, resolveVolume(volume, host));
    yield;
  }
}

function* lookBelow(
  resolutions: ReadonlyMap<Volume, Resolution>,
  devices: Sources["devices"],
  backings: Map<string, Backing>,
): Generator<void, void> {
  for (const resolution of resolutions.values()) {
    if ("skipped" in resolution) continue;
    for (const device of resolution.devices.keys()) {
      if (!backings.has(device)) backings.set(device, devices.backing(device));
      yield;
    }
  }
}

const isOpen = (resolution: Resolution): boolean =>
  "skipped" in resolution &&
  (resolution.skipped.reason === "no_mount" || resolution.skipped.reason === "unresolved");

const deviceOf = (answer: VendorDevice, devices: Sources["devices"]): string | undefined =>
  answer.kind === "path" ? deviceAt(answer.path, devices) : devices.nameOf(answer.majorMinor);

/** `dev_t` is put together as makedev(3) of glibc does it. */
export function blockDeviceNumber(path: string): string | undefined {
  try {
    const stat = lstatSync(path, { bigint: true });
    if (!stat.isBlockDevice()) return undefined;
    const { rdev } = stat;
    const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
    const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
    return `${major}:${minor}`;
  } catch {
    return undefined;
  }
}
