/** A real plumbline that runs in a namespace of real mounts, and what it says of CSI volumes. */
import { join } from "node:path";
import { ROOT } from "../../../.ci/build.ts";
import { denoPath } from "../../support/deno.ts";
import { type Process, watch } from "../../support/processes.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { FROM_SOURCES } from "../../support/source-runs.ts";

/** Every form in which plumbline runs on this machine. */
export const FORMS: readonly (readonly [string, readonly string[]])[] = [
  ["from its sources", FROM_SOURCES],
  ...form(
    "under Deno",
    denoPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--allow-all",
    join(ROOT, "src/main.ts"),
  ),
  ...form("compiled", process.env["PLUMBLINE_BINARY"]),
];

function form(name: string, program: string | undefined, ...args: string[]): [string, string[]][] {
  return program === undefined ? [] : [[name, [program, ...args]]];
}

export interface Service {
  readonly process: Process;
  /** The address of the service, without a path. */
  readonly origin: string;
  /** The series of one scrape that the collector made, but for what no two runs have in common. */
  scrape(): Promise<Map<string, number>>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `command` is plumbline as it is run, without a verb. */
export async function serve(command: readonly string[], ...flags: string[]): Promise<Service> {
  const service = watch([
    ...[...command, "serve", "--web.listen-address=127.0.0.1:0", "--node-name=node-a"],
    ...["--collector.disable-defaults", "--collector.csi", "--log.level=debug"],
    ...flags,
  ]);
  const origin = await service.line(/address="?(http:[^\s"]+)\/?/).then((address) => new URL(address).origin);
  return {
    process: service,
    origin,
    async scrape() {
      const answer = await fetch(`${origin}/metrics`, { signal: AbortSignal.timeout(15_000) });
      return ofCollector(await answer.text());
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

const TIMESTAMP = "csi_volume_device_exporter_last_successful_discovery_timestamp_seconds{}";

/** All of the collector's series; of times only that they are there and can be true. */
export function ofCollector(exposition: string): Map<string, number> {
  const series = [...seriesOfExposition(exposition)].filter(
    ([key]) =>
      key === 'plumbline_collector_success{collector="csi"}' ||
      (key.startsWith("csi_") && !key.startsWith("csi_volume_device_exporter_discovery_duration_seconds")),
  );
  return new Map(
    series.map(([key, value]) => [
      key,
      key === TIMESTAMP && Math.abs(Date.now() / 1000 - value) < 60 ? RECENT : value,
    ]),
  );
}

/** Stands for a time of the last minute. */
export const RECENT = 1;

/** What a good discovery says; `found` are the series of volumes. */
export function exposition(
  found: readonly string[],
  discovered: Readonly<Record<string, number>>,
  skipped: Readonly<Record<string, number>>,
): Map<string, number> {
  const reasons = [
    ...["bad_json", "unreadable", "unsafe_path", "no_mount", "ephemeral", "same_filesystem"],
    ...["network_filesystem", "virtual_filesystem", "unresolved", "backing_unresolved"],
  ];
  return new Map([
    ...found.map((key): [string, number] => [key, 1]),
    ...Object.entries(discovered).map(([driver, count]): [string, number] => [
      `csi_volume_device_exporter_volumes_discovered{driver="${driver}"}`,
      count,
    ]),
    ...reasons.map((reason): [string, number] => [
      `csi_volume_device_exporter_volumes_skipped{reason="${reason}"}`,
      skipped[reason] ?? 0,
    ]),
    ['csi_volume_device_exporter_discovery_errors_total{discoverer="kubelet"}', 0],
    [TIMESTAMP, RECENT],
    ['plumbline_collector_success{collector="csi"}', 1],
  ]);
}

/** In the order in which a reader can compare them. */
export const sorted = (series: ReadonlyMap<string, number>): [string, number][] =>
  [...series].sort(([a], [b]) => (a < b ? -1 : 1));
