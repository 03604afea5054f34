/**
 * What scrapes of a large Proxmox VE cost, each beside its floor in the same run. The API is simulated in a process of
 * its own; plumbline is the built binary, but for one row that has no network in it.
 *
 *     bun test/bench/pve.bench.ts [--quick] [--json] [BINARY]
 */
import { resolve } from "node:path";
import { Secret } from "../../src/config/secret.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { API_REQUESTS_TOTAL } from "../../src/pve/client.ts";
import { PVE_COLLECTORS } from "../../src/pve/collectors.ts";
import type { Connect } from "../../src/pve/endpoints.ts";
import { TargetScraper } from "../../src/pve/scrape-target.ts";
import { NO_PVE } from "../../src/pve/target.ts";
import { ask } from "../support/pve-asking.ts";
import { type Bodies, plainText } from "./pve-floor.ts";
import { replay } from "./pve-replay.ts";
import { serve } from "./pve-service.ts";
import { type Simulation, simulate } from "./pve-simulator.ts";

const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const quick = flags.includes("--quick");
const named = process.argv.slice(2).find((word) => !word.startsWith("--"));
const binary = resolve(named ?? `dist/plumbline-linux-${process.arch === "arm64" ? "arm64" : "x64"}`);
const command = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];

const TARGETS = { cpuRatio: 1.5, wallRatio: 1.15, megabytes: 200, moreMegabytes: 15 };
const LATENCY_MS = 50;
const DEADLINE_MS = 9500;
const ON_PVE = "/pve?target=127.0.0.1";

