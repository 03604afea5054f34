/** An aggregate and exporters that it asks, each a server that does what a test wants. */
import { Aggregate, type ExporterPod } from "../../../src/kubernetes/aggregate.ts";
import { AGGREGATE_DESCRIPTORS } from "../../../src/kubernetes/aggregate-metrics.ts";
import { OwnMetrics } from "../../../src/metrics/own.ts";
import { answer, type Conduct, HostileServer } from "../../support/hostile-server.ts";
import { RecordedLog } from "../../support/nvme-simulated-host.ts";
import { seriesOfExposition } from "../../support/series.ts";

const BUILD = { version: "1", revision: "abc", runtime: "bun", runtimeVersion: "1" };
export const TEXT = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };

export const exposition = (text: string, headers: Readonly<Record<string, string>> = {}): Conduct =>
  answer(200, text, { ...TEXT, ...headers });

export class Aggregating implements AsyncDisposable {
  readonly log = new RecordedLog();
  readonly aggregate = new Aggregate(new OwnMetrics(BUILD, { processMetrics: false }), this.log);
  readonly pods: ExporterPod[] = [];
  readonly #servers: HostileServer[] = [];

  async exporter(node: string, conduct: Conduct, pod: Partial<ExporterPod> = {}): Promise<HostileServer> {
    const server = await HostileServer.start(conduct);
    this.#servers.push(server);
    this.pods.push({
      node,
      url: `${server.origin}/metrics`,
      families: ["ebs_*", "csi_*"],
      clusterId: "c-1",
      ...pod,
    });
    return server;
  }

  /** Exposition as text; read by the strict parser, so that whatever else it may be, it is one. */
  async scrape(timeMs = 4000, signal = new AbortController().signal): Promise<string> {
    const bytes = await this.aggregate.scrape(this.targets, { signal, deadline: performance.now() + timeMs });
    const text = new TextDecoder().decode(bytes);
    seriesOfExposition(text);
    return text;
  }

  get targets() {
    return { desired: this.pods.length, ready: this.pods.length, pods: this.pods };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.aggregate.close();
    await Promise.all(this.#servers.map((server) => server.stop()));
  }
}

/** The lines of samples that exporters gave. */
export const samplesOf = (text: string): string[] =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#") && !isOwn(line));

const isOwn = (line: string): boolean => AGGREGATE_DESCRIPTORS.some(({ name }) => line.startsWith(name));

/** The reasons for which errors were counted, with how many. */
export const errorsIn = (text: string): Record<string, number> =>
  Object.fromEntries(
    [...text.matchAll(/^plumbline_aggregate_errors_total\{reason="(\w+)"\} (\d+)$/gm)]
      .map(([, reason = "", count]): [string, number] => [reason, Number(count)])
      .filter(([, count]) => count > 0),
  );

/** Nodes whose exporter is up. */
export const upIn = (text: string): string[] =>
  [...text.matchAll(/^plumbline_aggregate_node_up\{node="(.+)"\} 1$/gm)].map(([, node = ""]) => node);
