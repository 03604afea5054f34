/** The nodes of `GET /v0/nodes` as series: the contract's truth table, and entries that cannot be used. */
import { describe, expect, test } from "bun:test";
import { Tally } from "../../src/mayastor/model.ts";
import { addNodes, decodeNode, decodeNodes } from "../../src/mayastor/nodes.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";
import { RestFailure } from "../../src/rest/failure.ts";

const NONE = () => false;

function read(json: unknown, isIgnored: (id: string) => boolean = NONE) {
  const tally = new Tally();
  const nodes = decodeNodes(json, tally, isIgnored);
  const samples = new Samples();
  addNodes(samples, nodes);
  const text = new TextDecoder().decode(expose([samples], "text").body);
  const counts = Object.fromEntries([...tally.skipped, ...tally.unrecognized]);
  return { nodes, counts, text, lines: text.split("\n") };
}

const state = (status: string) => ({ grpcEndpoint: "10.1.0.5:10124", id: "ignored", status });
const spec = (cordondrainstate?: unknown) => ({
  ...{ grpcEndpoint: "10.1.0.5:10124", id: "ignored", labels: {} },
  ...(cordondrainstate !== undefined && { cordondrainstate }),
});
const CORDONED = { cordonedstate: { cordonlabels: ["maintenance"] } };
const DRAINING = { drainingstate: { cordonlabels: [], drainlabels: ['fw "v2"\\x'] } };
const DRAINED = { drainedstate: { cordonlabels: ["a", "b"], drainlabels: ["c"] } };

/** Of online, cordoned and draining; "-" where the series is not there. */
const TABLE: readonly [string, object, string, string, string, Record<string, number>?][] = [
  ["Online, no cordon", { state: state("Online"), spec: spec() }, "1 0 0", "online", "none"],
  ["Online, cordonedstate", { state: state("Online"), spec: spec(CORDONED) }, "1 1 0", "online", "cordoned"],
  [
    "Online, drainingstate with empty cordonlabels",
    { state: state("Online"), spec: spec(DRAINING) },
    ...(["1 1 1", "online", "draining"] as const),
  ],
  ["Online, drainedstate", { state: state("Online"), spec: spec(DRAINED) }, "1 1 1", "online", "drained"],
  ["Offline", { state: state("Offline"), spec: spec() }, "0 0 0", "offline", "none"],
  [
    "Unknown, cordonedstate",
    { state: state("Unknown"), spec: spec(CORDONED) },
    ...(["0 1 0", "unknown", "cordoned"] as const),
  ],
  ["no state, drainingstate", { spec: spec(DRAINING) }, "0 1 1", "absent", "draining"],
  ["state Online, no spec", { state: state("Online") }, "1 0 0", "online", "none"],
  ["an id alone", {}, "0 0 0", "absent", "none"],
  ["null for spec and state", { spec: null, state: null }, "0 0 0", "absent", "none"],
  [
    "null for the cordon",
    { state: state("Online"), spec: spec(null) },
    ...(["1 0 0", "online", "none"] as const),
  ],
  ["status Suspended", { state: state("Suspended") }, "0 0 0", "unknown", "none", { node_status: 1 }],
  [
    "a cordon of an unknown kind",
    { state: state("Online"), spec: spec({ quiescedstate: {} }) },
    ...(["1 - -", "online", "unknown", { cordon_state: 1 }] as const),
  ],
  [
    "two cordons at once",
    { state: state("Offline"), spec: spec({ ...CORDONED, ...DRAINED }) },
    ...(["0 - -", "offline", "unknown", { cordon_state: 1 }] as const),
  ],
  [
    "a cordon of no kind",
    { state: state("Online"), spec: spec({}) },
    ...(["1 - -", "online", "unknown", { cordon_state: 1 }] as const),
  ],
  [
    "a cordon that is a text",
    { state: state("Online"), spec: spec("cordonedstate") },
    ...(["1 - -", "online", "unknown", { cordon_state: 1 }] as const),
  ],
  [
    "a cordon that is a list",
    { state: state("Online"), spec: spec([CORDONED]) },
    ...(["1 - -", "online", "unknown", { cordon_state: 1 }] as const),
  ],
];

