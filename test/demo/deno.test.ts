/** The demo's REST service under Deno: node:net and node:http of another runtime. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { ofMayastor, PRINT_MAYASTOR } from "../support/mayastor-demo.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PATIENCE_MS = 60_000;

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  test(
    "the demo shows the same Mayastor as under Bun",
    () => {
      const underDeno = [
        ...[deno ?? "", "run", "--quiet", "--no-prompt", "--allow-read", "--allow-write", "--allow-env"],
        ...["--allow-sys=hostname", "--allow-ffi", "--allow-net=127.0.0.1", join(ROOT, "src/main.ts")],
      ];
      const other = runToEnd([...underDeno, ...PRINT_MAYASTOR]);
      expect(other.status).toBe(0);
      const bun = ofMayastor(runToEnd([...FROM_SOURCES, ...PRINT_MAYASTOR]).stdout);
      expect(bun).toContain('mayastor_node_online{node_id="worker-1"} 1');
      expect(ofMayastor(other.stdout)).toBe(bun);
    },
    PATIENCE_MS,
  );
});
