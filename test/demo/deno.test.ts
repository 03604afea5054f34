/** The demo's REST services under Deno: node:http, node:tls and node:net of another runtime. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PATIENCE_MS = 60_000;

/** What Mayastor tells, without how long that took and when it was. */
const ofMayastor = (exposition: string) =>
  exposition
    .split("\n")
    .filter((line) => /^(# (HELP|TYPE) )?(mayastor|diskpool)_/.test(line))
    .filter((line) => !/^mayastor_(node_status_)?(fetch_duration|last_fetch)_seconds/.test(line));

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  test(
    "the demo shows the same Mayastor as under Bun",
    () => {
      const underDeno = [
        ...[deno ?? "", "run", "--quiet", "--no-prompt", "--allow-read", "--allow-write", "--allow-env"],
        ...["--allow-sys=hostname", "--allow-ffi", "--allow-net=127.0.0.1", join(ROOT, "src/main.ts")],
      ];
      const once = ["demo", "--once", "--collector.disable-defaults", "--collector.mayastor"];
      const [bun, other] = [runToEnd([...FROM_SOURCES, ...once]), runToEnd([...underDeno, ...once])];
      expect([bun.status, other.status]).toEqual([0, 0]);
      expect(ofMayastor(bun.stdout).length).toBeGreaterThan(500);
      expect(ofMayastor(other.stdout)).toEqual(ofMayastor(bun.stdout));
    },
    PATIENCE_MS,
  );
});
