/**
 * A day of a Mayastor cluster in minutes: plumbline is scraped thousands of times while the simulated REST service goes
 * wrong at random, and after each scrape is held against what the service did in it.
 *
 *     bun test/e2e/mayastor-soak/soak.ts [SCRAPES] [SEED]
 */
import { readdirSync, readFileSync } from "node:fs";
import { type Cluster, largeCluster, livingCluster } from "../../../src/demo/mayastor-cluster.ts";
import { MayastorRest } from "../../../src/demo/mayastor-rest.ts";
import { RESOURCES, type Resource } from "../../../src/mayastor/model.ts";
import { ALL_RESOURCES, serveMayastor } from "../../support/mayastor-process.ts";
import { TemporaryFile } from "../../support/mayastor-scraping.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { CircuitModel } from "./circuit-model.ts";
import { type Plan, planFor, randomFrom } from "./faults.ts";
import { Fetches } from "./fetches.ts";

export interface SoakReport {
  readonly scrapes: number;
  readonly seconds: number;
  /** What was not as it should be, the first of it. */
  readonly problems: readonly string[];
  /** Fetches that failed, or for an open circuit were not tried, by their reason. */
  readonly failures: ReadonlyMap<string, number>;
  readonly slowestMs: number;
  readonly medianMs: number;
  /** Medians of the resident memory in the first and in the last third, the start left out. */
  readonly residentBytes: readonly [first: number, last: number];
  /** Open file descriptors, likewise. */
  readonly descriptors: readonly [first: number, last: number];
  readonly logLines: number;
}

const DAY_MS = 24 * 3600_000;
/** What the scraper says that it waits; plumbline answers half a second before. */
const SCRAPE_TIMEOUT_SECONDS = 2;
const ANSWER_WITHIN_MS = 1500;
/** Longest time of a fetch. */
const FETCH_TIMEOUT = "500ms";
/** Each so many scrapes the volumes fill two pages. */
const LARGE_EVERY = 20;
const LARGE = largeCluster({ nodes: 3, pools: 6, volumes: 600, replicasPerVolume: 1 });
/** From so many scrapes on the memory has to be flat. */
const LONG = 5000;
const MAX_PROBLEMS = 20;

export async function soak(scrapes: number, seed: number): Promise<SoakReport> {
  const random = randomFrom(seed);
  const secret = `soak.${seed}.token`;
  using token = new TemporaryFile(secret);
  let elsewhere = 0;
  await using servers = new AsyncDisposableStack();
  const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(`${++elsewhere}`) });
  servers.defer(() => other.stop(true));

  let cluster: Cluster = livingCluster(0);
  let planned: ReadonlyMap<Resource, Plan> = new Map();
  const asked = new Set<Resource>();
  const rest = new MayastorRest(() => cluster, {
    token: secret,
    random: randomFrom(seed + 1),
    fault(path) {
      const resource = RESOURCES.find((name) => path.startsWith(`/v0/${name}`));
      if (resource === undefined) return undefined;
      asked.add(resource);
      const plan = planned.get(resource);
      return plan?.page === (path.includes("starting_token=") ? 2 : 1) ? plan.fault : undefined;
    },
  });
  servers.defer(() => rest.stop());
  await using service = await serveMayastor(
    ...[await rest.start(), `--mayastor.token-file=${token.path}`, "--mayastor.allow-plaintext-token"],
    ...[`--mayastor.timeout=${FETCH_TIMEOUT}`, ...ALL_RESOURCES],
  );
  // The service makes one collection at its start.
  await until(async () => (await fetch(`${service.origin}/-/ready`)).ok);

  const problems: string[] = [];
  const failures = new Map<string, number>();
  const answeredMs: number[] = [];
  const resident: number[] = [];
  const descriptors: number[] = [];
  const circuits: Readonly<Record<Resource, CircuitModel>> = {
    nodes: new CircuitModel(),
    pools: new CircuitModel(),
    volumes: new CircuitModel(),
    replicas: new CircuitModel(),
  };
  const start = performance.now();
  let before = Fetches.of(await service.exposition());
  for (let i = 0; i < scrapes && problems.length < MAX_PROBLEMS; i++) {
    cluster = i % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE : livingCluster((i / scrapes) * DAY_MS);
    planned = planFor(i, { isLarge: cluster === LARGE, elsewhere: other.url.href, random });
    asked.clear();
    const began = performance.now();
    const exposition = await service.exposition(SCRAPE_TIMEOUT_SECONDS);
    const tookMs = performance.now() - began;
    answeredMs.push(tookMs);
    const wrong = tookMs > ANSWER_WITHIN_MS ? [`answered after ${tookMs} ms`] : [];
    if (exposition.includes(secret)) wrong.push("the token is in the exposition");
    // The strict parser takes more time than all the rest.
    if (i % 50 === 0) seriesOfExposition(exposition);

    const now = Fetches.of(exposition);
    for (const resource of RESOURCES) {
      const reasons = now.since(before, resource);
      for (const reason of reasons) failures.set(reason, (failures.get(reason) ?? 0) + 1);
      const plan = planned.get(resource);
      const wasAsked = asked.has(resource);
      const circuit = circuits[resource];
      if (circuit.objectsTo(wasAsked)) wrong.push(`${resource} ${wasAsked ? "" : "not "}asked: ${circuit}`);
      circuit.asked(wasAsked, reasons[0]);
      const allowed = wasAsked ? (plan?.reasons ?? []) : ["circuit_open"];
      const things = cluster[resource].length;
      wrong.push(...wrongOf(resource, { now, before, reasons, allowed, things }));
    }
    if (now.leftOut > 0) wrong.push(`${now.leftOut} entries or values left out`);
    problems.push(...wrong.map((what) => `scrape ${i}, planned ${JSON.stringify([...planned])}: ${what}`));
    before = now;
    if (i % Math.ceil(scrapes / 300) === 0 && i > scrapes / 10) {
      resident.push(residentBytes(service.process.pid));
      descriptors.push(readdirSync(`/proc/${service.process.pid}/fd`).length);
    }
  }
  const seconds = (performance.now() - start) / 1000;

  if (elsewhere > 0) problems.push(`${elsewhere} requests followed a redirect`);
  service.process.kill("SIGTERM");
  const code = await service.process.exited;
  const log = service.process.log();
  if (code !== 0) problems.push(`plumbline ended with ${code}: ${log.slice(-1000)}`);
  if (log.includes(secret)) problems.push("the token is in the log");
  const residentInThirds = thirds(resident);
  // In a short soak the runtime still warms up.
  if (scrapes >= LONG && residentInThirds[1] > 1.1 * residentInThirds[0])
    problems.push(`resident memory grew from ${residentInThirds.join(" to ")} bytes`);
  return {
    scrapes: answeredMs.length,
    seconds,
    problems,
    failures,
    slowestMs: Math.max(...answeredMs),
    medianMs: median(answeredMs),
    residentBytes: residentInThirds,
    descriptors: thirds(descriptors),
    logLines: log.split("\n").length - 1,
  };
}