const entry = (id: string, parts: object) => ({ id, ...parts });

describe("the truth table", () => {
  test.each(TABLE)("%s", (_, parts, gauges, status, cordon, expectedCounts = {}) => {
    const { text, lines, counts } = read([entry("a", parts)]);
    const gauge = (name: string): string => {
      const start = `mayastor_node_${name}{node_id="a"} `;
      return lines.find((line) => line.startsWith(start))?.slice(start.length) ?? "-";
    };
    expect(["online", "cordoned", "draining"].map(gauge).join(" ")).toBe(gauges);
    const ones = lines.filter((line) => /^mayastor_node_(?:status|cordon_state)\{.* 1$/.test(line));
    expect(ones).toEqual([
      `mayastor_node_cordon_state{node_id="a",state="${cordon}"} 1`,
      `mayastor_node_status{node_id="a",status="${status}"} 1`,
    ]);
    expect(text.match(/^mayastor_node_status\{/gm)).toHaveLength(4);
    expect(text.match(/^mayastor_node_cordon_state\{/gm)).toHaveLength(5);
    expect(counts).toEqual(expectedCounts);
  });

  test("is the same byte for byte, whatever the order of the list", () => {
    const entries = TABLE.map(([name, parts]) => entry(name, parts));
    const twins = [entry("Offline", { state: state("Online") }), entry("an id alone", { spec: spec() })];
    const expected = read([...entries, ...twins]);
    expect(expected.counts).toMatchObject({ duplicate: 2 });
    const list = [...twins, ...entries];
    for (const start of list.keys()) {
      const turned = [...list.slice(start), ...list.slice(0, start)];
      for (const order of [turned, turned.toReversed()]) {
        expect(read(order)).toEqual(expected);
      }
    }
  });
});

test("a list of more nodes than any cluster has is too large", () => {
  const list = (length: number) => Array<unknown>(length).fill({});
  expect(() => read(list(250_001))).toThrow(expect.objectContaining({ reason: "too_large" }));
  expect(read(list(250_000)).counts).toEqual({ malformed: 250_000 });
});

describe("a node", () => {
  test("has its labels of cordons and drains counted, and their text kept back", () => {
    const { lines, text } = read([
      entry("a", { spec: spec(DRAINING) }),
      entry("b", { spec: spec(DRAINED) }),
      entry("c", { spec: spec({ cordonedstate: { cordonlabels: "one" } }) }),
      entry("d", { spec: spec({ cordonedstate: null }) }),
    ]);
    expect(lines.filter((line) => /^mayastor_node_(?:cordon|drain)_labels/.test(line))).toEqual([
      'mayastor_node_cordon_labels{node_id="a"} 0',
      'mayastor_node_cordon_labels{node_id="b"} 2',
      'mayastor_node_cordon_labels{node_id="c"} 0',
      'mayastor_node_cordon_labels{node_id="d"} 0',
      'mayastor_node_drain_labels{node_id="a"} 1',
      'mayastor_node_drain_labels{node_id="b"} 1',
      'mayastor_node_drain_labels{node_id="c"} 0',
      'mayastor_node_drain_labels{node_id="d"} 0',
    ]);
    expect(text).not.toContain("v2");
  });

  test("is described by its state, else by its spec, else by nothing", () => {
    const { lines } = read([
      entry("a", {
        spec: { grpcEndpoint: "10.1.0.5:1", version: "v2.6.0" },
        state: { grpcEndpoint: "10.1.0.5:2", version: "v2.7.1", status: "Online" },
      }),
      entry("b", { spec: { grpcEndpoint: "10.1.0.6:1", version: "v2.6.0" }, state: state("Online") }),
      entry("c", {}),
    ]);
    expect(lines.filter((line) => line.startsWith("mayastor_node_info{"))).toEqual([
      'mayastor_node_info{node_id="a",version="v2.7.1",grpc_endpoint="10.1.0.5:2"} 1',
      'mayastor_node_info{node_id="b",version="v2.6.0",grpc_endpoint="10.1.0.5:10124"} 1',
      'mayastor_node_info{node_id="c",version="",grpc_endpoint=""} 1',
    ]);
  });

  test("whose id has quotes, backslashes and newlines is escaped", () => {
    expect(read([entry('a "b"\\c\nd', {})]).text).toContain(
      'mayastor_node_online{node_id="a \\"b\\"\\\\c\\nd"} 0\n',
    );
  });

  test("may have members that nobody knows, at any depth", () => {
    const known = { spec: spec(CORDONED), state: state("Online") };
    const more = {
      ...{ status: "Offline", meta: { a: [1] } },
      spec: { ...known.spec, extra: null },
      state: { ...known.state, extra: {} },
    };
    expect(read([entry("a", more)])).toEqual(read([entry("a", known)]));
  });
});

describe("an entry is left out and counted as malformed", () => {
  test.each([
    ["that is no object", null],
    ["that is a list", [[]]],
    ["without an id", { state: state("Online") }],
    ["whose id is a number", { id: 1 }],
    ["whose id is empty", { id: "" }],
    ["whose id has more than 1024 bytes", { id: "ü".repeat(513) }],
    ["whose spec is a text", { id: "b", spec: "x" }],
    ["whose spec is a list", { id: "b", spec: [] }],
    ["whose state is a list", { id: "b", state: [] }],
    ["whose state has no status", { id: "b", state: {} }],
    ["whose status is a number", { id: "b", state: { status: 1 } }],
    ["whose version is a number", { id: "b", spec: { version: 2 } }],
    ["of the flat shape before 1.0", { id: "b", grpcEndpoint: "10.1.0.9:10124", state: "Online" }],
  ])("%s", (_, odd) => {
    const { nodes, counts } = read([odd, entry("a", { state: state("Online") })]);
    expect(nodes.map(({ id }) => id)).toEqual(["a"]);
    expect(counts).toEqual({ malformed: 1 });
  });

  test("but not for an id of 1024 bytes", () => {
    expect(read([entry("ü".repeat(512), {})]).counts).toEqual({});
  });
});

test("an id that is to be ignored is left out and counted, as often as it stands there", () => {
  const { nodes, counts } = read(
    [entry("old", {}), entry("new", {}), entry("old", {})],
    (id) => id === "old",
  );
  expect(nodes.map(({ id }) => id)).toEqual(["new"]);
  expect(counts).toEqual({ ignored: 2 });
});

test("of the same id twice the first by its JSON text is kept", () => {
  const online = entry("a", { state: state("Online") });
  const offline = entry("a", { state: state("Offline") });
  for (const list of [
    [online, offline],
    [offline, online],
  ]) {
    const { nodes, counts } = read(list);
    expect(nodes.map(({ status }) => status)).toEqual(["offline"]);
    expect(counts).toEqual({ duplicate: 1 });
  }
});

test("of the same id twice one is kept, however deep its cordon is nested", () => {
  const depth = 100_000;
  const deep = JSON.parse(`${'{"a":'.repeat(depth)}0${"}".repeat(depth)}`);
  const twice = [entry("a", { spec: spec(deep) }), entry("a", { spec: spec({ drainingstate: deep }) })];
  const { nodes, counts } = read(twice);
  expect(nodes).toEqual(read(twice.toReversed()).nodes);
  expect(nodes.map(({ cordon }) => cordon)).toEqual(["unknown"]);
  expect(counts).toEqual({ duplicate: 1, cordon_state: 1 });
});

test("an empty list is no node", () => {
  expect(read([])).toMatchObject({ nodes: [], counts: {} });
});

test.each([
  ["an object", {}],
  ["a text", "[]"],
  ["null", null],
])("%s is no list of nodes", (_, json) => {
  expect(() => read(json)).toThrow(RestFailure);
});

describe("the answer for one node", () => {
  const one = (json: unknown) => decodeNode(json, new Tally(), NONE);

  test("is that node", () => {
    expect(one(entry("a", { state: state("Online") }))).toMatchObject([{ id: "a", status: "online" }]);
  });

  test.each([
    ["a list", []],
    ["a text", "a"],
    ["null", null],
  ])("is none where it is %s", (_, json) => {
    expect(() => one(json)).toThrow(RestFailure);
  });
});
