/** A Debian 12 made by debootstrap, to be looked at and not written to; made once, kept in ~/.cache/plumbline/debian. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { find, lacking, type Program } from "../../support/debian.ts";

const DEBOOTSTRAP: Program = { command: "debootstrap", package: "debootstrap" };
const MAKING_MS = 240_000;

/** Why there can be none on this machine; undefined where there can. */
export function lackingForDebian(): string | undefined {
  if (process.getuid?.() !== 0) return "debootstrap needs root";
  return lacking([DEBOOTSTRAP]);
}

/** Its root directory; the path has no comma and no colon, which mean something to overlays. */
export async function debianRoot(): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "plumbline/debian");
  const root = join(cache, "bookworm");
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const making = mkdtempSync(join(cache, "making-"));
  try {
    await promisify(execFile)(
      find(DEBOOTSTRAP) ?? DEBOOTSTRAP.command,
      ["--variant=minbase", "--include=systemd,systemd-sysv", "bookworm", making],
      { timeout: MAKING_MS },
    );
    rmSync(join(making, "var/cache/apt"), { recursive: true });
    renameSync(making, root);
    return root;
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
