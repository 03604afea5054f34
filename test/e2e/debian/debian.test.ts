/** The Debian packages: what lintian says of them, and their life in a debootstrapped Debian 12 under its systemd. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { ARCHITECTURES, type Architecture } from "../../../.ci/build.ts";
import { debianPackage } from "../../../.ci/package.ts";
import manifest from "../../../package.json" with { type: "json" };
import { parseConfig } from "../../../src/config/file.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { fileProblems } from "../../../src/config/validate.ts";
import { COLLECTORS } from "../../../src/scrape/sources.ts";
import { binaryFor } from "../../support/binary.ts";
import { CURL, describeUnless, describeWith, lacking, type Program } from "../../support/debian.ts";
import { parseExposition } from "../../support/exposition-parser.ts";
import { boot, prepare } from "../guest/machine.ts";
import { debianRoot, lackingForDebian } from "./system.ts";

const ROOT = join(import.meta.dir, "../../..");
const DPKG_DEB: Program = { command: "dpkg-deb", package: "dpkg" };
const LINTIAN: Program = { command: "lintian", package: "lintian" };
const GUEST_MS = 180_000;
const MAKING_MS = 300_000;
const PACKAGING_MS = 60_000;

/** Not compressed: the only difference to what `bun run package:deb` leaves, and a minute less. */
async function packageOf(architecture: Architecture, directory: string, version?: string) {
  return debianPackage({
    binary: await binaryFor(architecture),
    architecture,
    directory,
    compression: "none",
    ...(version === undefined ? {} : { version }),
  });
}

describeWith([DPKG_DEB, LINTIAN], "the packages", () => {
  const scratch = mkdtempSync(join(tmpdir(), "plumbline-debian-"));
  afterAll(() => rmSync(scratch, { recursive: true }));

  test.each([...ARCHITECTURES])(
    "lintian has neither error nor warning for %s",
    async (architecture) => {
      const deb = await packageOf(architecture, scratch);
      const uncompressed = ["control", "data"].map((part) => `uses-no-compression-for-${part}-tarball`);
      const { status, stdout, stderr } = spawnSync(
        "lintian",
        ["--allow-root", "--fail-on=error,warning", `--suppress-tags=${uncompressed.join(",")}`, deb],
        { encoding: "utf8" },
      );
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
    },
    PACKAGING_MS,
  );

  test("the same binary makes the same package, under any umask", () => {
    const make = (directory: string) =>
      readFileSync(
        debianPackage({
          binary: join(ROOT, "LICENSE"),
          architecture: "x64",
          directory: join(scratch, directory),
        }),
      );
    const first = make("first");
    const umask = process.umask(0o077);
    try {
      expect(make("second").equals(first)).toBe(true);
    } finally {
      process.umask(umask);
    }
  });

  test("the configuration sets nothing, and its example is right", () => {
    const text = readFileSync(join(ROOT, "deploy/debian/plumbline.yml"), "utf8");
    const schema = configSchema(COLLECTORS.map(({ name }) => name));
    expect(parse(text)).toBeNull();
    const example = text.replaceAll(/^#(?!#)/gm, "");
    expect(parse(example)).toHaveProperty("pve.targets");
    expect(fileProblems(parseConfig("plumbline.yml", example), schema)).toEqual([]);
  });
});

const kernel = prepare();
const reason =
  lackingForDebian() ?? ("lacking" in kernel ? kernel.lacking : undefined) ?? lacking([DPKG_DEB, CURL]);
/** Made beside the tests above. */
const debian = reason === undefined ? debianRoot() : undefined;
// Told where it is waited for.
debian?.catch(() => undefined);

describeUnless(reason, "the package in a debootstrapped Debian 12", () => {
  const share = mkdtempSync(join(tmpdir(), "plumbline-guest-"));
  afterAll(() => rmSync(share, { recursive: true }));
  const told = (name: string): string =>
    existsSync(join(share, name)) ? readFileSync(join(share, name), "utf8") : `the guest wrote no ${name}`;

  beforeAll(async () => {
    if ("lacking" in kernel) return;
    renameSync(await packageOf("x64", share, "0.0.1"), join(share, "old.deb"));
    renameSync(await packageOf("x64", share), join(share, "new.deb"));
    const command = `ROOT='${await debian}'\n${readFileSync(join(import.meta.dir, "life.sh"), "utf8")}`;
    const guest = await boot(kernel, { devices: [], parameters: [], command, share, timeoutMs: GUEST_MS });
    if (guest.status !== 0) throw new Error(`${guest.output}\n${guest.console}`);
  }, MAKING_MS + GUEST_MS);

  test("every step succeeds and asks nothing", () => {
    expect(told("results").trimEnd().split("\n")).toEqual([
      "installed 0",
      "verified 0",
      "asked-version 0",
      "textfile 0",
      "upgraded 0",
      "disabled 0",
      "upgraded-while-disabled 0",
      "timer-enabled 0",
      "removed 0",
      "purged 0",
    ]);
  });

  test("an installation makes the user, and directories that only root and it can read", () => {
    expect(told("user")).toMatch(
      /^plumbline:.*:plumbline metrics exporter:\/var\/lib\/plumbline:\/usr\/sbin\/nologin$/m,
    );
    expect(told("modes")).toBe(
      [
        "drwxr-x--- root:plumbline /etc/plumbline",
        "-rw-r--r-- root:root /etc/plumbline/plumbline.yml",
        "drwxr-x--- plumbline:plumbline /var/lib/plumbline",
        "",
      ].join("\n"),
    );
  });

  test("an installation enables and starts the service, and not the timer", () => {
    expect(told("service-installed")).toBe("LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n");
    expect(told("timer")).toBe("disabled\n");
    const families = parseExposition(new TextEncoder().encode(told("metrics")), "text");
    expect(families.map(({ name }) => name)).toContain("plumbline_build_info");
  });

  test("dpkg finds every file as it was packaged", () => {
    expect(told("verified")).toBe("");
  });

  test("an upgrade restarts the service and keeps what was configured and collected", () => {
    expect(told("version")).toBe(`${manifest.version} installed`);
    expect(told("service-upgraded")).toBe(told("service-installed"));
    expect(told("restarted")).toBe("restarted\n");
    expect(told("conffile")).toBe("PLUMBLINE_LOG_FORMAT=json\n");
    expect(told("state")).toContain("/var/lib/prometheus/node-exporter/plumbline.prom\n");
    expect(told("state")).toContain("/var/lib/plumbline/");
  });

  test("an upgrade leaves a service off that was disabled", () => {
    expect(told("service-disabled")).toBe("LoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\n");
  });

  test("a removal stops everything, leaves configuration and state, and no metrics that nobody renews", () => {
    expect(told("service-removed")).toContain("LoadState=not-found\nActiveState=inactive\n");
    expect(told("active-after-remove")).toBe("");
    const left = told("left-by-remove");
    expect(left).toContain("/etc/default/plumbline\n");
    expect(left).toContain("/etc/plumbline/plumbline.yml\n");
    expect(left).toMatch(/^\/var\/lib\/plumbline\/./m);
    expect(left).not.toMatch(/node-exporter\/.|bin\/plumbline/);
  });

  test("a purge leaves nothing but the user", () => {
    const before = new Set(told("files-before").split("\n"));
    expect(before.size).toBeGreaterThan(100);
    const left = told("files-after")
      .split("\n")
      .filter((file) => !before.has(file));
    expect(left).toEqual([]);
  });
});