interface Observed {
  readonly now: Fetches;
  readonly before: Fetches;
  /** Counted in this scrape. */
  readonly reasons: readonly string[];
  /** Of which one has to be counted; empty where the fetch has to succeed. */
  readonly allowed: readonly string[];
  /** How many the cluster has. */
  readonly things: number;
}

function wrongOf(resource: Resource, { now, before, reasons, allowed, things }: Observed): string[] {
  const fails = allowed.length > 0;
  const wrong: string[] = [];
  if (reasons.length !== (fails ? 1 : 0) || reasons.some((reason) => !allowed.includes(reason)))
    wrong.push(`${resource}: counted [${reasons}] in the place of [${allowed}]`);
  const success = now.success.get(resource);
  if (success !== (fails ? 0 : 1)) wrong.push(`${resource}: success is ${success}`);
  const shown = now.things.get(resource) ?? 0;
  if (shown !== (fails ? 0 : things)) wrong.push(`${resource}: ${shown} shown of ${things}`);
  const [last, lastBefore] = [now.last.get(resource) ?? 0, before.last.get(resource) ?? 0];
  if (fails ? last !== lastBefore : Math.abs(Date.now() / 1000 - last) > 3)
    wrong.push(`${resource}: last success went from ${lastBefore} to ${last}`);
  return wrong;
}

const residentBytes = (pid: number): number =>
  1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function thirds(values: readonly number[]): readonly [number, number] {
  const third = Math.floor(values.length / 3);
  return [median(values.slice(0, third)), median(values.slice(-third))];
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(20);
}

if (import.meta.main) {
  const [scrapes = "10000", seed = "1"] = process.argv.slice(2);
  const report = await soak(Number(scrapes), Number(seed));
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const lines = [
    `${report.scrapes} scrapes in ${report.seconds.toFixed(0)} s, seed ${seed}`,
    `answered after ${report.medianMs.toFixed(1)} ms (median), ${report.slowestMs.toFixed(0)} ms at most`,
    `failed fetches: ${[...report.failures].map(([reason, count]) => `${reason} ${count}`).join(", ")}`,
    `resident memory: ${report.residentBytes.map(mib).join(" in the first third, ")} in the last`,
    `open descriptors: ${report.descriptors.join(" in the first third, ")} in the last`,
    `${report.logLines} log lines`,
    report.problems.length === 0 ? "nothing was wrong" : `WRONG:\n${report.problems.join("\n")}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}