interface Row {
  readonly what: string;
  readonly value: string;
  readonly floor: string;
  readonly target: string;
  readonly met: boolean;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const ms = (value: number): string => `${value.toFixed(value < 100 ? 1 : 0)} ms`;
const times = <T>(count: number, work: () => Promise<T>): Promise<T[]> =>
  Array.from({ length: count }).reduce<Promise<T[]>>(
    async (before) => [...(await before), await work()],
    Promise.resolve([]),
  );

/** CPU time of this process, all its threads, for one of `count`. */
async function ownCpuMs(count: number, work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}

const MIDDLE: Simulation = { size: { nodes: 20, guests: 1000, release: "9.2" } };

async function benchCpu(): Promise<Row[]> {
  await using simulated = await simulate(MIDDLE);
  await using service = await serve(command, simulated.url);
  await simulated.asked();
  const { text } = await service.scrape(ON_PVE);
  const { paths } = await simulated.asked();
  const bodies: Bodies = new Map(
    await Promise.all(paths.map(async (path) => [path, (await ask(simulated.url, path)).body] as const)),
  );
  const titles = new Map(
    [...text.matchAll(/^# HELP (\S+) .*\n# TYPE .*\n/gm)].map(([lines, name]) => [name, lines]),
  );
  const floor = () => plainText(bodies, (family) => titles.get(family) ?? "");
  refuseOtherLines(text, decoder.decode(floor()));
  const exposition = withoutNetwork(bodies, simulated.url);

  const BATCH = 10;
  const floors: number[] = [];
  const calls: number[] = [];
  const expositions: number[] = [];
  const processes: number[] = [];
  for (let round = 0; round < (quick ? 9 : 21); round++) {
    floors.push(await ownCpuMs(BATCH, floor));
    calls.push(await ownCpuMs(BATCH, () => replay(simulated.url, paths)));
    expositions.push(await ownCpuMs(BATCH, exposition));
    const before = service.cpuMs();
    await times(BATCH, () => service.scrape(ON_PVE));
    processes.push((service.cpuMs() - before) / BATCH);
  }
  // The first rounds compile.
  const [floorMs = 0, callsMs = 0, expositionMs = 0, processMs = 0] = [
    floors,
    calls,
    expositions,
    processes,
  ].map((cpus) => median(cpus.slice(3)));
  const row = (what: string, cpuMs: number, least: number, of: string): Row => ({
    what: `/pve, 20 nodes, 1,000 guests: ${what}`,
    value: `${ms(cpuMs)}, ${(cpuMs / least).toFixed(2)} ×`,
    floor: `${ms(least)} (${of})`,
    target: `≤ ${TARGETS.cpuRatio} ×`,
    met: cpuMs / least <= TARGETS.cpuRatio,
  });
  const plainly = "JSON.parse of the bodies, the lines as plain strings";
  const asked = `${paths.length} calls over TLS`;
  return [
    row("CPU from bodies to exposition", expositionMs, floorMs, plainly),
    row(
      `CPU of the process, ${asked}`,
      processMs,
      floorMs + callsMs,
      `${plainly}; the calls with node:https`,
    ),
  ];
}

const decoder = new TextDecoder();

/** The floor must be the same work: but for their order, the same lines. */
function refuseOtherLines(ours: string, plain: string): void {
  const [a = [], b = []] = [ours.replaceAll(/^.*plumbline_.*\n/gm, ""), plain].map((text) =>
    text.split("\n").sort(),
  );
  const different = a.findIndex((line, index) => line !== b[index]);
  if (a.length !== b.length || different !== -1)
    throw new Error(`the floor differs: ${a[different]} and ${b[different]}`);
}

/** The scrape as /pve does it, whose calls are answered at once. */
function withoutNetwork(bodies: Bodies, endpoint: string): () => Promise<Uint8Array> {
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const connect: Connect = () => ({
    get: async (path) => JSON.parse(decoder.decode(bodies.get(path))).data,
    serverDate: undefined,
    close() {},
  });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const scraper = new TargetScraper(NO_PVE, own, log, connect);
  // It counts its requests, of which there are none.
  own.counter(API_REQUESTS_TOTAL).inc({ result: "ok" }, 0);
  const secret = new Secret(() => "none");
  const request = {
    ...{ target: "localhost", endpoint, moduleName: "default" },
    module: {
      credentials: { kind: "token", user: "plumbline@pve", tokenName: "metrics", secret },
      tls: { verify: true },
      timeoutMs: 5000,
    },
    collectors: PVE_COLLECTORS.filter(({ defaults }) => defaults.pve === true),
  } as const;
  return async () => {
    const context = { signal: new AbortController().signal, deadline: performance.now() + 10_000 };
    const answer = await scraper.scrape(request, context);
    if (answer.kind !== "answered") throw answer.failure;
    return expose(answer.sets, "text").body;
  };
}

const SIZE = { nodes: 32, guests: 5000, storages: 12, drivesPerNode: 24, release: "9.2" } as const;
const NODES = Array.from({ length: SIZE.nodes }, (_, i) => `pve${i + 1}`);
const DEAD = NODES.slice(-3);

/**
 * All calls wait for /cluster/status, then go out four at a time; those for replication jobs follow one another. One
 * slow reading is waited for as well.
 */
function bestMs(): number {
  const calls = 5 + 3 + 1 + 7 * SIZE.nodes + 1;
  return LATENCY_MS * (1 + Math.max(Math.ceil((calls - 1) / 4), SIZE.nodes));
}

/** Gives the series too. */
async function benchWall(): Promise<{ readonly row: Row; readonly series: readonly string[] }> {
  await using simulated = await simulate({ size: SIZE, knobs: { latencyMs: LATENCY_MS } });
  await using service = await serve(command, simulated.url);
  await service.scrape("/metrics");
  const walls: number[] = [];
  const replays: number[] = [];
  let text = "";
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    await simulated.asked();
    const scrape = await service.scrape("/metrics");
    const { paths, highest } = await simulated.asked();
    if (highest > 4) throw new Error(`${highest} calls were open at once`);
    walls.push(scrape.ms);
    replays.push(await replay(simulated.url, paths));
    ({ text } = scrape);
  }
  const wallMs = median(walls);
  const ratio = wallMs / bestMs();
  const series = seriesOf(text);
  const row = {
    what: `/metrics, 32 nodes, 5,000 guests, ${LATENCY_MS} ms a call, 4 at a time, ${series.length} series: wall`,
    value: `${ms(wallMs)}, ${ratio.toFixed(2)} ×`,
    floor: `${ms(bestMs())} (computed); ${ms(median(replays))} (the same calls, and nothing made of them)`,
    target: `≤ ${TARGETS.wallRatio} × computed`,
    met: ratio <= TARGETS.wallRatio,
  };
  return { row, series };
}

const seriesOf = (text: string): string[] =>
  text.split("\n").flatMap((line) => (line.startsWith("pve_") ? line.slice(0, line.lastIndexOf(" ")) : []));

/** What comes of a slow reading, of which a scrape starts one, is there sooner or later. */
const SLOW = /^pve_(?:certificate_|physical_disk_(?:health|wearout|smart))/;
const NODE = /"(?:node\/|storage\/|network\/)?(pve\d+)[/"]/;
/** Whether the series is about a node, and one that lives. */
function isOfLiving(series: string): boolean {
  const node = NODE.exec(series)?.[1];
  return node !== undefined && !DEAD.includes(node) && !SLOW.test(series);
}

async function benchDeadNodes(all: readonly string[]): Promise<Row> {
  const knobs = { latencyMs: LATENCY_MS, hangMs: 60_000 };
  await using simulated = await simulate({ size: SIZE, knobs, hung: DEAD });
  await using service = await serve(command, simulated.url);
  const scrapes = await times(quick ? 2 : 5, () => service.scrape("/metrics"));
  const expected = all.filter(isOfLiving);
  const missing = scrapes.map(({ text }) => {
    const found = new Set(seriesOf(text));
    return expected.filter((series) => !found.has(series)).length;
  });
  const slowestMs = Math.max(...scrapes.map((scrape) => scrape.ms));
  const lost = Math.max(...missing);
  return {
    what: `the same with 3 nodes dead, ${expected.length} series of the other 29`,
    value: `${ms(median(scrapes.map((scrape) => scrape.ms)))}, at most ${ms(slowestMs)}; ${lost} series missing`,
    floor: `${ms(5000)} (the time that a call may take)`,
    target: `≤ ${ms(DEADLINE_MS)}, none missing`,
    met: slowestMs <= DEADLINE_MS && lost === 0,
  };
}

async function benchMemory(): Promise<Row> {
  // What they wait for takes no memory: without latency they come sooner.
  await using simulated = await simulate({ size: SIZE });
  await using service = await serve(command, simulated.url);
  const scrapes = quick ? 60 : 1000;
  let highest = 0;
  const afterQuarters: number[] = [];
  for (let quarter = 0; quarter < 4; quarter++) {
    for (let i = 0; i < scrapes / 4; i++) {
      await service.scrape("/metrics");
      highest = Math.max(highest, service.residentMegabytes());
    }
    await Bun.sleep(3000);
    afterQuarters.push(service.residentMegabytes());
  }
  const [first = 0, , , last = Number.NaN] = afterQuarters;
  return {
    what: `resident, 3 s after each quarter of ${scrapes} such scrapes without a pause`,
    value: `${afterQuarters.map((megabytes) => megabytes.toFixed(0)).join(", ")} MB; at most ${highest.toFixed(0)} MB meanwhile`,
    floor: "",
    target: `≤ ${TARGETS.megabytes} MB and flat`,
    met: last <= TARGETS.megabytes && last - first < TARGETS.moreMegabytes,
  };
}

const cpu = await benchCpu();
const { row: wall, series } = await benchWall();
const rows = [...cpu, wall, await benchDeadNodes(series), await benchMemory()];
const table = rows.map(
  ({ what, value, floor, target, met }) =>
    `| ${what} | ${value} | ${floor} | ${target} | ${met ? "met" : "MISSED"} |`,
);
process.stdout.write(
  flags.includes("--json")
    ? `${JSON.stringify(rows, null, 2)}\n`
    : `| what | measured (median) | floor | target | |\n|---|---|---|---|---|\n${table.join("\n")}\n`,
);
process.exit(rows.every(({ met }) => met) ? 0 : 1);
