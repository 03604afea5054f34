/**
 * A virtual machine with NVMe controllers: Debian's own kernel under QEMU, without KVM or rights, on the host's own root
 * directory. Made of Debian packages alone; what was made once is kept in ~/.cache/plumbline/guest.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { find, lacking, type Program, QEMU } from "../../support/debian.ts";

const BUSYBOX: Program = { command: "busybox", package: "busybox-static" };
const DEPMOD: Program = { command: "depmod", package: "kmod" };
const XZ: Program = { command: "xz", package: "xz-utils" };
const DPKG: Program = { command: "dpkg", package: "dpkg" };
const APT: Program = { command: "apt-get", package: "apt" };

/** What the initramfs loads to reach the host's files and to find the controllers. */
const MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "nvme"];

export interface Kernel {
  readonly vmlinux: string;
  readonly initramfs: string;
  readonly modules: string;
}

/** A kernel to boot, or why there is none. */
export function prepare(): Kernel | { readonly lacking: string } {
  if (process.arch !== "x64") return { lacking: "the guest is an amd64 one" };
  const reason = lacking([APT, DPKG, QEMU, BUSYBOX, DEPMOD, XZ]);
  if (reason !== undefined) return { lacking: reason };
  const depends = spawnSync("apt-cache", ["depends", "linux-image-amd64"], { encoding: "utf8" }).stdout;
  const name = /Depends: (linux-image-[0-9]\S*)/.exec(depends)?.[1];
  if (name === undefined) return { lacking: "apt knows no package linux-image-amd64: apt-get update" };
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "plumbline/guest");
  const directory = join(cache, name);
  if (!existsSync(directory)) {
    try {
      unpackKernel(name, cache, directory);
    } catch (error) {
      return { lacking: `the kernel package ${name} cannot be unpacked: ${String(error)}` };
    }
  }
  const version = name.replace("linux-image-", "");
  const initramfs = join(directory, "initramfs.cpio");
  // Made anew every time, in some milliseconds: it holds the repository's own init.
  writeFileSync(initramfs, archive(initramfsFiles(directory, version)));
  return { vmlinux: join(directory, "vmlinux"), initramfs, modules: join(directory, "lib/modules") };
}

/** Downloads the package, needing no rights, and unpacks it; the directory appears whole or not at all. */
function unpackKernel(name: string, cache: string, directory: string): void {
  mkdirSync(cache, { recursive: true });
  const unpacking = mkdtempSync(join(cache, "unpacking-"));
  try {
    // Without its sandbox user apt can write into a directory that is root's alone.
    run("apt-get", ["download", "-q", "-o", "APT::Sandbox::User=", name], unpacking);
    const [file = ""] = readdirSync(unpacking);
    run("dpkg", ["-x", file, "."], unpacking);
    rmSync(join(unpacking, file));
    if (!existsSync(join(unpacking, "lib"))) symlinkSync("usr/lib", join(unpacking, "lib"));
    const version = name.replace("linux-image-", "");
    run(find(DEPMOD) ?? "depmod", ["-b", unpacking, version], unpacking);
    writeFileSync(
      join(unpacking, "vmlinux"),
      uncompressed(readFileSync(join(unpacking, "boot", `vmlinuz-${version}`))),
    );
    renameSync(unpacking, directory);
  } finally {
    rmSync(unpacking, { recursive: true, force: true });
  }
}

/** The ELF image inside a bzImage: it has a PVH entry, so QEMU boots it without minutes of unpacking under emulation. */
function uncompressed(image: Buffer): Buffer {
  const formats = [
    { magic: Buffer.from("fd377a585a00", "hex"), unpack: ["xz", "-dc", "--single-stream"] },
    { magic: Buffer.from("28b52ffd", "hex"), unpack: ["zstd", "-qdc"] },
  ];
  for (const { magic, unpack } of formats) {
    for (let at = image.indexOf(magic); at >= 0; at = image.indexOf(magic, at + 1)) {
      const [command = "", ...args] = unpack;
      // The tools complain of what follows the compressed data; what matters is whether an ELF image came out.
      const { stdout } = spawnSync(command, args, { input: image.subarray(at), maxBuffer: 1 << 28 });
      if (stdout?.subarray(0, 4).toString("latin1") === "\x7fELF") return stdout;
    }
  }
  throw new Error("no ELF image in the kernel package");
}

