/** Run by atomic-write.test.ts: writes generation after generation of the file of its argument until it is killed. */
import { writeAtomically } from "../../src/host/atomic-write.ts";

const [, , path, bytes] = process.argv;
if (path === undefined || bytes === undefined) throw new Error("usage: write-for-ever PATH BYTES");
const line = (generation: number): string => `${generation} `.padEnd(Number(bytes), "x");
for (let generation = 0; ; generation++)
  writeAtomically(path, new TextEncoder().encode(`${line(generation)}end\n`), 0o644);
