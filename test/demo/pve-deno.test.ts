/** The simulated Proxmox VE under Deno: TLS, raw status lines and the model of another runtime. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { runToEnd } from "../support/source-runs.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PROGRAM = join(ROOT, "test/support/pve-program.ts");
const PATIENCE_MS = 60_000;

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  test(
    "it tells what it tells under Bun, to the byte",
    () => {
      const other = runToEnd([deno ?? "", "run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", PROGRAM]);
      expect(other.stderr).toBe("");
      const told: unknown[] = JSON.parse(other.stdout);
      expect(told).toContainEqual(["/nodes/pve4/status", 595, "No route to host", expect.any(String)]);
      expect(told).toEqual(JSON.parse(runToEnd([process.execPath, PROGRAM]).stdout));
    },
    PATIENCE_MS,
  );
});
