/**
 * plumbline against a Mayastor REST service that we did not write: Prism, made from the API description alone. As a mock
 * it makes answers up, with members that nobody described and odd texts; between plumbline and the simulated service it
 * holds what both say against the description.
 */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type Cluster, livingCluster } from "../../../src/demo/mayastor-cluster.ts";
import { MayastorRest } from "../../../src/demo/mayastor-rest.ts";
import { RESOURCES } from "../../../src/mayastor/model.ts";
import { ALL_RESOURCES, type MayastorProcess, serveMayastor } from "../../support/mayastor-process.ts";
import { TemporaryFile } from "../../support/mayastor-scraping.ts";
import { mock, proxy } from "../../support/prism.ts";
import { seriesKey } from "../../support/series.ts";

const TOKEN = "bWFkZSB1cA.bm8gcmVhbA.dG9rZW4-_~+/=";

/** What is read of the answers here, in the API's own words; nothing of what plumbline makes of them. */
const NODES = v.array(
  v.object({
    id: v.string(),
    state: v.optional(v.object({ status: v.string() })),
    spec: v.optional(v.object({ cordondrainstate: v.optional(v.record(v.string(), v.unknown())) })),
  }),
);
const POOLS = v.array(
  v.object({
    id: v.string(),
    spec: v.optional(v.object({ node: v.string(), status: v.string() })),
    state: v.optional(
      v.object({ node: v.string(), status: v.string(), capacity: v.number(), used: v.number() }),
    ),
  }),
);
const VOLUMES = v.object({
  entries: v.array(
    v.object({
      spec: v.object({ uuid: v.string(), num_replicas: v.number() }),
      state: v.object({
        size: v.number(),
        status: v.string(),
        target: v.optional(v.object({ rebuilds: v.number(), state: v.string() })),
      }),
    }),
  ),
});
const REPLICAS = v.array(
  v.object({ node: v.string(), pool: v.string(), uuid: v.string(), size: v.number(), state: v.string() }),
);

