/** The demo's services under Deno: node:net, node:tls and node:http of another runtime. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { COLLECTORS } from "../../src/scrape/sources.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { ofMayastor, PRINT_MAYASTOR } from "../support/mayastor-demo.ts";
import { seriesOfExposition } from "../support/series.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PVE_COLLECTORS = COLLECTORS.flatMap(({ name }) => (/^pve-/.test(name) ? `--collector.${name}` : []));
const PATIENCE_MS = 60_000;

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  const underDeno = [
    ...[deno ?? "", "run", "--quiet", "--no-prompt", "--allow-read", "--allow-write", "--allow-env"],
    ...["--allow-sys=hostname", "--allow-ffi", "--allow-net=127.0.0.1", join(ROOT, "src/main.ts")],
  ];

  test(
    "the demo shows the same Mayastor as under Bun",
    () => {
      const other = runToEnd([...underDeno, ...PRINT_MAYASTOR]);
      expect(other.status).toBe(0);
      const bun = ofMayastor(runToEnd([...FROM_SOURCES, ...PRINT_MAYASTOR]).stdout);
      expect(bun).toContain('mayastor_node_online{node_id="worker-1"} 1');
      expect(ofMayastor(other.stdout)).toBe(bun);
    },
    PATIENCE_MS,
  );

  test(
    "the demo shows the same Proxmox VE as under Bun, a moment later",
    () => {
      const print = ["demo", "--once", "--collector.disable-defaults", ...PVE_COLLECTORS];
      const seriesOf = (command: readonly string[]) =>
        [...seriesOfExposition(runToEnd([...command, ...print]).stdout).keys()].filter((key) =>
          /^pve_/.test(key),
        );
      const bun = seriesOf(FROM_SOURCES);
      expect(bun.length).toBeGreaterThan(1500);
      expect(seriesOf(underDeno)).toEqual(bun);
    },
    PATIENCE_MS,
  );
});
