/** `plumbline check`: what would be collected on this host, what would not, and why; and whether the service could start. */
import process from "node:process";
import { environment } from "../config/environment.ts";
import type { Loaded, Origin } from "../config/load.ts";
import type { Log } from "../log/log.ts";
import type { Collector, Finding } from "../metrics/collector.ts";
import { OwnMetrics } from "../metrics/own.ts";
import { name as runtime, version as runtimeVersion } from "../runtime/index.ts";
import { availability, COLLECTORS, openCollectors } from "../scrape/sources.ts";
import { REVISION, VERSION } from "../version.ts";
import { BUILD } from "./build-info.ts";
import { checkService } from "./check-service.ts";
import { checkTable } from "./check-table.ts";
import { print } from "./print.ts";

export interface CollectorReport {
  readonly name: string;
  readonly enabled: boolean;
  /** Why it is on or off. */
  readonly why: string;
  /** Empty for a collector that is off. */
  readonly findings: readonly Finding[];
}

export interface Report {
  readonly version: string;
  readonly revision: string;
  readonly runtime: string;
  readonly node: string;
  readonly collectors: readonly CollectorReport[];
  /** What the service and the textfile need besides: files, addresses, directories. */
  readonly service: readonly Finding[];
  readonly settings: readonly Origin[];
  /** False if anything that is enabled does not work. */
  readonly works: boolean;
}

export async function run(
  loaded: Loaded,
  output: "table" | "json",
  open: typeof openCollectors = openCollectors,
): Promise<number> {
  const report = await check(loaded, open);
  print(output === "json" ? `${JSON.stringify(report, null, 2)}\n` : checkTable(report, terminal()));
  return report.works ? 0 : 1;
}

export async function check(loaded: Loaded, open: typeof openCollectors): Promise<Report> {
  const { settings, origins } = loaded;
  const [collectors, service] = await Promise.all([checkCollectors(loaded, open), checkService(loaded)]);
  const findings = [...service, ...collectors.flatMap((collector) => collector.findings)];
  return {
    version: VERSION,
    revision: REVISION,
    runtime: `${runtime} ${runtimeVersion}`,
    node: settings.nodeName,
    collectors,
    service,
    settings: origins,
    works: findings.every(({ level }) => level !== "error"),
  };
}

async function checkCollectors(
  { settings, origins }: Loaded,
  open: typeof openCollectors,
): Promise<CollectorReport[]> {
  const known = availability(settings);
  const own = new OwnMetrics(BUILD, { processMetrics: false });
  const { collectors, close } = open(settings, own, SILENT);
  try {
    return await Promise.all(
      COLLECTORS.map(async ({ name }) => {
        const { enabled, reason } = known.get(name) ?? { enabled: false, reason: "" };
        const collector = enabled ? collectors.find((collector) => collector.name === name) : undefined;
        const findings = collector === undefined ? [] : await inTime(collector, settings.scrape.timeoutMs);
        return { name, enabled, why: why(name, reason, settings.collectors, origins), findings };
      }),
    );
  } finally {
    close();
  }
}

function why(
  name: string,
  reason: string,
  { chosen, disableDefaults }: Loaded["settings"]["collectors"],
  origins: readonly Origin[],
): string {
  const byName = chosen[name];
  const source = origins.find((origin) => origin.name === `collectors.${name}`)?.detail;
  if (byName !== undefined)
    return `switched ${byName ? "on" : "off"} by ${source ?? "the configuration"}; ${reason}`;
  return disableDefaults ? `the defaults are switched off; ${reason}` : reason;
}

/** What the collector finds, or that it did not answer: one that hangs must not take the others' findings with it. */
async function inTime(collector: Collector, timeoutMs: number): Promise<readonly Finding[]> {
  const late = Promise.withResolvers<readonly Finding[]>();
  const timer = setTimeout(() => {
    late.resolve([
      {
        level: "error",
        subject: collector.name,
        message: `no answer within ${timeoutMs / 1000} s`,
        remedy: "look at what it reads, or give it longer with --scrape.timeout",
      },
    ]);
  }, timeoutMs);
  try {
    const context = { signal: AbortSignal.timeout(timeoutMs), deadline: performance.now() + timeoutMs };
    return await Promise.race([collector.check(context), late.promise]);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ level: "error", subject: collector.name, message }];
  } finally {
    clearTimeout(timer);
  }
}

/** What the collectors would log is among the findings. */
const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** See no-color.org for NO_COLOR. */
function terminal(): { columns: number; colour: boolean } {
  const { NO_COLOR, TERM } = environment();
  const colour = process.stdout.isTTY === true && !NO_COLOR && TERM !== "dumb";
  return { columns: Math.min(120, Math.max(60, process.stdout.columns || 100)), colour };
}
