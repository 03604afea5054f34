/**
 * Real mounts for tests: a mount namespace of its own whose mounts nobody else sees, loop devices, and a FUSE file system
 * that never answers. All of it goes with the namespace, also where the test is killed: a shell outside waits for the end
 * of its standard input and cleans up.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { lacking, type Program, PYTHON } from "./debian.ts";

const MKFS = {
  ext4: { command: "mkfs.ext4", package: "e2fsprogs", options: ["-q", "-F"] },
  xfs: { command: "mkfs.xfs", package: "xfsprogs", options: ["-q", "-f", "-K"] },
  btrfs: { command: "mkfs.btrfs", package: "btrfs-progs", options: ["-q", "-f", "-K"] },
} as const;
export type LocalFileSystem = keyof typeof MKFS;
/** The least of it that takes any of the file systems; the file behind it is sparse. */
const IMAGE_BYTES = 320 << 20;

const PROGRAMS: readonly Program[] = [
  ...Object.values(MKFS),
  PYTHON,
  { command: "mount", package: "mount" },
  { command: "losetup", package: "mount" },
  { command: "unshare", package: "util-linux" },
  { command: "nsenter", package: "util-linux" },
  { command: "setpriv", package: "util-linux" },
  { command: "findmnt", package: "util-linux" },
  { command: "lsblk", package: "util-linux" },
  { command: "addpart", package: "util-linux" },
];

/** Why this machine cannot have real mounts; undefined where it can. */
export function lackingForMounts(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for mounts and loop devices";
  const missing = lacking(PROGRAMS);
  if (missing !== undefined) return missing;
  const known = new Set(readFileSync("/proc/filesystems", "utf8").split(/\s+/));
  const without = [...Object.keys(MKFS), "fuse"].filter(
    (name) => !known.has(name) && spawnSync("modprobe", ["-q", name]).status !== 0,
  );
  if (without.length > 0) return `the kernel has no ${without.join(", ")}`;
  const free = spawnSync("losetup", ["-f"], { encoding: "utf8" });
  return free.status === 0 ? undefined : `no loop device to be had: ${free.stderr.trim()}`;
}

/**
 * The process in the namespace is a shell that does nothing; the one outside outlives it and takes the loop devices off
 * (they go for good when the last mount of them does) and the directory, which holds nothing but plain files out here. In
 * a session of its own, since Ctrl-C is for the tests.
 */
const KEEPER = `
unshare --mount --propagation private sh -c 'echo $$; cat >/dev/null'
losetup --list --noheadings --raw --output NAME,BACK-FILE |
  while read -r name file; do case $file in "$1"/*) losetup --detach "$name" ;; esac; done
rm -rf --one-file-system "$1"
`;

export class MountNamespace {
  /** For the test's files and mount points; an own file system in the namespace. */
  readonly directory: string;
  readonly #pid: string;
  readonly #end: () => Promise<void>;

  static async open(): Promise<MountNamespace> {
    const directory = mkdtempSync(join(tmpdir(), "plumbline-mounts-"));
    const keeper = Bun.spawn(["setsid", "sh", "-c", KEEPER, "keeper", directory], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const namespace = new MountNamespace(directory, await firstLine(keeper.stdout), async () => {
      keeper.stdin.end();
      await keeper.exited;
    });
    try {
      namespace.#makeNode();
      return namespace;
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(directory: string, pid: string, end: () => Promise<void>) {
    this.directory = join(directory, "node");
    this.#pid = pid;
    this.#end = end;
  }

  get #fuseConnections(): string {
    return join(dirname(this.directory), "fuse-connections");
  }

  /** Disk that the tree stands on: never that of a volume, and the same whatever the machine's /tmp is. */
  #makeNode(): void {
    mkdirSync(this.directory);
    const disk = this.attach(this.image("node"));
    this.format(disk, "ext4");
    this.run("mount", disk, this.directory);
    this.run("chmod", "0755", dirname(this.directory));
    this.run("mount", "-t", "fusectl", "fusectl", this.makeDirectory(this.#fuseConnections));
  }

  /** `command` as it is to be run to be in the namespace. */
  enter(...command: string[]): string[] {
    return ["nsenter", "--target", this.#pid, "--mount", "--", ...command];
  }

  /** Runs a program in the namespace; gives its output. */
  run(...command: string[]): string {
    const [program = "", ...args] = this.enter(...command);
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 30_000 });
    if (status !== 0) throw new Error(`${command.join(" ")}: ended with ${status}: ${stderr}`);
    return stdout.trimEnd();
  }

  /** Under which name a process outside finds a file of the namespace. */
  fromOutside(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(this.fromOutside(path)), { recursive: true });
    writeFileSync(this.fromOutside(path), content);
  }

  makeDirectory(path: string): string {
    mkdirSync(this.fromOutside(path), { recursive: true });
    return path;
  }

  /** A sparse file that can become a loop device; it lies outside of `directory`. */
  image(name: string): string {
    const path = join(dirname(this.directory), `${name}.img`);
    writeFileSync(path, "");
    truncateSync(path, IMAGE_BYTES);
    return path;
  }

  /** A loop device of its own for the image, that can have partitions: `/dev/loop9`. */
  attach(image: string): string {
    return this.run("losetup", "--find", "--show", "--partscan", image);
  }

  format(device: string, fileSystem: LocalFileSystem): void {
    const { command, options } = MKFS[fileSystem];
    this.run(command, ...options, device);
  }

  /** Mounts `source` at a directory that is made for it. */
  mount(source: string, directory: string, ...options: string[]): void {
    this.run("mount", ...options, source, this.makeDirectory(directory));
  }

  /** Binds a device node (or any file) to a file that is made for it. */
  bindFile(source: string, path: string): void {
    this.write(path, "");
    this.run("mount", "--bind", source, path);
  }

  unmount(path: string): void {
    this.run("umount", "--lazy", path);
  }

  /** A file system that never answers. */
  async mountSilent(directory: string): Promise<SilentMount> {
    this.makeDirectory(directory);
    const script = join(import.meta.dir, "fuse-silent.py");
    const server = Bun.spawn(this.enter("python3", script, directory), {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const connection = join(this.#fuseConnections, await firstLine(server.stdout));
    return {
      waiting: () => Number(this.run("cat", `${connection}/waiting`)),
      async end() {
        server.stdin.end();
        await server.exited;
      },
    };
  }

  /** The namespace's mounts, loop devices and files are gone behind it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

export interface SilentMount {
  /** Questions that were asked and not answered: the mount's own greeting is one. */
  waiting(): number;
  /** Sets free whoever hangs. */
  end(): Promise<void>;
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
  throw new Error(`ended without a line: ${text}`);
}
