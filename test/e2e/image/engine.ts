/**
 * Builds the image with buildah and runs it with podman, as root and without a registry: the builder's base is a
 * debootstrapped Debian. Layers are kept in ~/.cache/plumbline/image, so that a second build takes seconds.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../../.ci/build.ts";
import { find, lacking, type Program } from "../../support/debian.ts";
import { type Process, watch } from "../../support/processes.ts";
import { debianRoot, lackingForDebian } from "../debian/system.ts";

const BUILDAH: Program = { command: "buildah", package: "buildah" };
const PODMAN: Program = { command: "podman", package: "podman" };
const CRUN: Program = { command: "crun", package: "crun" };
const UNSHARE: Program = { command: "unshare", package: "util-linux" };

export type Architecture = "amd64" | "arm64";
export const HERE: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
export const REVISION = "0123456789ab";
export const BUILDING_MS = 600_000;

const STORE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "plumbline/image");
const STORAGE = ["--root", join(STORE, "root"), "--runroot", join(STORE, "run")];
const BUILDER = "localhost/plumbline-builder";
const TOOLS = "localhost/plumbline-tools";

/** Why no image can be built and run on this machine; undefined where it can. */
export function lackingForImages(): string | undefined {
  return lackingForDebian() ?? lacking([BUILDAH, PODMAN, CRUN, UNSHARE]);
}

const run = promisify(execFile);

async function buildah(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(find(BUILDAH) ?? "", [...STORAGE, ...args], {
    cwd: ROOT,
    timeout: BUILDING_MS,
    maxBuffer: 64 << 20,
  });
  return stdout.trim();
}

const built = new Map<Architecture, Promise<string>>();

/** Its name, for `podman run` and the like; built once for each test run. */
export function buildImage(architecture: Architecture): Promise<string> {
  const image = built.get(architecture) ?? build(architecture);
  built.set(architecture, image);
  return image;
}

async function build(architecture: Architecture): Promise<string> {
  mkdirSync(STORE, { recursive: true });
  await makeBuilder();
  // Under a name of its own, what the build needs from the network outlives `forgetLayers`.
  await buildah(...BUILD, "--target=tools", `--tag=${TOOLS}`, ".");
  const image = `localhost/plumbline-${architecture}`;
  await buildah(...BUILD, `--platform=linux/${architecture}`, `--tag=${image}`, ".");
  return image;
}

const BUILD = [
  ...["build", "--isolation=chroot", "--layers", "--pull-never", "--quiet"],
  ...["--build-arg", `BUILDER=${BUILDER}`, "--build-arg", `BUILDPLATFORM=linux/${HERE}`],
  ...["--build-arg", `REVISION=${REVISION}`],
  ...["--ignorefile", "deploy/container/Dockerfile.dockerignore", "--file", "deploy/container/Dockerfile"],
];

/** Each change of the sources leaves 2 GB of layers that no later build can use. */
export async function forgetLayers(): Promise<void> {
  await buildah("rmi", "--prune");
}

/** A Debian as one of Docker's, with the authorities that this machine trusts: it may reach registries through a proxy. */
async function makeBuilder(): Promise<void> {
  if ((await buildah("images", "--quiet", "--filter", `reference=${BUILDER}`)) !== "") return;
  const container = await buildah("from", "scratch");
  try {
    await buildah("add", "--quiet", container, await debianRoot(), "/");
    const trust = process.env["NODE_EXTRA_CA_CERTS"];
    if (trust !== undefined && existsSync(trust)) {
      await buildah("copy", "--quiet", container, trust, "/opt/trust.pem");
      await buildah("config", "--env", "NODE_EXTRA_CA_CERTS=/opt/trust.pem", container);
    }
    await buildah("commit", "--quiet", container, BUILDER);
  } finally {
    await buildah("rm", container);
  }
}

/** What the image says of itself, as `podman image inspect` has it. */
export const inspectImage = (image: string): unknown =>
  JSON.parse(podman(["image", "inspect", "--format", "json", image]).stdout);

/** Gives the directory in which the image's files can be read, as long as `use` runs. */
export async function withFiles(image: string, use: (root: string) => void): Promise<void> {
  const container = await buildah("from", "--pull-never", image);
  try {
    use(await buildah("mount", container));
  } finally {
    await buildah("rm", container);
  }
}

/** As a hardened pod runs it, with the machine's network; `extra` stand before the image. */
function command(image: string, extra: readonly string[], args: readonly string[]): readonly string[] {
  return [
    ...IN_PLAIN_CGROUPS,
    ...[find(PODMAN) ?? "", ...STORAGE, "--runtime", find(CRUN) ?? "", "--cgroup-manager", "cgroupfs"],
    ...["run", "--rm", "--pull=never", "--cgroups=disabled", "--network=host", "--log-driver=none"],
    ...["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"],
    // Podman raises these by default, which not every root may.
    ...["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"],
    ...[...extra, image, ...args],
  ];
}

/** crun refuses a machine that has both versions of control groups mounted: hide the second from it. */
const IN_PLAIN_CGROUPS: readonly string[] = readFileSync("/proc/self/mountinfo", "utf8").includes(
  " /sys/fs/cgroup/unified ",
)
  ? ["unshare", "--mount", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh"]
  : [];

export const start = (image: string, extra: readonly string[], args: readonly string[]): Process =>
  watch(command(image, extra, args));

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function runToEnd(image: string, extra: readonly string[], args: readonly string[]): Ended {
  const [program = "", ...rest] = command(image, extra, args);
  return spawned(program, rest);
}

export const podman = (args: readonly string[]): Ended => spawned(find(PODMAN) ?? "", [...STORAGE, ...args]);

function spawned(program: string, args: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 30_000 });
  return { status, stdout, stderr };
}
