/** The whole exposition, and the log, of an odd Mayastor cluster; fixtures/mayastor/odd-cluster says what is in it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RESOURCES } from "../../src/mayastor/model.ts";
import { expectGolden } from "../support/golden.ts";
import { type Conduct, HostileServer, json, restError } from "../support/hostile-server.ts";
import { MayastorScraping } from "../support/mayastor-scraping.ts";
import type { LogLine } from "../support/nvme-simulated-host.ts";

const CLUSTER = join(import.meta.dir, "../../fixtures/mayastor/odd-cluster");
const answer = (name: string): Record<string, unknown>[] =>
  [JSON.parse(readFileSync(join(CLUSTER, `${name}.json`), "utf8"))].flat();

const LISTS = new Map([
  ["/v0/nodes", answer("nodes")],
  ["/v0/pools", answer("pools")],
  ["/v0/replicas", answer("replicas")],
]);
const PAGES = new Map([
  ["/v0/volumes?max_entries=500", answer("volumes-1")[0]],
  ["/v0/volumes?max_entries=500&starting_token=2", answer("volumes-2")[0]],
]);

/** Lists come turned by `by` entries. */
const odd =
  (by: number): Conduct =>
  (connection, asked) => {
    const list = LISTS.get(asked.path);
    const turned = list && [...list.slice(by), ...list.slice(0, by)];
    const body = turned ?? PAGES.get(asked.path);
    (body === undefined ? restError(404, "NotFound") : json(body))(connection, asked);
  };

const start = (endpoint: string): MayastorScraping =>
  new MayastorScraping({ endpoint, resources: RESOURCES, ignoreNodes: ["decommissioned-\\d+"] });

const fixed = (exposition: string): string =>
  exposition
    .split("\n")
    .filter((line) => !/plumbline_build_info/.test(line))
    .map((line) => line.replace(/^(\w+_(?:fetch|duration)_seconds(?:\{[^}]*\})?) .*$/, "$1 0"))
    .join("\n");

const logText = (lines: readonly LogLine[], origin: string): string =>
  lines
    .map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}\n`)
    .sort()
    .join("")
    .replaceAll(origin, "ORIGIN");

test("an odd cluster gives the exposition and the log of its golden files, in whatever order its lists come", async () => {
  await using server = await HostileServer.start(odd(0));
  using scraping = start(`${server.origin}/v0`);
  const exposition = fixed(await scraping.exposition());
  expectGolden("mayastor/odd-cluster.prom", exposition);
  expectGolden("mayastor/odd-cluster.log", logText(scraping.log.lines, server.origin));
  for (const by of [1, 3, 5]) {
    server.conduct = odd(by);
    using again = start(`${server.origin}/v0`);
    expect(fixed(await again.exposition())).toBe(exposition);
  }
});

test("a service that answers errors leaves what is said of the fetches", async () => {
  await using server = await HostileServer.start(restError(503, "Unavailable"));
  using scraping = start(`${server.origin}/v0`);
  expectGolden("mayastor/unavailable.prom", fixed(await scraping.exposition()));
  expectGolden("mayastor/unavailable.log", logText(scraping.log.lines, server.origin));
});
