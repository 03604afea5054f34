/** A file system with hardly any room, where the machine allows mounting one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  readonly path: string;
  /** Leaves room for nothing. */
  fill(): void;
  makeReadOnly(): void;
  remove(): void;
}

/** Why there can be none here; undefined where there can. */
export function noSmallDisk(): string | undefined {
  try {
    mountSmallDisk().remove();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/** A tmpfs of 64 KiB. Throws where this user may not mount. */
export function mountSmallDisk(): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), "plumbline-small-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path]);
  if (!mounted.success) {
    rmSync(path, { recursive: true });
    throw new Error(`cannot mount a tmpfs: ${mounted.stderr}`.trim());
  }
  return {
    path,
    fill() {
      try {
        for (let block = 0; ; block++) writeFileSync(join(path, `fill-${block}`), new Uint8Array(4096));
      } catch {
        // Full.
      }
    },
    makeReadOnly: () => void Bun.spawnSync(["mount", "-o", "remount,ro", path]),
    remove() {
      Bun.spawnSync(["umount", path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