/** The same series that the collector should have, from answers to the same requests. */
async function expected(origin: string): Promise<Map<string, number>> {
  const get = async (path: string): Promise<unknown> => {
    const answer = await fetch(`${origin}/v0/${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect([path, answer.status]).toEqual([path, 200]);
    return answer.json();
  };
  const nodes = v.parse(NODES, await get("nodes"));
  const pools = v.parse(POOLS, await get("pools"));
  const volumes = v.parse(VOLUMES, await get("volumes?max_entries=500")).entries;
  const replicas = v.parse(REPLICAS, await get("replicas"));
  const series = new Map<string, number>();
  const add = (name: string, labels: Readonly<Record<string, string>>, value: number): void =>
    void series.set(seriesKey(name, labels), value);
  const addState = (name: string, labels: Readonly<Record<string, string>>, status = "absent"): void =>
    add(name, { ...labels, status: status.toLowerCase() }, 1);

  for (const { id, state, spec } of nodes) {
    addState("mayastor_node_status", { node_id: id }, state?.status);
    const [cordon = "none", ...further] = Object.keys(spec?.cordondrainstate ?? {});
    // The description lets members stand beside the one that it names; then none of them is the answer.
    const known = further.length === 0 ? cordon.replace(/state$/, "") : "unknown";
    add("mayastor_node_cordon_state", { node_id: id, state: known }, 1);
    add("mayastor_node_online", { node_id: id }, state?.status === "Online" ? 1 : 0);
  }
  for (const { id, spec, state } of pools) {
    const labels = { node_id: state?.node ?? spec?.node ?? "", pool: id };
    addState("mayastor_pool_status", labels, state?.status);
    if (spec !== undefined) addState("mayastor_pool_spec_status", labels, spec.status);
    if (state === undefined) continue;
    add("mayastor_pool_capacity_bytes", labels, state.capacity);
    add("diskpool_used_size_bytes", { node: labels.node_id, name: id }, state.used);
  }
  for (const { spec, state } of volumes) {
    const labels = { volume: spec.uuid };
    addState("mayastor_volume_status", labels, state.status);
    add("mayastor_volume_size_bytes", labels, state.size);
    add("mayastor_volume_replicas_desired", labels, spec.num_replicas);
    add("mayastor_volume_published", labels, state.target === undefined ? 0 : 1);
    if (state.target === undefined) continue;
    add("mayastor_volume_rebuilds", labels, state.target.rebuilds);
    add("mayastor_volume_target_state", { ...labels, state: state.target.state.toLowerCase() }, 1);
  }
  for (const { node, pool, uuid, size, state } of replicas) {
    const labels = { node_id: node, pool, replica: uuid };
    addState("mayastor_replica_status", labels, state);
    add("mayastor_replica_size_bytes", labels, size);
  }
  return series;
}

/** Families in which each thing has one series for every state, of which exactly one is 1. */
const STATE_SETS = [
  ...[
    "mayastor_node_status",
    "mayastor_node_cordon_state",
    "mayastor_pool_status",
    "mayastor_pool_spec_status",
  ],
  ...["mayastor_volume_status", "mayastor_volume_target_state", "mayastor_replica_status"],
];
const NUMBERS = [
  ...["mayastor_node_online", "mayastor_pool_capacity_bytes", "diskpool_used_size_bytes"],
  ...["mayastor_volume_size_bytes", "mayastor_volume_replicas_desired", "mayastor_volume_published"],
  ...["mayastor_volume_rebuilds", "mayastor_replica_size_bytes"],
];

/** All series of these families, but for the zeroes of state sets. */
function comparable(series: ReadonlyMap<string, number>): Map<string, number> {
  return new Map(
    [...series].filter(([key, value]) => {
      const family = key.slice(0, key.indexOf("{"));
      return NUMBERS.includes(family) || (STATE_SETS.includes(family) && value !== 0);
    }),
  );
}

const nonZero = (series: ReadonlyMap<string, number>, name: string) =>
  [...series].filter(([key, value]) => key.startsWith(`${name}{`) && value !== 0);

const FETCHED = new Map([
  ["mayastor_node_status_fetch_success{}", 1],
  ...RESOURCES.slice(1).map((name): [string, number] => [`mayastor_fetch_success{resource="${name}"}`, 1]),
  ['plumbline_collector_success{collector="mayastor"}', 1],
]);

const fetched = (series: ReadonlyMap<string, number>) =>
  new Map([...FETCHED.keys()].map((key) => [key, series.get(key)]));

async function withToken(origin: string, body: (service: MayastorProcess) => Promise<void>): Promise<void> {
  using token = new TemporaryFile(`${TOKEN}\n`);
  await using service = await serveMayastor(
    ...[`${origin}/v0/`, `--mayastor.token-file=${token.path}`, "--mayastor.allow-plaintext-token"],
    ...ALL_RESOURCES,
  );
  await body(service);
}

describe("a mock server made from the API description", () => {
  test.each(["willow", "alder", "birch", "rowan", "hazel", "larch"])(
    "is understood whatever it makes up: %s",
    async (seed) => {
      await using prism = await mock(seed, { paging: false });
      await withToken(prism.origin, async (service) => {
        const series = await service.scrape();
        expect(fetched(series)).toEqual(FETCHED);
        const answers = await expected(prism.origin);
        expect(comparable(series)).toEqual(answers);
        expect(nonZero(series, "mayastor_items_skipped_total")).toEqual([]);
        const isOdd = [...answers.keys()].some((key) => /cordon_state.*"unknown"/.test(key));
        expect(nonZero(series, "mayastor_unrecognized_values_total").map(([key]) => key)).toEqual(
          isOdd ? ['mayastor_unrecognized_values_total{field="cordon_state"}'] : [],
        );
      });
      expect(prism.log()).not.toMatch(/did not pass the validation rules/);
    },
    30_000,
  );

  test("gives one token for ever, and the volumes alone are left out", async () => {
    await using prism = await mock("willow", { paging: true });
    await withToken(prism.origin, async (service) => {
      const series = await service.scrape();
      expect(fetched(series)).toEqual(
        new Map([
          ...FETCHED,
          ['mayastor_fetch_success{resource="volumes"}', 0],
          ['plumbline_collector_success{collector="mayastor"}', 0],
        ]),
      );
      expect(nonZero(series, "mayastor_fetch_errors_total").map(([key]) => key)).toEqual([
        'mayastor_fetch_errors_total{reason="bad_body",resource="volumes"}',
      ]);
    });
  }, 30_000);

  test("refuses a request without a token, and says so of one that lacks max_entries", async () => {
    await using prism = await mock("willow", { paging: false });
    await using service = await serveMayastor(prism.origin);
    const series = await service.scrape();
    expect(series.get("mayastor_node_status_fetch_success{}")).toBe(0);
    expect(nonZero(series, "mayastor_node_status_fetch_errors_total").map(([key]) => key)).toEqual([
      'mayastor_node_status_fetch_errors_total{reason="unauthorized"}',
    ]);
    expect(prism.log()).toContain("Invalid security scheme used");
    await fetch(`${prism.origin}/v0/volumes`, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect(prism.log()).toContain("Request query must have required property 'max_entries'");
  }, 30_000);

  test("is asked for one node alone, whose name is encoded", async () => {
    await using prism = await mock("alder", { paging: false });
    using token = new TemporaryFile(TOKEN);
    await using service = await serveMayastor(
      ...[prism.origin, `--mayastor.token-file=${token.path}`, "--mayastor.allow-plaintext-token"],
      ...["--mayastor.node-name=node a/b", ...ALL_RESOURCES],
    );
    expect(fetched(await service.scrape())).toEqual(FETCHED);
    expect(prism.log()).toMatch(/get \/v0\/nodes\/node%20a%2Fb\/replicas/);
    expect(prism.log()).not.toMatch(/did not pass the validation rules/);
  }, 30_000);
});

describe("the simulated service, every answer of which is held against the API description", () => {
  test("gives the same series through it and without it, at any time of its cluster's life", async () => {
    let cluster: Cluster = livingCluster(0);
    const rest = new MayastorRest(() => cluster, { token: TOKEN });
    const origin = await rest.start();
    try {
      await using prism = await proxy(origin);
      await withToken(prism.origin, async (checked) => {
        await withToken(origin, async (direct) => {
          for (let minutes = 0; minutes < 60; minutes += 4) {
            cluster = livingCluster(minutes * 60_000);
            const series = await checked.scrape();
            expect(fetched(series)).toEqual(FETCHED);
            expect(series).toEqual(await direct.scrape());
          }
        });
      });
      expect(prism.log()).not.toMatch(/VIOLATIONS|did not pass/);
    } finally {
      await rest.stop();
    }
  }, 60_000);

  test("shows a violation where there is one", async () => {
    const { nodes, ...others } = livingCluster(0);
    const broken = nodes.map((node) => ({ ...node, state: { ...node.state, status: "Asleep" } }));
    const rest = new MayastorRest(() => JSON.parse(JSON.stringify({ nodes: broken, ...others })));
    try {
      await using prism = await proxy(await rest.start());
      const answer = await fetch(`${prism.origin}/v0/nodes`, {
        headers: { authorization: `Bearer ${TOKEN}` },
      });
      expect(answer.status).toBe(500);
      expect(await answer.text()).toContain("VIOLATIONS");
    } finally {
      await rest.stop();
    }
  }, 30_000);
});
