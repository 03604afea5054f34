/** The collector under Deno, with and without the permission to call libc. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { RIGHTS_REMEDY } from "../../src/csi/findings.ts";
import { CsiNode } from "../support/csi-node.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { FROM_SOURCES, runToEnd } from "../support/source-runs.ts";

const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";
const PATIENCE_MS = 60_000;

const VOLUMES = [
  {
    driver: "driver.example",
    handle: "vol-1",
    pv: "pv-1",
    pods: ["a"],
    staged: true,
    mount: { device: "7:0" },
  },
  { driver: "driver.example", handle: "vol-2", pv: "pv-2", pods: ["b"] },
  { kind: "block", driver: "driver.example", handle: "raw", pv: "pv-3", pods: ["b"], device: "loop1" },
] as const;
const DEVICES = [
  { name: "loop0", dev: "7:0" },
  { name: "loop1", dev: "7:1" },
];

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  const underDeno = (...permissions: string[]): string[] => [
    ...[deno ?? "", "run", "--quiet", "--no-prompt"],
    ...["--allow-read", "--allow-env", "--allow-sys=hostname", "--allow-net"],
    ...[...permissions, join(ROOT, "src/main.ts")],
  ];
  /** What `check` says of the collector. */
  function checked(program: readonly string[], node: CsiNode, ...flags: string[]): unknown {
    const words = [
      ...["check", "--output=json", "--collector.disable-defaults", "--collector.csi", ...flags],
      ...[`--path.kubelet=${node.kubelet}`, `--path.procfs=${node.procfs}`, `--path.sysfs=${node.sysfs}`],
    ];
    const report: { collectors: { name: string; findings: unknown }[] } = JSON.parse(
      runToEnd([...program, ...words]).stdout,
    );
    return report.collectors.find(({ name }) => name === "csi")?.findings;
  }

  test.each([
    ["with", ["--allow-ffi"]],
    ["without", []],
  ])(
    "volumes are found as under Bun %s the permission to call libc",
    (_, permissions) => {
      using node = new CsiNode({ volumes: VOLUMES, devices: DEVICES });
      const findings = checked(underDeno(...permissions), node, "--node-name=a");
      expect(findings).toEqual(checked(FROM_SOURCES, node, "--node-name=a"));
      expect(findings).toMatchObject([
        { subject: "driver.example", message: "2 volumes on 2 devices" },
        { subject: "no_mount" },
      ]);
    },
    PATIENCE_MS,
  );

  test(
    "a kubelet's directory that Deno does not let it read is an error that says what is lacking",
    () => {
      using node = new CsiNode({ volumes: VOLUMES, devices: DEVICES });
      expect(checked(underDeno(`--deny-read=${node.kubelet}`), node)).toMatchObject([
        {
          level: "error",
          subject: node.kubelet,
          message: expect.stringContaining("Requires read access"),
          remedy: RIGHTS_REMEDY,
        },
      ]);
    },
    PATIENCE_MS,
  );
});
