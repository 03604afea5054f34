/** The client under Deno: each call ends as it does under Bun. */
import { expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";

const PROGRAM = join(ROOT, "test/pve/calling-program.ts");
const PERMISSIONS = ["--allow-net", "--allow-read", "--allow-env", "--allow-sys"];
const PATIENCE_MS = 60_000;

const deno = denoPath();
describeUnless(deno === undefined ? "Deno is missing" : undefined, "under Deno", () => {
  test(
    "a token, a password and a certificate are worth what they are under Bun",
    async () => {
      const run = async (program: string, ...words: string[]) =>
        (await promisify(execFile)(program, [...words, PROGRAM], { cwd: ROOT })).stdout.split("\n");
      const underBun = await run(process.execPath);
      expect(underBun).toContain('{"ok":2,"unreachable":1,"gone":1}');
      expect(await run(deno ?? "", "run", "--quiet", "--no-prompt", ...PERMISSIONS)).toEqual(underBun);
    },
    PATIENCE_MS,
  );
});
