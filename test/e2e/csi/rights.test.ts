/**
 * What a DaemonSet may take away: uid 0 without a single capability, or any other user with CAP_DAC_READ_SEARCH alone, on
 * a read-only root and without new privileges. The kubelet's directories are root's, mode 0750.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { describeUnless } from "../../support/debian.ts";
import { lackingForMounts, type SilentMount } from "../../support/real-mounts.ts";
import { KubeletNode, mountVolumes } from "./node.ts";
import { FORMS, serve } from "./service.ts";

const PATIENCE_MS = 60_000;

const NO_CAPABILITY = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
const DAC_READ_SEARCH = ["inh-caps", "ambient-caps", "bounding-set"].map(
  (set) => `--${set}=-all,+dac_read_search`,
);
const NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups"];

/** All that is written below / and the node's own disk fails. */
const READ_ONLY = `
for place in "$1" /; do mount -o remount,bind,ro "$place"; done
shift
touch "$0" 2>/dev/null && exit 1
exec "$@"
`;

describeUnless(lackingForMounts(), "the least rights", () => {
  let node: KubeletNode;
  let silent: readonly SilentMount[] = [];

  beforeAll(async () => {
    node = await KubeletNode.open();
    silent = await mountVolumes(node);
  }, PATIENCE_MS);

  afterAll(async () => {
    for (const mount of silent) await mount.end();
    await node[Symbol.asyncDispose]();
  }, PATIENCE_MS);

  /** `command` at a place that everyone may enter, unlike the home of whoever runs the tests. */
  function reachable(command: readonly string[]): string[] {
    const repository = node.mounts.makeDirectory(join(dirname(node.mounts.directory), "plumbline"));
    const program = join(dirname(node.mounts.directory), "program");
    const [executable = "", ...args] = command;
    writeFileSync(program, "");
    node.mounts.run("mount", "--bind", ROOT, repository);
    node.mounts.run("mount", "--bind", executable, program);
    return [program, ...args.map((argument) => argument.replace(ROOT, `${repository}/`))];
  }

  const confined = (rights: readonly string[], command: readonly string[]): string[] =>
    node.mounts.enter(
      ...["unshare", "--mount", "--propagation", "private"],
      ...["sh", "-c", READ_ONLY, "/read-only", node.mounts.directory],
      ...["setpriv", ...rights, ...reachable(command)],
    );

  const flags = () => `--path.kubelet=${node.root}`;

  const confinements = [
    ["uid 0 without a capability", NO_CAPABILITY],
    ["another uid with CAP_DAC_READ_SEARCH alone", [...NOBODY, ...DAC_READ_SEARCH, "--no-new-privs"]],
  ] as const;

  test.each(
    FORMS.flatMap(([form, command]) => confinements.map((given) => [form, ...given, command] as const)),
  )(
    "%s, %s sees what root sees",
    async (_form, _name, rights, command) => {
      await using asRoot = await serve(node.mounts.enter(...command), flags());
      await using service = await serve(confined(rights, command), flags());
      const found = await service.scrape();
      expect(found).toEqual(await asRoot.scrape());
      expect([...found.keys()].filter((key) => key.startsWith("csi_volume_node_device_info")).length).toBe(
        11,
      );
      expect(found.get('csi_volume_device_exporter_volumes_skipped{reason="unreadable"}')).toBe(0);
    },
    PATIENCE_MS,
  );

  test.each(FORMS)(
    "%s, a user without the capability gets no series of volumes, and is told which capability is missing",
    async (_, command) => {
      const powerless = confined([...NOBODY, ...NO_CAPABILITY], command);
      await using service = await serve(powerless, flags());
      const before = await service.scrape();
      const errors = 'csi_volume_device_exporter_discovery_errors_total{discoverer="kubelet"}';
      expect(await service.scrape()).toEqual(
        new Map([
          [errors, (before.get(errors) ?? 0) + 1],
          ['plumbline_collector_success{collector="csi"}', 0],
        ]),
      );
      await service.process.line(/level=error .*permission denied.*CAP_DAC_READ_SEARCH/);
      expect((await fetch(`${service.origin}/-/healthy`)).status).toBe(200);

      const [program = "", ...args] = confined([...NOBODY, ...NO_CAPABILITY], command);
      const check = spawnSync(program, [...args, "check", flags()], {
        encoding: "utf8",
        timeout: 30_000,
        env: { NODE_NAME: "node-a", PATH: process.env["PATH"] },
      });
      expect(check.stdout).toMatch(/permission denied.*CAP_DAC_READ_SEARCH/s);
      expect(check.status).not.toBe(0);
    },
    PATIENCE_MS,
  );
});
