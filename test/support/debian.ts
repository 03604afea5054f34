/**
 * Tests that need programs of the machine: they run where the programs are, are left out loudly where they are not, and
 * fail under CI=true, where nothing may be left out.
 */
import { describe } from "bun:test";

/** A program on the PATH (or an absolute path), and the Debian package that has it. */
export interface Program {
  readonly command: string;
  readonly package: string;
}

export const PROMETHEUS: Program = { command: "prometheus", package: "prometheus" };
export const PROMTOOL: Program = { command: "promtool", package: "prometheus" };
export const NODE_EXPORTER: Program = {
  command: "prometheus-node-exporter",
  package: "prometheus-node-exporter",
};
export const OPENSSL: Program = { command: "openssl", package: "openssl" };
export const CURL: Program = { command: "curl", package: "curl" };
export const SYSTEMD_ANALYZE: Program = { command: "systemd-analyze", package: "systemd" };
/** With which systemd reloads a service. */
export const KILL: Program = { command: "/bin/kill", package: "procps" };
export const PYTHON: Program = { command: "python3", package: "python3" };
export const QEMU: Program = { command: "qemu-system-x86_64", package: "qemu-system-x86" };
export const QEMU_ARM64: Program = { command: "qemu-aarch64-static", package: "qemu-user-static" };
export const LIBC_ARM64: Program = {
  command: "/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1",
  package: "libc6-arm64-cross",
};

/** Where `program` is; undefined where it is not installed. Debian keeps some programs out of a user's PATH. */
export function find(program: Program): string | undefined {
  const path = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
  return Bun.which(program.command, { PATH: path }) ?? undefined;
}

/** Why the machine lacks something of `programs`; undefined where it has all. */
export function lacking(programs: readonly Program[]): string | undefined {
  const missing = programs.filter((program) => find(program) === undefined);
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((program) => program.package))].join(" ");
  return `${missing.map((program) => program.command).join(", ")} missing: apt-get install ${packages}`;
}

/** `describe` for a body that needs `programs`. */
export function describeWith(programs: readonly Program[], name: string, body: () => void): void {
  describeUnless(lacking(programs), name, body);
}

/** `describe` for a body that cannot run for the given reason; undefined: it can. */
export function describeUnless(reason: string | undefined, name: string, body: () => void): void {
  if (reason === undefined) {
    describe(name, body);
    return;
  }
  if (process.env["CI"] === "true")
    throw new Error(`CI leaves nothing out, but '${name}' cannot run: ${reason}`);
  describe.skipIf(true)(`${name} (left out: ${reason})`, body);
}
