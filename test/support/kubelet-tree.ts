/** The demo's kubelet trees and their mounts, and what only tests do with them. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { podDirectory, publishedDirectory } from "../../src/demo/kubelet-tree.ts";
import type { Mount, MountsBelow } from "../../src/host/mountinfo.ts";

export * from "../../src/demo/kubelet-tree.ts";

/** Pods without a volume of CSI. */
export function buildPods(root: string, uids: readonly string[]): void {
  for (const uid of uids) mkdirSync(join(podDirectory(root, uid), "volumes"), { recursive: true });
}

/** Takes a volume away from a pod, or all of a pod if `pv` is missing, as the kubelet does. */
export function removeFromPod(root: string, uid: string, pv?: string): void {
  rmSync(pv === undefined ? podDirectory(root, uid) : publishedDirectory(root, uid, pv), { recursive: true });
}

/** What a reader of the mount table answers for `directory`. */
export function mountsBelow(mounts: readonly Mount[], directory: string): MountsBelow {
  const within = (path: string, parent: string) => path === parent || path.startsWith(`${parent}/`);
  const below = mounts.filter(({ mountPoint }) => within(mountPoint, directory));
  const holder = mounts
    .filter(({ mountPoint }) => mountPoint === "/" || within(directory, mountPoint))
    .reduce<Mount | undefined>(
      (best, mount) =>
        best === undefined || mount.mountPoint.length >= best.mountPoint.length ? mount : best,
      undefined,
    );
  return { holder, below: new Map(below.map((mount) => [mount.mountPoint, mount])) };
}
