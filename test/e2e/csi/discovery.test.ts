/** A discovery that remembers finds what a full walk finds, whatever happened in between: on real mounts and devices. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describeUnless } from "../../support/debian.ts";
import { lackingForMounts, MountNamespace } from "../../support/real-mounts.ts";

const PATIENCE_MS = 120_000;

describeUnless(lackingForMounts(), "a discovery that remembers", () => {
  let mounts: MountNamespace;
  let loops: string[];

  beforeAll(async () => {
    mounts = await MountNamespace.open();
    loops = ["a", "b"].map((name) => mounts.attach(mounts.image(name)));
    for (const loop of loops) mounts.format(loop, "ext4");
  }, PATIENCE_MS);

  afterAll(() => mounts[Symbol.asyncDispose](), PATIENCE_MS);

  test.each(["signals", "plain"])(
    "finds what a full walk finds, whatever came and went: %s",
    (mode) => {
      const script = join(import.meta.dir, "interleaving.ts");
      const directory = mounts.makeDirectory(join(mounts.directory, mode));
      const own = ["unshare", "--mount", "--propagation", "private"];
      const [program = "", ...args] = mounts.enter(
        ...own,
        ...[process.execPath, script, directory, ...loops, mode],
      );
      const run = spawnSync(program, args, { encoding: "utf8", timeout: PATIENCE_MS - 10_000 });
      expect(run.stderr).toBe("");
      expect(run.status).toBe(0);
      const { comparisons, withVolumes } = JSON.parse(run.stdout);
      expect(comparisons).toBeGreaterThan(2000);
      expect(withVolumes / comparisons).toBeGreaterThan(0.5);
    },
    PATIENCE_MS,
  );
});
