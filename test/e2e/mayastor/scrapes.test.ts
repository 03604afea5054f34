/** The compiled binary: scrapes that overlap, and those of the textfile, each of which is a process of its own. */
import { beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { plumblineBinary } from "../../support/binary.ts";
import { type Conduct, HostileServer, json, restError } from "../../support/hostile-server.ts";
import { HEALTHY, healthy, resources } from "../../support/mayastor-scraping.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { Directory, flagsOf, run, serve } from "./service.ts";

const PATIENCE_MS = 60_000;
const ALL = ["nodes", "pools", "volumes", "replicas"];

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

test(
  "scrapes that overlap share one request for each resource, whatever else they ask for",
  async () => {
    await using server = await HostileServer.start(healthy);
    using directory = new Directory();
    const file = directory.configuration({ endpoint: server.origin, resources: ALL });
    await using service = await serve([binary], flagsOf(file));
    const before = server.asked.length;
    const slowly: Conduct = (connection, asked) => void setTimeout(() => healthy(connection, asked), 500);
    server.conduct = slowly;
    const queries = ["", "?collect[]=mayastor", "", "?collect[]=mayastor", "", "", "", ""];
    const scrapes = await Promise.all(queries.map((query) => service.scrape(query)));
    expect(
      server.paths
        .slice(before)
        .map((path) => path.split("?")[0])
        .sort(),
    ).toEqual(ALL.map((resource) => `/v0/${resource}`).sort());
    for (const { series } of scrapes) {
      expect(series.get('mayastor_node_online{node_id="node-a"}')).toBe(1);
      expect(series.get('plumbline_collector_success{collector="mayastor"}')).toBe(1);
    }
  },
  PATIENCE_MS,
);

test(
  "a client that leaves in the middle takes nothing from the one that stays, and leaves no connection behind",
  async () => {
    await using server = await HostileServer.start(healthy);
    using directory = new Directory();
    await using service = await serve(
      [binary],
      flagsOf(directory.configuration({ endpoint: server.origin })),
    );
    server.conduct = (connection, asked) => void setTimeout(() => healthy(connection, asked), 400);
    const leaving = new AbortController();
    const left = fetch(`${service.origin}/metrics`, { signal: leaving.signal }).catch(() => "left");
    const stayed = service.scrape();
    await Bun.sleep(100);
    leaving.abort();
    expect(await left).toBe("left");
    expect((await stayed).series.get('mayastor_node_online{node_id="node-a"}')).toBe(1);

    // Where nobody stays, the request is given up, and that is no failure of the service.
    const alone = new AbortController();
    const gone = fetch(`${service.origin}/metrics`, { signal: alone.signal }).catch(() => "left");
    await Bun.sleep(100);
    alone.abort();
    await gone;
    await Bun.sleep(500);
    server.conduct = healthy;
    const { series } = await service.scrape();
    expect(series.get("mayastor_node_status_fetch_success{}")).toBe(1);
    const errors = [...series].filter(([key]) => key.startsWith("mayastor_node_status_fetch_errors_total"));
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.filter(([, count]) => count !== 0)).toEqual([]);
    expect(server.open).toBeLessThanOrEqual(2);
  },
  PATIENCE_MS,
);

test(
  "the textfile keeps its counters and the time of the last success from run to run",
  async () => {
    const [node] = HEALTHY.nodes;
    const twice = resources({ nodes: json([node, node, { ...node, id: "odd", state: { status: "Odd" } }]) });
    await using server = await HostileServer.start(twice);
    using directory = new Directory();
    const file = directory.configuration({ endpoint: server.origin, resources: ["nodes", "pools"] });
    const command = [binary, "textfile", ...flagsOf(file)];
    const where = [
      `--textfile.directory=${directory.path}`,
      `--state.directory=${join(directory.path, "state")}`,
    ];
    const collect = async () => {
      const { status, stderr } = await run([...command, ...where]);
      expect([status, stderr.includes("level=error")]).toEqual([0, false]);
      return seriesOfExposition(readFileSync(join(directory.path, "plumbline.prom"), "utf8"));
    };
    const LAST = [
      "mayastor_node_status_last_fetch_seconds{}",
      'mayastor_last_fetch_seconds{resource="pools"}',
    ];
    const last = (series: ReadonlyMap<string, number>) => LAST.map((key) => series.get(key));
    const errors = (series: ReadonlyMap<string, number>) => [
      series.get('mayastor_node_status_fetch_errors_total{reason="http_5xx"}'),
      series.get('mayastor_fetch_errors_total{reason="http_5xx",resource="pools"}'),
    ];
    const odd = (series: ReadonlyMap<string, number>) => [
      series.get('mayastor_items_skipped_total{reason="duplicate",resource="nodes"}'),
      series.get('mayastor_unrecognized_values_total{field="node_status"}'),
    ];

    const first = await collect();
    expect([errors(first), odd(first)]).toEqual([
      [0, 0],
      [1, 1],
    ]);
    for (const time of last(first)) expect(time).toBeWithin(Date.now() / 1000 - 60, Date.now() / 1000 + 1);
    expect(first.get('mayastor_pool_capacity_bytes{node_id="node-a",pool="pool-a"}')).toBe(1000);

    server.conduct = restError(503, "Unavailable");
    for (const count of [1, 2]) {
      const failed = await collect();
      expect([errors(failed), odd(failed), last(failed)]).toEqual([[count, count], [1, 1], last(first)]);
      expect(
        [...failed.keys()].filter((key) => /^mayastor_(?:pool|node_online)|^diskpool/.test(key)),
      ).toEqual([]);
      expect(failed.get('plumbline_collector_success{collector="mayastor"}')).toBe(0);
    }

    server.conduct = twice;
    const again = await collect();
    expect([errors(again), odd(again)]).toEqual([
      [2, 2],
      [2, 2],
    ]);
    expect(last(again)[0]).toBeGreaterThan(last(first)[0] ?? Number.NaN);
  },
  PATIENCE_MS,
);

test(
  "the textfile of a service that never answers is written in time, with what the file cannot know left out",
  async () => {
    await using server = await HostileServer.start(() => {});
    using directory = new Directory();
    const file = directory.configuration({ endpoint: server.origin, timeout: "30s" });
    const start = performance.now();
    const { status } = await run([
      ...[binary, "textfile", ...flagsOf(file), "--scrape.timeout=1s"],
      ...[`--textfile.directory=${directory.path}`, `--state.directory=${join(directory.path, "state")}`],
    ]);
    expect(status).toBe(0);
    expect(performance.now() - start).toBeLessThan(5000);
    const series = seriesOfExposition(readFileSync(join(directory.path, "plumbline.prom"), "utf8"));
    expect(series.get("mayastor_node_status_fetch_success{}")).toBe(0);
    expect(series.get('mayastor_node_status_fetch_errors_total{reason="timeout"}')).toBe(1);
    expect(series.has("mayastor_node_status_last_fetch_seconds{}")).toBe(false);
  },
  PATIENCE_MS,
);
