/**
 * What the aggregate of 100 exporters with 200 series each costs beside fetching the 100 bodies and joining them, in
 * turns: by src/runtime's transport, which is how everything else is asked here, and for comparison by Bun's fetch, which
 * asks the environment's proxies and is not there in Deno; whether its memory stays flat; and whether 1,000 exporters,
 * of which 5 % are dead, 5 % silent and 1 % send rubbish, are aggregated within 10 s with every good one's samples. For
 * the documents: 10, 100 and 1,000 exporters.
 *
 *     bun test/bench/aggregate.bench.ts [--quick] [--json]
 */
import { readFileSync } from "node:fs";
import { Aggregate, type ExporterPod } from "../../src/kubernetes/aggregate.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { fetchWith } from "../../src/runtime/index.ts";

const TARGETS = { ratio: 1.5, deadlineMs: 10_000, growthMb: 8 };
/** At a time, as the aggregate does it. */
const AT_A_TIME = 32;
const DISCARD = 5;

const flags = process.argv.slice(2);
const isQuick = flags.includes("--quick");
const ROUNDS = isQuick ? 15 : 60;
const MEMORY_ROUNDS = isQuick ? 100 : 600;

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const build = { version: "", revision: "", runtime: "", runtimeVersion: "" };
const newAggregate = () => new Aggregate(new OwnMetrics(build, { processMetrics: false }), log);

const exporters = Bun.spawn([process.execPath, `${import.meta.dir}/aggregate-exporters.ts`], {
  stdin: "pipe",
  stdout: "pipe",
});
const port = Number(new TextDecoder().decode((await exporters.stdout.getReader().read()).value).trim());

function podsOf(count: number, path: (index: number) => string = () => "/metrics"): ExporterPod[] {
  return Array.from({ length: count }, (_, index) => {
    const node = `127.1.${Math.floor(index / 250)}.${(index % 250) + 1}`;
    // Nothing listens on the port before that of the exporters, or hardly ever.
    const url = path(index) === "dead" ? `http://${node}:1/` : `http://${node}:${port}${path(index)}`;
    return { node, url, families: ["ebs_*", "csi_*"], clusterId: "bench" };
  });
}

const scrape = (aggregate: Aggregate, pods: readonly ExporterPod[]): Promise<Uint8Array> =>
  aggregate.scrape(
    { desired: pods.length, ready: pods.length, pods },
    { signal: new AbortController().signal, deadline: performance.now() + TARGETS.deadlineMs - 500 },
  );

/** The floor: the bodies as they come, one behind the other. */
async function joined(
  pods: readonly ExporterPod[],
  get: (url: string) => Promise<Response>,
): Promise<Uint8Array> {
  const queue = pods.map(({ url }) => url);
  const bodies: Uint8Array[] = [];
  const slot = async () => {
    for (let url = queue.pop(); url !== undefined; url = queue.pop())
      bodies.push(new Uint8Array(await (await get(url)).arrayBuffer()));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, slot));
  return Buffer.concat(bodies);
}

