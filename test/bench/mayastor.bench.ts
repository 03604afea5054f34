/**
 * What the collector mayastor costs of a large cluster, from the bytes of the answers to those of the exposition; the
 * floor, in the same run: JSON.parse of the same bytes and the same lines as plain strings. And what a scrape costs
 * whose REST service is dead, once the circuit is open.
 *
 *     bun test/bench/mayastor.bench.ts [--quick] [--json]
 */
import { largeCluster } from "../../src/demo/mayastor-cluster.ts";
import { Tally } from "../../src/mayastor/model.ts";
import { addNodes, decodeNodes } from "../../src/mayastor/nodes.ts";
import { addPools, decodePools } from "../../src/mayastor/pools.ts";
import { addReplicas, decodeReplicas } from "../../src/mayastor/replicas.ts";
import { addVolumes, readVolumes, volumeOfReplica } from "../../src/mayastor/volumes.ts";
import { type Exposition, expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { MayastorScraping } from "../support/mayastor-scraping.ts";
import { type Bodies, plainText } from "./mayastor-floor.ts";

const TARGETS = { ratio: 1.5, circuitOpenMs: 1 };
const PAGE = 500;
const flags = process.argv.slice(2);
const ROUNDS = flags.includes("--quick") ? 5 : 15;
const WARM_UP = 3;
const CIRCUIT_OPEN_SCRAPES = 500;

const decoder = new TextDecoder();
const parse = (body: Uint8Array | undefined): unknown => JSON.parse(decoder.decode(body));

function bodiesOf({ nodes, pools, volumes, replicas }: ReturnType<typeof largeCluster>): Bodies {
  const mixed = shuffled(volumes);
  const pages = mixed.flatMap((_, start) => {
    if (start % PAGE !== 0) return [];
    const end = start + PAGE;
    return [bytes({ entries: mixed.slice(start, end), ...(end < mixed.length && { next_token: end }) })];
  });
  return {
    nodes: bytes(shuffled(nodes)),
    pools: bytes(shuffled(pools)),
    volumes: pages,
    replicas: bytes(shuffled(replicas)),
  };
}

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json));

const shuffled = <T>(list: readonly T[]): T[] =>
  list
    .map((entry) => ({ entry, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ entry }) => entry);

async function exposition(bodies: Bodies): Promise<Exposition> {
  const tally = new Tally();
  const samples = new Samples();
  const nodes = decodeNodes(parse(bodies.nodes), tally, () => false);
  const pools = decodePools(parse(bodies.pools), tally);
  let page = 0;
  const volumes = await readVolumes(async () => parse(bodies.volumes[page++]), tally);
  const replicas = decodeReplicas(parse(bodies.replicas), tally);
  addNodes(samples, nodes);
  addPools(samples, pools, { officialNames: true });
  addVolumes(samples, volumes);
  addReplicas(samples, replicas, volumeOfReplica(volumes));
  if (tally.skipped.size + tally.unrecognized.size > 0) throw new Error("something was left out");
  return expose([samples], "text");
}

/** The floor must be the same work: but for their order, the same lines. */
function refuseOtherLines(ours: Uint8Array, plain: Uint8Array): void {
  const [a, b] = [ours, plain].map((text) => decoder.decode(text).split("\n").sort());
  const different = a?.findIndex((line, index) => line !== b?.[index]);
  if (a?.length !== b?.length || different !== -1)
    throw new Error(`the floor differs: ${a?.[different ?? 0]} and ${b?.[different ?? 0]}`);
}

async function timed<T>(run: () => T | Promise<T>): Promise<{ result: T; ms: number }> {
  Bun.gc(true);
  const start = performance.now();
  const result = await run();
  return { result, ms: performance.now() - start };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function circuitOpen(): Promise<number> {
  // Nothing listens there, so that three scrapes open the circuit at once.
  using scraping = new MayastorScraping({
    endpoint: "http://127.0.0.1:1/v0",
    resources: ["nodes", "pools", "volumes", "replicas"],
  });
  for (let i = 0; i < 3; i++) await scraping.scrape();
  const seen = await scraping.exposition();
  if (!seen.includes('reason="circuit_open"} 1')) throw new Error("the circuit is not open");
  const times: number[] = [];
  for (let i = 0; i < CIRCUIT_OPEN_SCRAPES; i++) {
    const start = performance.now();
    await scraping.exposition();
    times.push(performance.now() - start);
  }
  return median(times);
}

const bodies = bodiesOf(largeCluster({ nodes: 1000, pools: 5000, volumes: 20_000, replicasPerVolume: 3 }));
const first = await exposition(bodies);
const text = decoder.decode(first.body);
const metadata = new Map(
  [...text.matchAll(/^# HELP (\S+) .*\n# TYPE .*\n/gm)].map(([lines, name]) => [name, lines]),
);
const floor = (): Uint8Array => plainText(bodies, (family) => metadata.get(family) ?? "");
refuseOtherLines(first.body, floor());

const ours: number[] = [];
const floors: number[] = [];
for (let round = 0; round < WARM_UP + ROUNDS; round++) {
  const our = await timed(() => exposition(bodies));
  const plain = await timed(floor);
  if (round < WARM_UP) continue;
  ours.push(our.ms);
  floors.push(plain.ms);
}
const circuitOpenMs = await circuitOpen();

const ms = median(ours);
const floorMs = median(floors);
const ratio = ms / floorMs;
const met = ratio <= TARGETS.ratio && circuitOpenMs <= TARGETS.circuitOpenMs;
if (flags.includes("--json")) {
  process.stdout.write(
    `${JSON.stringify({ series: first.samples, bytes: first.body.length, ms, floorMs, ratio, circuitOpenMs, met })}\n`,
  );
} else {
  process.stdout.write(
    `1,000 nodes, 5,000 pools, 20,000 volumes × 3 replicas: ${first.samples} series, ${(first.body.length / 1e6).toFixed(0)} MB\n` +
      `  answers to exposition, median   ${ms.toFixed(0)} ms\n` +
      `  floor, median                   ${floorMs.toFixed(0)} ms (JSON.parse of the same bytes, the same lines as plain strings)\n` +
      `  ratio                           ${ratio.toFixed(2)} (target ≤ ${TARGETS.ratio})\n` +
      `  scrape with an open circuit     ${circuitOpenMs.toFixed(2)} ms, all of it (target ≤ ${TARGETS.circuitOpenMs} ms)\n`,
  );
}
process.exit(met ? 0 : 1);
