/**
 * Run by `watched-files.test.ts` in a mount namespace of its own: mounts over a directory and a file that have been
 * read, and writes what WatchedFiles and MountTable saw as JSON.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cwd } from "node:process";
import { MountTable } from "../../src/host/mountinfo.ts";
import { WatchedFiles } from "../../src/host/watched-files.ts";

const root = mkdtempSync(`${cwd()}/plumbline-mounted-`);
mkdirSync(`${root}/directory`);
writeFileSync(`${root}/directory/below`, "");
writeFileSync(`${root}/file`, "own");
mkdirSync(`${root}/elsewhere`);
writeFileSync(`${root}/elsewhere/file`, "other");

const files = new WatchedFiles();
const table = new MountTable("/proc/self/mountinfo");
const steps: unknown[] = [];

function look(step: string): void {
  files.refresh(table.read(root).mounts);
  files.list(root);
  const listing = files.list(`${root}/directory`);
  const content = files.read(`${root}/file`, 100);
  steps.push({
    step,
    directory: listing.kind === "listed" ? listing.entries.map(({ name }) => name) : listing.code,
    file: content.kind === "read" ? new TextDecoder().decode(content.bytes) : content.kind,
  });
}

const run = (...command: string[]): void => {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
};

look("start");
look("quiet");
run("mount", "-t", "tmpfs", "tmpfs", `${root}/directory`);
look("mount over the directory");
writeFileSync(`${root}/directory/new`, "");
look("a file in the mount");
run("mount", "--bind", `${root}/elsewhere/file`, `${root}/file`);
look("mount over the file");
writeFileSync(`${root}/elsewhere/file`, "written");
look("the mounted file is written where it comes from");
run("umount", `${root}/directory`, `${root}/file`);
look("umount both");
files.close();
table.close();
rmSync(root, { recursive: true });
process.stdout.write(JSON.stringify(steps));