interface File {
  readonly name: string;
  /** With the type of file, as in stat. */
  readonly mode: number;
  readonly content: Uint8Array;
}

function initramfsFiles(directory: string, version: string): File[] {
  const modules = loadOrder(directory, version);
  const empty = new Uint8Array();
  const folders = ["bin", "modules", "proc", "sys", "dev", "host", "memory", "new"];
  return [
    ...folders.map((name) => ({ name, mode: 0o040755, content: empty })),
    {
      name: "init",
      mode: 0o100755,
      content: readFileSync(fileURLToPath(new URL("./init", import.meta.url))),
    },
    { name: "bin/busybox", mode: 0o100755, content: readFileSync(find(BUSYBOX) ?? "/bin/busybox") },
    ...modules.map((path) => ({
      name: `modules/${moduleFile(path)}`,
      mode: 0o100644,
      content: moduleBytes(path),
    })),
    { name: "modules/order", mode: 0o100644, content: Buffer.from(modules.map(moduleFile).join("\n")) },
  ];
}

/** The paths of MODULES and of what they depend on, dependencies first, from depmod's modules.dep. */
function loadOrder(directory: string, version: string): string[] {
  const base = join(directory, "lib/modules", version);
  const dependencies = new Map<string, readonly string[]>();
  for (const line of readFileSync(join(base, "modules.dep"), "utf8").split("\n")) {
    const [module, rest = ""] = line.split(":");
    if (module !== undefined && module !== "")
      dependencies.set(
        module,
        rest.split(" ").filter((path) => path !== ""),
      );
  }
  const order: string[] = [];
  for (const wanted of MODULES) {
    const path = [...dependencies.keys()].find(
      (key) => moduleFile(key).replaceAll("-", "_") === `${wanted}.ko`,
    );
    if (path === undefined) continue; // built into this kernel
    // depmod lists what a module needs directly first, so the reverse order loads.
    for (const needed of [...(dependencies.get(path) ?? [])].reverse().concat(path)) {
      if (!order.includes(needed)) order.push(needed);
    }
  }
  return order.map((path) => join(base, path));
}

function moduleFile(path: string): string {
  return basename(path).replace(/\.(xz|zst)$/, "");
}

function moduleBytes(path: string): Buffer {
  if (path.endsWith(".ko")) return readFileSync(path);
  return spawnSync(path.endsWith(".xz") ? "xz" : "zstd", ["-dc", path], { maxBuffer: 1 << 26 }).stdout;
}

