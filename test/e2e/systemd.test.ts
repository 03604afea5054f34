/** The units as `systemd-analyze` judges them. That they run under a real systemd is shown in the guest. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith, KILL, SYSTEMD_ANALYZE } from "../support/debian.ts";

const UNITS = join(import.meta.dir, "../../systemd");
const services = ["plumbline.service", "plumbline-textfile.service"];
const units = [...services, "plumbline-textfile.timer"];

/** Runs a systemd tool on a copy of the units whose program exists on this machine. */
function analyze(args: readonly string[], unit: string): { status: number | null; output: string } {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-units-"));
  try {
    for (const name of readdirSync(UNITS).filter((name) => /\.(service|timer)$/.test(name))) {
      const text = readFileSync(join(UNITS, name), "utf8").replaceAll("/usr/bin/plumbline", "/bin/true");
      writeFileSync(join(directory, name), text);
    }
    const run = spawnSync("systemd-analyze", [...args, join(directory, unit)], {
      encoding: "utf8",
      timeout: 30_000,
    });
    if (run.error !== undefined) throw run.error;
    return { status: run.status, output: `${run.stdout}${run.stderr}` };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describeWith([SYSTEMD_ANALYZE, KILL], "the units", () => {
  test.each(units)("systemd-analyze verify has nothing to say about %s", (unit) => {
    expect(analyze(["verify"], unit)).toEqual({ status: 0, output: "" });
  });

  test.each(services)("systemd-analyze security rates %s 3.5 or better", (unit) => {
    const { output } = analyze(["security", "--offline=yes"], unit);
    const exposure = /Overall exposure level for .*: ([\d.]+)/.exec(output)?.[1];
    expect(Number(exposure)).toBeGreaterThan(0);
    expect(Number(exposure)).toBeLessThanOrEqual(3.5);
  });

  test("sysusers and tmpfiles fragments are accepted", () => {
    const root = mkdtempSync(join(tmpdir(), "plumbline-root-"));
    try {
      mkdirSync(join(root, "etc"));
      for (const [tool, fragment] of [
        ["systemd-sysusers", "plumbline.sysusers.conf"],
        ["systemd-tmpfiles", "plumbline.tmpfiles.conf"],
      ] as const) {
        const args = tool === "systemd-tmpfiles" ? ["--create"] : [];
        const run = spawnSync(tool, [`--root=${root}`, ...args, join(UNITS, fragment)], { encoding: "utf8" });
        expect({ tool, status: run.status, stderr: run.stderr.replace(/^Creating .*\n/gm, "") }).toEqual({
          tool,
          status: 0,
          stderr: "",
        });
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

test("the textfile unit may write where its environment tells it to", () => {
  const unit = readFileSync(join(UNITS, "plumbline-textfile.service"), "utf8");
  const directory = /^Environment=PLUMBLINE_TEXTFILE_DIRECTORY=(.*)$/m.exec(unit)?.[1];
  expect(directory).toBeDefined();
  expect(/^ReadWritePaths=(.*)$/m.exec(unit)?.[1]?.split(" ")).toContain(`-${directory}`);
});

test.each(services)("%s and the tmpfiles fragment agree on the modes of directories", (name) => {
  const unit = readFileSync(join(UNITS, name), "utf8");
  const fragment = readFileSync(join(UNITS, "plumbline.tmpfiles.conf"), "utf8");
  const unitMode = (kind: string) => new RegExp(`^${kind}DirectoryMode=(.*)$`, "m").exec(unit)?.[1];
  const fragmentMode = (path: string) => new RegExp(`^d ${path} (\\d+) `, "m").exec(fragment)?.[1];
  // Where they differ, systemd warns at each start: once a minute, with the timer.
  expect(unitMode("State")).toBe(fragmentMode("/var/lib/plumbline") ?? "none");
  expect(unitMode("Configuration")).toBe(fragmentMode("/etc/plumbline") ?? "none");
});