/** CPU time is that of all threads. */
async function timed(run: () => Promise<Uint8Array>): Promise<{ ms: number; cpuMs: number; bytes: number }> {
  Bun.gc(true);
  const before = process.cpuUsage();
  const start = performance.now();
  const { length } = await run();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { ms, cpuMs: (user + system) / 1000, bytes: length };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function besideTheFloor() {
  const pods = podsOf(100);
  const aggregate = newAggregate();
  const transport = await fetchWith({});
  const ways = {
    aggregate: () => scrape(aggregate, pods),
    fetch: () => joined(pods, (url) => fetch(url)),
    transport: () => joined(pods, (url) => transport.fetch(new Request(url))),
  };
  const times: Record<keyof typeof ways, number[]> = { aggregate: [], fetch: [], transport: [] };
  const cpu: Record<keyof typeof ways, number[]> = { aggregate: [], fetch: [], transport: [] };
  for (let round = 0; round < DISCARD + ROUNDS; round++) {
    for (const name of ["aggregate", "fetch", "transport"] as const) {
      const { ms, cpuMs } = await timed(ways[name]);
      if (round < DISCARD) continue;
      times[name].push(ms);
      cpu[name].push(cpuMs);
    }
  }
  aggregate.close();
  transport.close();
  return {
    ms: median(times.aggregate),
    cpuMs: median(cpu.aggregate),
    transportMs: median(times.transport),
    transportCpuMs: median(cpu.transport),
    fetchMs: median(times.fetch),
    fetchCpuMs: median(cpu.fetch),
  };
}

const residentMb = (): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;

/** What many scrapes leave behind, after as many that let everything grow to its size. */
async function growthMb(): Promise<number> {
  const pods = podsOf(100);
  const aggregate = newAggregate();
  const left: number[] = [];
  for (const _ of ["grown", "flat"]) {
    for (let round = 0; round < MEMORY_ROUNDS / 2; round++) await scrape(aggregate, pods);
    Bun.gc(true);
    await Bun.sleep(100);
    Bun.gc(true);
    left.push(residentMb());
  }
  aggregate.close();
  return (left[1] ?? 0) - (left[0] ?? 0);
}

/** Of 100 exporters 5 are dead, 5 silent, and one sends rubbish. */
const fate = (index: number): string => {
  const at = index % 100;
  if (at % 20 === 3) return "dead";
  if (at % 20 === 11) return "/silent";
  return at === 50 ? "/rubbish" : "/metrics";
};

async function withBadOnes() {
  const pods = podsOf(1000, fate);
  const good = pods.filter((_, index) => fate(index) === "/metrics").length;
  const aggregate = newAggregate();
  const runs: { ms: number; missing: number }[] = [];
  // The first does not know who is slow.
  for (let round = 0; round < 2; round++) {
    const start = performance.now();
    const text = new TextDecoder().decode(await scrape(aggregate, pods));
    const ms = performance.now() - start;
    const scraped = Number(/^plumbline_aggregate_nodes_scraped (\d+)$/m.exec(text)?.[1]);
    const samples = text.match(/^ebs_/gm)?.length ?? 0;
    runs.push({ ms, missing: Math.max(good - scraped, good - samples / 200) });
  }
  aggregate.close();
  return runs;
}

/** The figures of the documents. */
async function sizes() {
  const rows = [];
  for (const count of [10, 100, 1000]) {
    const pods = podsOf(count);
    const aggregate = newAggregate();
    const times: number[] = [];
    const cpu: number[] = [];
    let bytes = 0;
    for (let round = 0; round < (isQuick ? 5 : 15); round++) {
      const run = await timed(() => scrape(aggregate, pods));
      times.push(run.ms);
      cpu.push(run.cpuMs);
      bytes = run.bytes;
    }
    rows.push({
      exporters: count,
      ms: median(times),
      cpuMs: median(cpu),
      mb: bytes / 1e6,
      residentMb: residentMb(),
    });
    aggregate.close();
  }
  return rows;
}

const beside = await besideTheFloor();
const growth = await growthMb();
const bad = await withBadOnes();
const table = await sizes();
exporters.stdin.end();

const ratio = beside.ms / beside.transportMs;
const isComplete = bad.every(({ ms, missing }) => ms <= TARGETS.deadlineMs && missing === 0);
const met = ratio <= TARGETS.ratio && growth <= TARGETS.growthMb && isComplete;
if (flags.includes("--json")) {
  process.stdout.write(`${JSON.stringify({ ...beside, ratio, growthMb: growth, bad, table, met })}\n`);
} else {
  const seconds = bad.map(({ ms, missing }) => `${(ms / 1000).toFixed(1)} s, ${missing} missing`).join("; ");
  const cost = (ms: number, cpuMs: number) => `${ms.toFixed(1)} ms (${cpuMs.toFixed(1)} ms of CPU)`;
  const rows = table.map(
    ({ exporters: count, ms, cpuMs, mb, residentMb: resident }) =>
      `  ${String(count).padStart(5)} exporters: ${ms.toFixed(0)} ms, ${cpuMs.toFixed(0)} ms of CPU, ${mb.toFixed(1)} MB, resident ${resident.toFixed(0)} MB\n`,
  );
  process.stdout.write(
    `100 exporters × 200 series, medians\n` +
      `  the aggregate                    ${cost(beside.ms, beside.cpuMs)}\n` +
      `  the bodies fetched and joined    ${cost(beside.transportMs, beside.transportCpuMs)}; by Bun's fetch ${cost(beside.fetchMs, beside.fetchCpuMs)}\n` +
      `  ratio                            ${ratio.toFixed(2)} (target ≤ ${TARGETS.ratio})\n` +
      `  growth over ${MEMORY_ROUNDS / 2} scrapes          ${growth.toFixed(1)} MB (target ≤ ${TARGETS.growthMb} MB)\n` +
      `1,000 exporters, 5 % dead, 5 % silent, 1 % rubbish, twice\n` +
      `  time, good ones missing          ${seconds} (target ≤ 10 s, 0)\n${rows.join("")}`,
  );
}
process.exit(met ? 0 : 1);
