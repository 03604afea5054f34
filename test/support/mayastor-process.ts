/** `plumbline serve` as a process of its own that asks one Mayastor REST service, and the scrapes of it. */
import { RESOURCES } from "../../src/mayastor/model.ts";
import { type Process, watch } from "./processes.ts";
import { seriesOfExposition } from "./series.ts";
import { FROM_SOURCES } from "./source-runs.ts";

/** The compiled binary where one is named. */
const PLUMBLINE =
  process.env["PLUMBLINE_BINARY"] === undefined ? FROM_SOURCES : [process.env["PLUMBLINE_BINARY"]];

export const ALL_RESOURCES: readonly string[] = RESOURCES.map((name) => `--mayastor.resources=${name}`);

const OF_COLLECTOR = /^(?:mayastor|diskpool)_|^plumbline_collector_success\{/;
const OWN_TIMES = /_(?:duration|last_fetch)_seconds\{/;

export interface MayastorProcess extends AsyncDisposable {
  readonly process: Process;
  readonly origin: string;
  /** The exposition, asked for as a Prometheus with this `scrape_timeout` does. */
  exposition(timeoutSeconds?: number): Promise<string>;
  /** The series of one scrape, but for those of the exporter itself and times that no two scrapes have in common. */
  scrape(): Promise<Map<string, number>>;
}

export async function serveMayastor(endpoint: string, ...flags: string[]): Promise<MayastorProcess> {
  const process = watch([
    ...[...PLUMBLINE, "serve", "--web.listen-address=127.0.0.1:0", "--web.disable-exporter-metrics"],
    ...["--collector.disable-defaults", "--collector.mayastor", `--mayastor.endpoint=${endpoint}`],
    ...flags,
  ]);
  const origin = await process.line(/address="?(http:[^\s"]+)\/?/).then((address) => new URL(address).origin);
  const exposition = async (timeoutSeconds = 10): Promise<string> => {
    const headers = { "X-Prometheus-Scrape-Timeout-Seconds": String(timeoutSeconds) };
    const answer = await fetch(`${origin}/metrics`, { headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${text}\n${process.log()}`);
    return text;
  };
  return {
    process,
    origin,
    exposition,
    async scrape() {
      const series = seriesOfExposition(await exposition());
      return new Map([...series].filter(([key]) => OF_COLLECTOR.test(key) && !OWN_TIMES.test(key)));
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}
