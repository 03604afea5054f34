/**
 * Run by `mountinfo.test.ts` in a mount namespace of its own: mounts and unmounts, reads the mount table after each,
 * and writes what it saw as JSON. Whether anything was read is what the kernel counts in /proc/self/io.
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MountTable } from "../../src/host/mountinfo.ts";

const base = realpathSync(mkdtempSync(join(tmpdir(), "plumbline-mounts-")));
const root = join(base, "kubelet");
for (const name of ["kubelet/a", "kubelet/b", "elsewhere"]) mkdirSync(join(base, name), { recursive: true });

const table = new MountTable("/proc/self/mountinfo");
const steps: unknown[] = [];

const run = (...command: string[]): void => {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
};

/** Bytes that this process has read, whatever it read them from. */
const bytesRead = (): number => Number(/^rchar: (\d+)/.exec(readFileSync("/proc/self/io", "latin1"))?.[1]);

function look(step: string): void {
  // What the count itself costs, between two counts.
  const idle = -bytesRead() + bytesRead();
  const before = bytesRead();
  const { mounts, generation } = table.read(root);
  const reads = bytesRead() - before > idle + 50 ? "some" : "none";
  const below = Array.from(mounts.below, ([point, mount]) => {
    const isDeleted = mount.root.endsWith("//deleted");
    return `${point.slice(root.length + 1)}${isDeleted ? " of what is deleted" : ""}`;
  }).sort();
  steps.push({ step, mounts: below, reads, generation });
}

try {
  look("start");
  look("quiet");
  run("mount", "-t", "tmpfs", "tmpfs", join(root, "a"));
  look("mount a");
  look("quiet");
  run("mount", "-t", "tmpfs", "tmpfs", join(root, "b"));
  look("mount b");
  run("mount", "-t", "tmpfs", "tmpfs", join(base, "elsewhere"));
  look("mount elsewhere");
  run("umount", join(root, "a"));
  look("umount a");
  look("quiet");
  mkdirSync(join(base, "elsewhere/bound"));
  run("mount", "--bind", join(base, "elsewhere/bound"), join(root, "a"));
  look("bind a");
  rmdirSync(join(base, "elsewhere/bound"));
  look("delete what is bound, which the kernel does not tell of");
  run("umount", join(root, "a"));
  look("umount a");
  look("quiet");
  renameSync(root, join(base, "renamed"));
  look("rename the parent, which the kernel does not tell of");
  table.forget();
  look("forget");
} finally {
  table.close();
  Bun.spawnSync(["umount", join(base, "renamed/b"), join(base, "elsewhere")]);
  rmSync(base, { recursive: true });
}
process.stdout.write(JSON.stringify(steps));
