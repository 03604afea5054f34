/** Run by `mountinfo.test.ts` under Deno: writes what MountTable made of each version of a table as JSON. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { MountTable } from "../../src/host/mountinfo.ts";

const directory = mkdtempSync(`${process.cwd()}/plumbline-changes-`);
const path = `${directory}/mountinfo`;
const table = new MountTable(path);

const answers = ["ab", "ab", "abc", "ac", ""].map((names) => {
  const lines = ["", ...names].map((name) => `1 0 8:1 / /${name} rw - ext4 /dev/sda1 rw\n`);
  writeFileSync(path, lines.join(""));
  const { mounts, generation } = table.read("/");
  return { generation, below: [...mounts.below.keys()].slice(1).map((point) => point.slice(1)) };
});
table.close();
rmSync(directory, { recursive: true });
process.stdout.write(JSON.stringify(answers));