/** The `newc` form of cpio, which the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). */
function archive(files: readonly File[]): Buffer {
  const hex = (value: number) => value.toString(16).padStart(8, "0");
  const parts: Uint8Array[] = [];
  for (const [index, file] of [
    ...files,
    { name: "TRAILER!!!", mode: 0, content: new Uint8Array() },
  ].entries()) {
    const fields = [
      index + 1,
      file.mode,
      0,
      0,
      1,
      0,
      file.content.length,
      0,
      0,
      0,
      0,
      file.name.length + 1,
      0,
    ];
    const head = `070701${fields.map(hex).join("")}${file.name}\0`;
    parts.push(Buffer.from(head), padding(head.length), file.content, padding(file.content.length));
  }
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

function run(command: string, args: readonly string[], cwd: string): void {
  const done = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr}`);
}

export interface Boot {
  /** Of QEMU: drives and controllers. */
  readonly devices: readonly string[];
  /** More of the kernel's command line. */
  readonly parameters: readonly string[];
  /** A POSIX shell's, run as root with `share` mounted at /share. */
  readonly command: string;
  /** A directory of the host. */
  readonly share: string;
  readonly timeoutMs: number;
}

export interface Booted {
  /** The command's exit status; undefined when the guest ended or was ended before the command did. */
  readonly status: number | undefined;
  readonly output: string;
  /** For whoever must find out why. */
  readonly console: string;
  /** QEMU's standard error: complaints, and what `-trace` shows. */
  readonly trace: string;
}

const BOOT_ATTEMPTS = 3;
const BOOT_MS = 75_000;

/** Boots, runs the command, powers off. A boot that hangs before the command starts is tried again. */
export async function boot(kernel: Kernel, guest: Boot): Promise<Booted> {
  writeFileSync(join(guest.share, "command"), guest.command);
  writeFileSync(join(guest.share, "environment"), `MODULES='${kernel.modules}'\n`);
  const deadline = performance.now() + guest.timeoutMs;
  for (let attempt = 1; ; attempt += 1) {
    const ended = await runQemu(kernel, guest, deadline);
    const started = existsSync(join(guest.share, "started"));
    if (started || attempt === BOOT_ATTEMPTS || performance.now() > deadline) {
      const status = Number.parseInt(readIfThere(guest.share, "status"), 10);
      const output = readIfThere(guest.share, "output");
      return { status: Number.isNaN(status) ? undefined : status, output, ...ended };
    }
  }
}

async function runQemu(
  kernel: Kernel,
  guest: Boot,
  deadline: number,
): Promise<Pick<Booted, "console" | "trace">> {
  const scratch = mkdtempSync(join(tmpdir(), "plumbline-guest-"));
  const log = join(scratch, "console");
  const qemu = spawn(find(QEMU) ?? QEMU.command, qemuArguments(kernel, guest, log), {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let trace = "";
  qemu.stderr.on("data", (bytes) => {
    trace += String(bytes);
  });
  const ended = new Promise<void>((resolve) => {
    qemu.once("error", (error) => {
      trace += String(error);
      resolve();
    });
    qemu.once("close", () => resolve());
  });
  const kill = () => qemu.kill("SIGKILL");
  process.once("exit", kill);
  let running = true;
  void ended.then(() => {
    running = false;
  });
  const stuckAt = performance.now() + BOOT_MS;
  while (running) {
    const started = existsSync(join(guest.share, "started"));
    if (performance.now() > deadline || (!started && performance.now() > stuckAt)) kill();
    await Promise.race([ended, sleep(200)]);
  }
  process.off("exit", kill);
  const console = readIfThere(scratch, "console");
  rmSync(scratch, { recursive: true, force: true });
  return { console, trace };
}

/** TCG with all that it emulates: Bun ends with SIGILL on QEMU's default processor. */
function qemuArguments(kernel: Kernel, guest: Boot, console: string): string[] {
  const parameters = [
    "console=ttyS0",
    "quiet",
    "panic=-1",
    "random.trust_cpu=on",
    "mitigations=off",
    "nokaslr",
  ];
  const share = (tag: string, path: string, more: string) => [
    "-fsdev",
    `local,id=${tag},path=${path.replaceAll(",", ",,")},security_model=none,multidevs=remap${more}`,
    "-device",
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ];
  return [
    ...["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "2048"],
    ...["-machine", "q35,usb=off,smbus=off,sata=off,vmport=off", "-nodefaults", "-no-user-config"],
    ...["-display", "none", "-no-reboot", "-net", "none", "-device", "virtio-rng-pci"],
    ...["-kernel", kernel.vmlinux, "-initrd", kernel.initramfs],
    ...["-append", [...parameters, ...guest.parameters].join(" ")],
    ...["-serial", `file:${console}`],
    ...share("root", "/", ",readonly=on"),
    ...share("share", guest.share, ""),
    ...guest.devices,
  ];
}

function readIfThere(directory: string, name: string): string {
  const path = join(directory, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
