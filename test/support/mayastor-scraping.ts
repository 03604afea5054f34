/** The collector `mayastor` behind a real scraper, as `serve` runs it, and a service that knows one of each thing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "../../src/config/settings.ts";
import { RESOURCES, type Resource } from "../../src/mayastor/model.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { FAILURE_REASONS, type FailureReason } from "../../src/rest/failure.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { openCollectors } from "../../src/scrape/sources.ts";
import { ownMetrics } from "./csi-node.ts";
import { answer, type Conduct, json } from "./hostile-server.ts";
import { MAYASTOR_DEFAULTS } from "./mayastor-settings.ts";
import { settingsFor } from "./nvme-host.ts";
import { RecordedLog } from "./nvme-simulated-host.ts";
import { seriesKey, seriesOfExposition } from "./series.ts";

export class MayastorScraping implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "plumbline-mayastor-"));
  readonly log = new RecordedLog();
  readonly #own = ownMetrics();
  readonly #opened: ReturnType<typeof openCollectors>;
  readonly #scraper: Scraper;

  constructor(mayastor: Partial<Settings["mayastor"]>) {
    const { directory } = this;
    const host = { directory, sysfs: "/sys", devfs: "/dev", stateDirectory: directory, commandLog: "" };
    const settings: Settings = {
      ...settingsFor(host),
      collectors: { disableDefaults: true, chosen: { mayastor: true } },
      mayastor: { ...MAYASTOR_DEFAULTS, ...mayastor },
    };
    this.#opened = openCollectors(settings, this.#own, this.log);
    this.#scraper = new Scraper(this.#opened.collectors, this.#own, this.log);
  }

  async exposition(timeoutMs = 10_000): Promise<string> {
    const { sets } = await this.#scraper.scrape({ timeoutMs });
    const { body, duplicates } = expose([...sets, await this.#own.samples()], "text");
    if (duplicates.length > 0) throw new Error(`series given twice: ${duplicates.join(", ")}`);
    return new TextDecoder().decode(body);
  }

  /** The series of one scrape. */
  async scrape(timeoutMs?: number): Promise<Map<string, number>> {
    return seriesOfExposition(await this.exposition(timeoutMs));
  }

  [Symbol.dispose](): void {
    this.#opened.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A file of its own in a directory of its own. */
export class TemporaryFile implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "plumbline-file-"));
  readonly path = join(this.#directory, "file");

  constructor(content?: string) {
    if (content !== undefined) this.write(content);
  }

  write(content: string): void {
    writeFileSync(this.path, content);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const VOLUME = "11111111-0000-4000-8000-000000000001";
const REPLICA = "22222222-0000-4000-8000-000000000001";

/** Shaped as the API describes it, all in good health. */
export const HEALTHY = {
  nodes: [
    {
      id: "node-a",
      spec: { grpcEndpoint: "10.1.0.5:10124", id: "node-a", labels: {} },
      state: { grpcEndpoint: "10.1.0.5:10124", id: "node-a", status: "Online" },
    },
  ],
  pools: [
    {
      id: "pool-a",
      spec: { disks: ["aio:///dev/sdb"], id: "pool-a", node: "node-a", status: "Created" },
      state: {
        ...{ capacity: 1000, used: 400, committed: 500, disks: ["aio:///dev/sdb"] },
        ...{ id: "pool-a", node: "node-a", status: "Online" },
      },
    },
  ],
  volumes: {
    entries: [
      {
        spec: {
          ...{ num_replicas: 1, size: 100, status: "Created", uuid: VOLUME, thin: false, num_snapshots: 0 },
          policy: { self_heal: true },
        },
        state: {
          ...{ size: 100, status: "Online", uuid: VOLUME },
          replica_topology: { [REPLICA]: { node: "node-a", pool: "pool-a", state: "Online" } },
        },
      },
    ],
  },
  replicas: [
    {
      ...{ node: "node-a", pool: "pool-a", share: "none", size: 100, state: "Online", thin: false },
      ...{ uri: `bdev:///${REPLICA}?uuid=${REPLICA}`, uuid: REPLICA, kind: "Regular", share_uri: "" },
    },
  ],
} as const;

/** Answers each resource with its own; a resource not named as in `HEALTHY`. */
export const resources =
  (conducts: Partial<Record<Resource, Conduct>> = {}): Conduct =>
  (connection, asked) => {
    const resource = RESOURCES.find((name) => asked.path.split("?")[0] === `/v0/${name}`);
    const conduct =
      resource === undefined ? answer(404, "") : (conducts[resource] ?? json(HEALTHY[resource]));
    conduct(connection, asked);
  };

export const healthy: Conduct = resources();

/** What is said of the fetches themselves, whatever they gave. */
const SELF =
  /^mayastor_(?:node_status_fetch_\w+|node_status_last_fetch_seconds|fetch_\w+|last_fetch_seconds|items_skipped_total|unrecognized_values_total)\{/;

export const ofMayastor = (series: ReadonlyMap<string, number>): string[] =>
  [...series.keys()].filter((key) => /^(?:mayastor|diskpool)_/.test(key));

export const things = (series: ReadonlyMap<string, number>): string[] =>
  ofMayastor(series).filter((key) => !SELF.test(key));

export type Series = ReadonlyMap<string, number>;

export const fetchSuccess = (series: Series, resource: string) =>
  resource === "nodes"
    ? series.get("mayastor_node_status_fetch_success{}")
    : series.get(seriesKey("mayastor_fetch_success", { resource }));

export const lastFetch = (series: Series, resource: string) =>
  resource === "nodes"
    ? series.get("mayastor_node_status_last_fetch_seconds{}")
    : series.get(seriesKey("mayastor_last_fetch_seconds", { resource }));

export const fetchDuration = (series: Series, resource: string) =>
  resource === "nodes"
    ? series.get("mayastor_node_status_fetch_duration_seconds{}")
    : series.get(seriesKey("mayastor_fetch_duration_seconds", { resource }));

/** Of all reasons, also those at 0. */
export const errors = (series: Series, resource: string) =>
  Object.fromEntries(
    FAILURE_REASONS.map((reason) => [
      reason,
      resource === "nodes"
        ? series.get(seriesKey("mayastor_node_status_fetch_errors_total", { reason }))
        : series.get(seriesKey("mayastor_fetch_errors_total", { resource, reason })),
    ]),
  );

export const errorsOf = (counts: Partial<Record<FailureReason, number>>) =>
  Object.fromEntries(FAILURE_REASONS.map((reason) => [reason, counts[reason] ?? 0]));

/** One thing of each resource, by its name. */
export const forEach = <T>(what: (resource: string) => T): Record<string, T> =>
  Object.fromEntries(RESOURCES.map((resource) => [resource, what(resource)]));
