/** A target over a simulated API, whose slow readings go by a clock of the test's own. */
import { PveApi, type PveApiOptions } from "../../src/demo/pve-api.ts";
import type { PveCluster } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";
import { FaultLog } from "../../src/log/faults.ts";
import type { Log } from "../../src/log/log.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import type { PveCollector } from "../../src/pve/contract.ts";
import { connectWith } from "../../src/pve/endpoints.ts";
import { TargetRound } from "../../src/pve/round.ts";
import { Site } from "../../src/pve/site.ts";
import { SlowReadings } from "../../src/pve/slow.ts";
import { seriesOfExposition } from "../support/series.ts";
import { endpointAt } from "./calling.ts";

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const PHYSICAL_DISKS = { smartIntervalMs: 3_600_000, excludeNodes: [] };

export class SimulatedTarget implements AsyncDisposable {
  readonly api: PveApi;
  readonly site: Site;
  /** Of slow readings, in ms. */
  readonly clock: { ms: number };

  private constructor(api: PveApi, site: Site, clock: { ms: number }) {
    this.api = api;
    this.site = site;
    this.clock = clock;
  }

  static async start(cluster: PveCluster, options: Partial<PveApiOptions> = {}): Promise<SimulatedTarget> {
    const api = new PveApi(cluster, { users: [AUDITOR], ...options });
    const { url, tls, credentials, timeoutMs } = endpointAt(await api.start());
    const clock = { ms: 0 };
    const slow = new SlowReadings({ clock: { now: () => clock.ms, unixMs: () => Date.now() } });
    const own = new OwnMetrics(
      { version: "", revision: "", runtime: "", runtimeVersion: "" },
      { processMetrics: false },
    );
    const target = {
      ...{ name: "test", endpoints: [url], cluster: undefined, collectors: {}, configGuestLimit: 500 },
      module: { credentials, tls: { caFile: undefined, fingerprint: undefined, ...tls }, timeoutMs },
      physicalDisks: PHYSICAL_DISKS,
    };
    return new SimulatedTarget(api, new Site(target, connectWith(own, SILENT), slow), clock);
  }

  async scrape(collectors: readonly PveCollector[], timeoutMs = 10_000) {
    const options = {
      ...{ zeroStates: true, deprecatedGauges: true },
      ...{ physicalDisks: PHYSICAL_DISKS, configGuestLimit: 500 },
    };
    const round = new TargetRound(
      this.site,
      { signal: new AbortController().signal, deadline: performance.now() + timeoutMs },
      { way: "metrics", options, faults: new FaultLog(SILENT) },
    );
    const results = await Promise.all(collectors.map((collector) => round.run(collector)));
    round.close();
    const sets = results.map(({ samples }) => samples);
    const failed = results.filter(({ success }) => !success).map(({ collector }) => collector.name);
    return { series: seriesOfExposition(new TextDecoder().decode(expose(sets, "text").body)), failed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.site.close();
    await this.api.stop();
  }
}
