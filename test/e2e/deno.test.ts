/**
 * The same sources under Deno give the same exposition. The least permissions: to read what is collected and src/ (the
 * Workers' code), the environment, the host's name, and the address to listen on; real devices need --allow-ffi too, and
 * because Deno guards /sys and /proc as a whole, --allow-all instead of single paths.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../.ci/build.ts";
import { describeUnless } from "../support/debian.ts";
import { denoPath } from "../support/deno.ts";
import { type SimulatedHost, withHost } from "../support/nvme-host.ts";
import { FAILURES, MIXED, MULTIPATH, NO_DEVICE, ONE_EBS_VOLUME } from "../support/nvme-hosts.ts";
import { freePort } from "../support/ports.ts";
import { watch } from "../support/processes.ts";
import { FROM_SOURCES, logWithoutTimes, runToEnd, withoutOwnMetrics } from "../support/source-runs.ts";

const PATIENCE_MS = 60_000;
const deno = denoPath();
const LACKING = "Deno is missing: bun install, or put deno on the PATH";

describeUnless(deno === undefined ? LACKING : undefined, "under Deno", () => {
  const underDeno = (host: SimulatedHost, ...more: string[]): string[] => [
    ...[deno ?? "", "run", "--quiet", "--no-prompt"],
    `--allow-read=${join(ROOT, "src")},${host.directory}`,
    ...["--allow-env", "--allow-sys=hostname", ...more, join(ROOT, "src/main.ts")],
  ];
  const paths = ({ sysfs, devfs }: SimulatedHost) => [`--path.sysfs=${sysfs}`, `--path.devfs=${devfs}`];

  test.each([
    ["24 controllers of all kinds", MIXED],
    ["one EBS volume", ONE_EBS_VOLUME],
    ["no controller", NO_DEVICE],
    ["a controller that is not live", FAILURES["controller not live"] ?? NO_DEVICE],
  ])(
    "one collection is the same as under Bun, byte for byte: %s",
    (_, description) =>
      withHost(description, async (host) => {
        const once = ["demo", "--once", ...paths(host)];
        const [bun, other] = [runToEnd([...FROM_SOURCES, ...once]), runToEnd([...underDeno(host), ...once])];
        expect(withoutOwnMetrics(other.stdout)).toBe(withoutOwnMetrics(bun.stdout));
        expect(other.stdout).toContain('runtime="deno"');
        expect(logWithoutTimes(other.stderr)).toEqual(logWithoutTimes(bun.stderr));
        expect([bun.status, other.status]).toEqual([0, 0]);
      }),
    PATIENCE_MS,
  );

  test.each(["text/plain", "application/openmetrics-text"])(
    "the service answers the same as under Bun, byte for byte: %s",
    (accept) =>
      // Without EBS volumes: their delta gauges depend on the time between two readings.
      withHost(MULTIPATH, async (host) => {
        const answers = [];
        for (const command of [FROM_SOURCES, underDeno(host, "--allow-net=127.0.0.1")]) {
          const address = `127.0.0.1:${await freePort()}`;
          await using service = watch(
            [...command, "demo", ...paths(host), `--web.listen-address=${address}`],
            { NODE_NAME: "node-a" },
          );
          await service.line(/listening/);
          const response = await fetch(`http://${address}/metrics`, { headers: { accept } });
          answers.push({
            type: response.headers.get("content-type"),
            body: withoutOwnMetrics(await response.text()),
          });
        }
        expect(answers[1]).toEqual(answers[0]);
        expect(answers[0]?.body).toContain("nvme_namespace_info{");
      }),
    PATIENCE_MS,
  );

  test(
    "reaches libc in the Workers of real devices with --allow-ffi",
    () =>
      withHost(MIXED, async (host) => {
        const inspect = [
          "inspect",
          "nvme",
          "/dev/nvme0",
          `--path.sysfs=${host.sysfs}`,
          "--path.devfs=/dev/null",
        ];
        const { stderr } = runToEnd([...underDeno(host, "--allow-ffi"), ...inspect]);
        expect(stderr).toContain("ENOTDIR");
        expect(stderr).toBe(runToEnd([...FROM_SOURCES, ...inspect]).stderr);
      }),
    PATIENCE_MS,
  );
});
