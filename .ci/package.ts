/**
 * Makes the Debian packages: `bun run package:deb` leaves dist/plumbline_VERSION_{amd64,arm64}.deb. Version and date are
 * those of the newest entry of deploy/debian/changelog, so that the same binary makes the same package, byte for byte.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import manifest from "../package.json" with { type: "json" };
import { ARCHITECTURES, type Architecture, build, ROOT } from "./build.ts";

/** What is installed beside the binary: from (in the repository), to, and whether Debian wants it compressed. */
const FILES = [
  ["systemd/plumbline.service", "usr/lib/systemd/system/plumbline.service"],
  ["systemd/plumbline-textfile.service", "usr/lib/systemd/system/plumbline-textfile.service"],
  ["systemd/plumbline-textfile.timer", "usr/lib/systemd/system/plumbline-textfile.timer"],
  ["systemd/plumbline.sysusers.conf", "usr/lib/sysusers.d/plumbline.conf"],
  ["systemd/plumbline.tmpfiles.conf", "usr/lib/tmpfiles.d/plumbline.conf"],
  [
    "systemd/plumbline.service.d/unprivileged.conf.example",
    "usr/share/doc/plumbline/examples/unprivileged.conf",
  ],
  ["deploy/debian/plumbline.default", "etc/default/plumbline"],
  ["deploy/debian/plumbline.yml", "etc/plumbline/plumbline.yml"],
  ["deploy/debian/copyright", "usr/share/doc/plumbline/copyright"],
  ["deploy/debian/lintian-overrides", "usr/share/lintian/overrides/plumbline"],
  ["deploy/debian/changelog", "usr/share/doc/plumbline/changelog.gz"],
  ["docs/plumbline.1", "usr/share/man/man1/plumbline.1.gz"],
] as const;

/** Folders whose files go below /usr/share/doc/plumbline: from, to, which. */
const DOCUMENTATION = [
  ["docs", "", /\.(md|json)$/],
  ["deploy/prometheus", "examples/prometheus", /\.rules\.yml$/],
  ["deploy/grafana", "examples/grafana", /\.json$/],
] as const;

const CONTROL = [
  ["conffiles", 0o644],
  ["postinst", 0o755],
  ["prerm", 0o755],
  ["postrm", 0o755],
] as const;

const DEBIAN: Readonly<Record<Architecture, string>> = { x64: "amd64", arm64: "arm64" };

export interface Packaging {
  readonly binary: string;
  readonly architecture: Architecture;
  /** Where the package is left. */
  readonly directory: string;
  /** Default: that of the changelog. */
  readonly version?: string;
  /** Default: xz. Tests take none, which needs half a second in place of half a minute. */
  readonly compression?: "xz" | "none";
}

/** Makes one package and answers its path. Throws what dpkg-deb complains of. */
export function debianPackage({ binary, architecture, directory, ...more }: Packaging): string {
  const newest = newestEntry(readFileSync(join(ROOT, "deploy/debian/changelog"), "utf8"));
  const version = more.version ?? newest.version;
  const staging = mkdtempSync(join(tmpdir(), "plumbline-deb-"));
  const umask = process.umask(0o022);
  try {
    chmodSync(staging, 0o755);
    install(staging, "usr/bin/plumbline", 0o755, (path) => copyFileSync(binary, path));
    for (const [from, to] of [...FILES, ...documentation()]) {
      const content = readFileSync(join(ROOT, from));
      install(staging, to, 0o644, (path) =>
        writeFileSync(path, to.endsWith(".gz") ? gzipSync(content, { level: 9 }) : content),
      );
    }
    const { size, md5sums } = inventory(staging);
    const control = readFileSync(join(ROOT, "deploy/debian/control"), "utf8")
      .replace("@VERSION@", version)
      .replace("@ARCHITECTURE@", DEBIAN[architecture])
      .replace("@SIZE@", String(size));
    install(staging, "DEBIAN/control", 0o644, (path) => writeFileSync(path, control));
    install(staging, "DEBIAN/md5sums", 0o644, (path) => writeFileSync(path, md5sums));
    for (const [name, mode] of CONTROL)
      install(staging, `DEBIAN/${name}`, mode, (path) =>
        copyFileSync(join(ROOT, "deploy/debian", name), path),
      );

    mkdirSync(directory, { recursive: true });
    const deb = join(directory, `plumbline_${version}_${DEBIAN[architecture]}.deb`);
    dpkgDeb(["--root-owner-group", `-Z${more.compression ?? "xz"}`, "--build", staging, deb], newest.date);
    return deb;
  } finally {
    process.umask(umask);
    rmSync(staging, { recursive: true });
  }
}

function documentation(): [from: string, to: string][] {
  return DOCUMENTATION.flatMap(([from, to, which]) =>
    readdirSync(join(ROOT, from), { recursive: true, encoding: "utf8" })
      .filter((name) => which.test(name))
      .map((name): [string, string] => [join(from, name), join("usr/share/doc/plumbline", to, name)]),
  );
}

/** Version and date of the first entry; both stand in the package, and the version is the program's. */
function newestEntry(changelog: string): { version: string; date: Date } {
  const [, version] = /^plumbline \(([^)]+)\)/.exec(changelog) ?? [];
  const [, date] = /^ -- .*> {2}(.+)$/m.exec(changelog) ?? [];
  if (version !== manifest.version)
    throw new Error(`deploy/debian/changelog begins with ${version}, package.json has ${manifest.version}`);
  return { version, date: new Date(date ?? "") };
}

function install(staging: string, to: string, mode: number, write: (path: string) => void): void {
  const path = join(staging, to);
  mkdirSync(dirname(path), { recursive: true });
  write(path);
  chmodSync(path, mode);
}

/** The size in KiB, as dpkg counts it, and the control file md5sums, in which conffiles do not stand. */
function inventory(staging: string): { size: number; md5sums: string } {
  let size = 0;
  let md5sums = "";
  for (const name of readdirSync(staging, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(staging, name);
    const stat = statSync(path);
    size += stat.isDirectory() ? 1 : Math.ceil(stat.size / 1024);
    if (stat.isFile() && !name.startsWith("etc/"))
      md5sums += `${createHash("md5").update(readFileSync(path)).digest("hex")}  ${name}\n`;
  }
  return { size, md5sums };
}

function dpkgDeb(args: readonly string[], date: Date): void {
  const SOURCE_DATE_EPOCH = String(date.getTime() / 1000);
  const run = spawnSync("dpkg-deb", args, {
    encoding: "utf8",
    env: { ...process.env, SOURCE_DATE_EPOCH },
  });
  if (run.error !== undefined)
    throw new Error("dpkg-deb cannot be run: a Debian package is made on Debian or a system with its dpkg", {
      cause: run.error,
    });
  if (run.status !== 0) throw new Error(`dpkg-deb ${args.join(" ")}: ${run.stderr}`);
}

if (import.meta.main) {
  for (const architecture of ARCHITECTURES) {
    const binary = await build(architecture, "dist");
    const deb = debianPackage({ binary, architecture, directory: join(ROOT, "dist") });
    process.stdout.write(`${deb}: ${(statSync(deb).size / 1e6).toFixed(1)} MB\n`);
  }
}
