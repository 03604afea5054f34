/** Section 5 of the contract: answers of which a part cannot be used, or should not be, and what is still told. */
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import { ENUM_FIELDS, RESOURCES, SKIP_REASONS } from "../../src/mayastor/model.ts";
import { answer, type Conduct, HostileServer, json } from "../support/hostile-server.ts";
import {
  fetchSuccess,
  forEach,
  HEALTHY,
  MayastorScraping,
  ofMayastor,
  resources,
} from "../support/mayastor-scraping.ts";
import { seriesKey, seriesOfExposition } from "../support/series.ts";

type Mayastor = Settings["mayastor"];

/** In every text of the service's own choice that stands where none is wanted. */
const PLANTED = "planted-words-of-the-service";

describe("an answer of which a part cannot be used", () => {
  const [node] = HEALTHY.nodes;
  const [pool] = HEALTHY.pools;
  const [volume] = HEALTHY.volumes.entries;
  const [replica] = HEALTHY.replicas;
  type Bodies = Partial<Record<(typeof RESOURCES)[number], unknown>>;

  interface Odd {
    readonly bodies: Bodies;
    readonly mayastor?: Partial<Mayastor>;
    /** Counts that are not 0, as `resource reason` and `field`. */
    readonly counts?: Readonly<Record<string, number>>;
    readonly has?: Readonly<Record<string, number>>;
    readonly hasNot?: readonly RegExp[];
  }

  const STRANGE = 'a "b"\\c\nd';
  const NODE_A = { 'mayastor_node_online{node_id="node-a"}': 1 };
  const nodes = (...more: readonly unknown[]): Bodies => ({ nodes: [...more, node] });
  const pools = (state: object): Bodies => ({ pools: [{ ...pool, state: { ...pool.state, ...state } }] });
  const POOL = '{node_id="node-a",pool="pool-a"}';
  const VOLUME = `{volume="${volume.state.uuid}"}`;
  const REPLICA = `{node_id="node-a",pool="pool-a",replica="${replica.uuid}"}`;

  const ODD: Readonly<Record<string, Odd>> = {
    "an empty list of nodes": { bodies: { nodes: [] }, hasNot: [/^mayastor_node_online/] },
    "empty lists of all": {
      bodies: { nodes: [], pools: [], volumes: { entries: [] }, replicas: [] },
      hasNot: [/^mayastor_(?:node_online|pool|volume|replica)/, /^diskpool/],
    },
    "a node without an id": malformedNode({ state: node.state }),
    "a node whose id is a number": malformedNode({ ...node, id: 7 }),
    "a node whose id is longer than 1024 bytes": malformedNode({ ...node, id: "ü".repeat(513) }),
    "a node whose spec is a text": malformedNode({ ...node, id: "odd", spec: PLANTED }),
    "a node whose state is a list": malformedNode({ ...node, id: "odd", state: [] }),
    "a node of the flat shape before 1.0": malformedNode({
      ...{ id: "odd", grpcEndpoint: "10.1.0.9:10124", state: "Online" },
    }),
    "entries that are no objects": {
      bodies: nodes(null, PLANTED, 1, [], true),
      counts: { "nodes malformed": 5 },
      has: NODE_A,
    },
    "the same id twice: the first by its JSON text": {
      bodies: { nodes: [node, { ...node, state: { ...node.state, status: "Offline" } }] },
      counts: { "nodes duplicate": 1 },
      has: { 'mayastor_node_online{node_id="node-a"}': 0 },
    },
    "an id that is to be ignored, as a whole and not in part": {
      bodies: nodes({ ...node, id: "old-1" }, { ...node, id: "very-old-1" }),
      mayastor: { ignoreNodes: ["old-.*"] },
      counts: { "nodes ignored": 1 },
      has: { ...NODE_A, 'mayastor_node_online{node_id="very-old-1"}': 1 },
      hasNot: [/node_id="old-1"/],
    },
    "a status that is not known": {
      bodies: { nodes: [{ ...node, state: { ...node.state, status: PLANTED } }] },
      counts: { node_status: 1 },
      has: { 'mayastor_node_status{node_id="node-a",status="unknown"}': 1 },
    },
    "a cordon that is not known": {
      bodies: { nodes: [{ ...node, spec: { ...node.spec, cordondrainstate: { [PLANTED]: {} } } }] },
      counts: { cordon_state: 1 },
      has: { ...NODE_A, 'mayastor_node_cordon_state{node_id="node-a",state="unknown"}': 1 },
      hasNot: [/^mayastor_node_(?:cordoned|draining)\{/],
    },
    "a number that is negative": oddNumber({ used: -1 }, "used"),
    "a number with a fraction": oddNumber({ used: 1.5 }, "used"),
    "a number as a text": oddNumber({ used: "400" }, "used"),
    "a number that is null": { bodies: pools({ committed: null }), hasNot: [/^mayastor_pool_committed/] },
    "a number above 2^53, as its nearest double": {
      bodies: {
        pools: raw(JSON.stringify([pool]).replace('"capacity":1000', '"capacity":9007199254740993')),
      },
      has: { [`mayastor_pool_capacity_bytes${POOL}`]: 9007199254740992 },
    },
    "a number that no double holds": {
      bodies: { pools: raw(JSON.stringify([pool]).replace('"used":400', '"used":1e999')) },
      counts: { "pools malformed": 1 },
      has: { [`mayastor_pool_capacity_bytes${POOL}`]: 1000 },
      hasNot: [/^mayastor_pool_used/],
    },
    "ids and disks with quotes, backslashes and newlines": {
      bodies: {
        nodes: [{ ...node, id: STRANGE }],
        ...pools({ disks: [`/dev/${STRANGE}?uuid=1`] }),
      },
      has: {
        [seriesKey("mayastor_node_online", { node_id: STRANGE })]: 1,
        [seriesKey("mayastor_pool_disk_info", {
          node_id: "node-a",
          pool: "pool-a",
          disk: `/dev/${STRANGE}`,
        })]: 1,
      },
    },
    "members that are not known, at any depth": {
      bodies: {
        nodes: [{ ...node, [PLANTED]: 1, spec: { ...node.spec, x: {} }, state: { ...node.state, x: [[]] } }],
        ...pools({ x: { y: PLANTED } }),
        volumes: { entries: [{ ...volume, x: 1, state: { ...volume.state, x: 1 } }], x: 1 },
        replicas: [{ ...replica, x: 1 }],
      },
      has: {
        ...NODE_A,
        [`mayastor_pool_capacity_bytes${POOL}`]: 1000,
        [`mayastor_volume_size_bytes${VOLUME}`]: 100,
        [`mayastor_replica_size_bytes${REPLICA}`]: 100,
      },
    },
    "members named as those of every object": {
      bodies: {
        nodes: raw(
          `[{"__proto__":{"id":"inherited"}},{"id":"constructor"},{"id":"__proto__","constructor":1}]`,
        ),
      },
      counts: { "nodes malformed": 1 },
      has: {
        'mayastor_node_online{node_id="constructor"}': 0,
        'mayastor_node_status{node_id="__proto__",status="absent"}': 1,
      },
    },
    "a pool, a volume and a replica without what names them": {
      bodies: {
        pools: [{ ...pool, id: 1 }, pool],
        volumes: { entries: [{ ...volume, spec: { ...volume.spec, uuid: 1 }, state: PLANTED }, volume] },
        replicas: [{ ...replica, uuid: null }, replica],
      },
      counts: { "pools malformed": 1, "volumes malformed": 1, "replicas malformed": 1 },
      has: { [`mayastor_pool_capacity_bytes${POOL}`]: 1000, [`mayastor_replica_size_bytes${REPLICA}`]: 100 },
    },
    "the same pool, volume and replica twice": {
      bodies: {
        pools: [pool, pool],
        volumes: { entries: [volume, volume] },
        replicas: [replica, replica],
      },
      counts: { "pools duplicate": 1, "volumes duplicate": 1, "replicas duplicate": 1 },
      has: { [`mayastor_volume_size_bytes${VOLUME}`]: 100 },
    },
    "states of pools, volumes and replicas that are not known": {
      bodies: {
        ...pools({ status: PLANTED }),
        volumes: { entries: [{ ...volume, state: { ...volume.state, status: PLANTED } }] },
        replicas: [{ ...replica, state: PLANTED }],
      },
      counts: { pool_status: 1, volume_status: 1, replica_status: 1 },
      has: {
        [seriesKey("mayastor_pool_status", { node_id: "node-a", pool: "pool-a", status: "unknown" })]: 1,
        [seriesKey("mayastor_volume_status", { volume: volume.state.uuid, status: "unknown" })]: 1,
      },
    },
  };

  function malformedNode(entry: unknown): Odd {
    return { bodies: nodes(entry), counts: { "nodes malformed": 1 }, has: NODE_A, hasNot: [/node_id="odd"/] };
  }

  function oddNumber(state: object, series: string): Odd {
    return {
      bodies: pools(state),
      counts: { "pools malformed": 1 },
      has: {
        [`mayastor_pool_capacity_bytes${POOL}`]: 1000,
        'diskpool_total_size_bytes{name="pool-a",node="node-a"}': 1000,
      },
      hasNot: [new RegExp(`^mayastor_pool_${series}_bytes`), /^diskpool_used_size_bytes/],
    };
  }

  /** A JSON text that no value of ours gives. */
  function raw(text: string): { raw: string } {
    return { raw: text };
  }

  const bodyOf = (body: unknown): Conduct =>
    typeof body === "object" && body !== null && "raw" in body ? answer(200, String(body.raw)) : json(body);

  test.each(Object.entries(ODD))(
    "%s",
    async (_, { bodies, mayastor, counts = {}, has = {}, hasNot = [] }) => {
      const conducts = Object.entries(bodies).map(([resource, body]) => [resource, bodyOf(body)]);
      await using server = await HostileServer.start(resources(Object.fromEntries(conducts)));
      using scraping = new MayastorScraping({
        ...{ endpoint: `${server.origin}/v0`, resources: RESOURCES },
        ...mayastor,
      });
      const exposition = await scraping.exposition();
      const series = seriesOfExposition(exposition);
      expect(forEach((resource) => fetchSuccess(series, resource))).toEqual(forEach(() => 1));
      expect(series.get('plumbline_collector_success{collector="mayastor"}')).toBe(1);
      expect(Object.fromEntries(Object.keys(has).map((key) => [key, series.get(key)]))).toEqual({ ...has });
      for (const pattern of hasNot) expect(ofMayastor(series).filter((key) => pattern.test(key))).toEqual([]);
      const skipped = RESOURCES.flatMap((resource) => SKIP_REASONS.map((reason) => ({ resource, reason })));
      const seen = new Map([
        ...skipped.map((labels): [string, number | undefined] => [
          `${labels.resource} ${labels.reason}`,
          series.get(seriesKey("mayastor_items_skipped_total", labels)),
        ]),
        ...ENUM_FIELDS.map((field): [string, number | undefined] => [
          field,
          series.get(seriesKey("mayastor_unrecognized_values_total", { field })),
        ]),
      ]);
      expect(Object.fromEntries([...seen].filter(([, count]) => count !== 0))).toEqual({ ...counts });
      expect(`${exposition}${JSON.stringify(scraping.log.lines)}`).not.toContain(PLANTED);
      expect(scraping.log.lines.filter(({ level }) => level === "error")).toEqual([]);
    },
  );
});
