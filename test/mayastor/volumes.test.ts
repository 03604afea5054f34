import { describe, expect, test } from "bun:test";
import { Tally } from "../../src/mayastor/model.ts";
import { addVolumes, readVolumes, volumeOfReplica } from "../../src/mayastor/volumes.ts";
import { linesOf, notZero, tallied } from "../support/mayastor-lines.ts";

const SPEC = {
  num_replicas: 3,
  size: 100,
  status: "Created",
  uuid: "v",
  thin: false,
  affinity_group: { id: "ag" },
  num_snapshots: 2,
};
const STATE = {
  target: {
    children: [
      { state: "Online", uri: "bdev:///r1" },
      { state: "Degraded", uri: "nvmf://r2", rebuildProgress: 37 },
    ],
    deviceUri: "nvmf://n/nqn",
    node: "n",
    rebuilds: 1,
    protocol: "nvmf",
    size: 100,
    state: "Degraded",
    uuid: "t",
  },
  size: 100,
  status: "Degraded",
  uuid: "v",
  replica_topology: {
    r3: { state: "Unknown" },
    r2: { node: "b", pool: "p2", state: "Online", "child-status": "Degraded", "rebuild-progress": 37 },
    r1: { node: "a", pool: "p1", state: "Online", "child-status": "Online" },
  },
  usage: { capacity: 100, allocated: 60, allocated_snapshots: 5, total_allocated: 120 },
};
const VOLUME = { spec: SPEC, state: STATE };
const UNPUBLISHED = { spec: SPEC, state: { ...STATE, target: undefined } };
const named = (uuid: string) => ({ spec: { ...SPEC, uuid }, state: { ...STATE, uuid } });

/** Gives one page after the other. */
async function exported(...pages: readonly unknown[]) {
  const tally = new Tally();
  const paths: string[] = [];
  const volumes = await readVolumes(async (path) => pages[paths.push(path) - 1], tally);
  return {
    lines: linesOf((samples) => addVolumes(samples, volumes)),
    counts: tallied(tally),
    paths,
    volumes,
  };
}
const exportedOne = (volume: unknown) => exported({ entries: [volume] });
const refusal = (reason: string) => expect.objectContaining({ name: "RestFailure", reason });

describe("volumes", () => {
  test("have their status, target, replicas and rebuilds", async () => {
    const { lines, counts } = await exportedOne(VOLUME);
    expect(lines.filter((line) => !line.endsWith(" 0"))).toEqual([
      'mayastor_replica_child_status{volume="v",replica="r1",status="online"} 1',
      'mayastor_replica_child_status{volume="v",replica="r2",status="degraded"} 1',
      'mayastor_replica_rebuild_progress_ratio{volume="v",replica="r2"} 0.37',
      'mayastor_volume_allocated_bytes{volume="v"} 60',
      'mayastor_volume_allocated_snapshots_bytes{volume="v"} 5',
      'mayastor_volume_children{volume="v",status="degraded"} 1',
      'mayastor_volume_children{volume="v",status="online"} 1',
      'mayastor_volume_info{volume="v",pv_name="pvc-v",target_node_id="n",thin="false",affinity_group="ag"} 1',
      'mayastor_volume_published{volume="v"} 1',
      'mayastor_volume_rebuilds{volume="v"} 1',
      'mayastor_volume_replicas{volume="v",status="online"} 2',
      'mayastor_volume_replicas{volume="v",status="unknown"} 1',
      'mayastor_volume_replicas_desired{volume="v"} 3',
      'mayastor_volume_size_bytes{volume="v"} 100',
      'mayastor_volume_snapshots{volume="v"} 2',
      'mayastor_volume_status{volume="v",status="degraded"} 1',
      'mayastor_volume_target_state{volume="v",state="degraded"} 1',
      'mayastor_volume_total_allocated_bytes{volume="v"} 120',
    ]);
    expect(lines.filter((line) => line.startsWith("mayastor_volume_status"))).toHaveLength(5);
    expect(lines.filter((line) => line.startsWith("mayastor_volume_target_state"))).toHaveLength(6);
    expect(lines.filter((line) => line.startsWith("mayastor_volume_children"))).toHaveLength(4);
    expect(counts).toEqual({});
  });

  test("whose target is lost are still of the node where it should be", async () => {
    const lost = { spec: { ...SPEC, target: { node: "m", protocol: "nvmf" } }, state: UNPUBLISHED.state };
    const { lines, counts } = await exportedOne(lost);
    expect(lines.find((line) => line.startsWith("mayastor_volume_info"))).toContain('target_node_id="m"');
    expect(lines).toContain('mayastor_volume_published{volume="v"} 0');
    expect(counts).toEqual({});
    const moved = await exportedOne({ ...lost, state: STATE });
    expect(moved.volumes.map(({ targetNodeId }) => targetNodeId)).toEqual(["n"]);
  });

  test("that are not published have no children, target state or rebuilds", async () => {
    const { lines } = await exportedOne(UNPUBLISHED);
    expect(lines).toContain('mayastor_volume_published{volume="v"} 0');
    expect(lines.filter((line) => /^mayastor_volume_(children|target_state|rebuilds)/.test(line))).toEqual(
      [],
    );
    expect(lines.find((line) => line.startsWith("mayastor_volume_info"))).toContain('target_node_id=""');
  });

  test("show rebuild progress only while there is some, 0 too", async () => {
    const progress = (value: unknown) => ({
      spec: SPEC,
      state: { ...STATE, replica_topology: { r: { state: "Online", "rebuild-progress": value } } },
    });
    const ratios = async (value: unknown) =>
      (await exportedOne(progress(value))).lines.filter((line) => line.includes("rebuild_progress"));
    expect(await ratios(null)).toEqual([]);
    expect(await ratios(0)).toEqual(['mayastor_replica_rebuild_progress_ratio{volume="v",replica="r"} 0']);
    expect(await ratios(100)).toEqual(['mayastor_replica_rebuild_progress_ratio{volume="v",replica="r"} 1']);
    for (const odd of [101, -1, 3.7, "37"]) expect(await ratios(odd)).toEqual([]);
  });

  test("lack what the service does not say", async () => {
    const { lines, counts } = await exportedOne({ spec: { uuid: "v" }, state: { status: "Online" } });
    expect(lines.filter((line) => !line.endsWith(" 0"))).toEqual([
      'mayastor_volume_info{volume="v",pv_name="pvc-v",target_node_id="",thin="",affinity_group=""} 1',
      'mayastor_volume_status{volume="v",status="online"} 1',
    ]);
    expect(counts).toEqual({});
  });

  test("with words nobody knows are unknown, each word counted", async () => {
    const { lines, counts } = await exportedOne({
      spec: SPEC,
      state: {
        ...STATE,
        status: "Napping",
        target: { ...STATE.target, state: "Dozing", children: [{ state: "Yawning" }] },
        replica_topology: { r: { state: "Snoring", "child-status": "Dreaming" } },
      },
    });
    const families = [
      "volume_status",
      "volume_target_state",
      "volume_children",
      "volume_replicas",
      "replica_child_status",
    ];
    for (const family of families) {
      const [line, ...others] = notZero(lines, `mayastor_${family}`);
      expect(line).toMatch(/="unknown"\} 1$/);
      expect(others).toEqual([]);
    }
    expect(counts).toEqual({ volume_status: 1, target_state: 1, child_status: 2, replica_status: 1 });
  });

  test("lose the series of an odd number alone", async () => {
    const { lines, counts } = await exportedOne({
      spec: { ...SPEC, num_replicas: "3", num_snapshots: -1 },
      state: { ...STATE, size: 1.5, usage: { allocated: 60, total_allocated: [] } },
    });
    const lost = /replicas_desired|volume_snapshots|volume_size|total_allocated/;
    expect(lines.filter((line) => lost.test(line))).toEqual([]);
    expect(lines).toContain('mayastor_volume_allocated_bytes{volume="v"} 60');
    expect(counts).toEqual({ malformed: 4 });
  });

  test.each([
    ["no uuid", { ...VOLUME, spec: { ...SPEC, uuid: undefined } }],
    ["no spec", { state: STATE }],
    ["no state", { spec: SPEC }],
    ["a flat state", { spec: SPEC, state: "Online" }],
    ["a list for a topology", { spec: SPEC, state: { ...STATE, replica_topology: [{ state: "Online" }] } }],
    ["a list for a target", { spec: SPEC, state: { ...STATE, target: [] } }],
    [
      "a replica of over 1024 bytes",
      { spec: SPEC, state: { ...STATE, replica_topology: { ["r".repeat(1025)]: { state: "Online" } } } },
    ],
  ])("with %s are left out, the rest is kept", async (_, odd) => {
    const { lines, counts } = await exported({ entries: [odd, named("good")] });
    expect(lines.filter((line) => !line.includes('volume="good"'))).toEqual([]);
    expect(lines).not.toEqual([]);
    expect(counts).toEqual({ malformed: 1 });
  });

  test("are known by their replicas", async () => {
    const { volumes } = await exportedOne(VOLUME);
    expect([...volumeOfReplica(volumes)]).toEqual([
      ["r1", "v"],
      ["r2", "v"],
      ["r3", "v"],
    ]);
  });
});

describe("the pages of volumes", () => {
  test("are too large with more entries than any cluster has, over all pages and what the volumes hold", async () => {
    const full = (uuid: string) => ({
      spec: { ...SPEC, uuid },
      state: {
        ...STATE,
        replica_topology: Object.fromEntries(
          Array.from({ length: 65_000 }, (_, index) => [`r${index}`, { state: "Online" }]),
        ),
        target: { ...STATE.target, children: Array(65_000).fill({ state: "Online" }) },
      },
    });
    const first = { entries: [full("a")], next_token: 500 };
    await expect(exported(first, { entries: [full("b")] })).rejects.toEqual(refusal("too_large"));
    expect((await exported(first, { entries: [VOLUME] })).volumes).toHaveLength(2);
  });

  test("are read up to the one without a token, which may be null", async () => {
    for (const last of [{}, { next_token: null }]) {
      const pages = [
        { entries: [named("b")], next_token: 500 },
        { entries: [named("a")], ...last },
      ];
      const { paths, volumes } = await exported(...pages);
      expect(paths).toEqual(["/volumes?max_entries=500", "/volumes?max_entries=500&starting_token=500"]);
      expect(volumes.map(({ uuid }) => uuid)).toEqual(["a", "b"]);
    }
  });

  test("give the same lines however the volumes are spread and ordered", async () => {
    const { lines } = await exported({ entries: [named("c"), named("a"), named("b")] });
    const spread = await exported(
      { entries: [named("b")], next_token: 1 },
      { entries: [named("a"), named("c")] },
    );
    expect(spread.lines).toEqual(lines);
  });

  test("may give a volume twice, which counts once", async () => {
    const online = { spec: SPEC, state: { ...STATE, status: "Online" } };
    const there = await exported({ entries: [VOLUME], next_token: 1 }, { entries: [online] });
    const back = await exported({ entries: [online], next_token: 1 }, { entries: [VOLUME] });
    expect(there.counts).toEqual({ duplicate: 1 });
    expect(back.lines).toEqual(there.lines);
    expect(notZero(there.lines, "mayastor_volume_status")).toHaveLength(1);
  });

  test.each([
    ["the same token again", [500, 500]],
    ["a smaller token", [500, 499]],
    ["the token of the first page", [0]],
  ])("are a bad body with %s", async (_, tokens) => {
    const pages = tokens.map((next_token) => ({ entries: [], next_token }));
    await expect(exported(...pages)).rejects.toEqual(refusal("bad_body"));
  });

  test("are a bad body where they are over 1000", async () => {
    const upTo = (last: number) => {
      let page = 0;
      const read = async () => ({ entries: [], ...(++page < last && { next_token: page }) });
      return readVolumes(read, new Tally());
    };
    expect(await upTo(1000)).toEqual([]);
    await expect(upTo(1001)).rejects.toEqual(refusal("bad_body"));
  });

  test.each([
    ["a list", []],
    ["nothing", null],
    ["entries that are no list", { entries: {} }],
    ["no entries", {}],
    ["a word for a token", { entries: [], next_token: "500" }],
    ["half a token", { entries: [], next_token: 1.5 }],
  ])("are a bad body where one is or has %s", async (_, page) => {
    await expect(exported(page)).rejects.toEqual(refusal("bad_body"));
  });

  test("are all or nothing: what a page failed with is what the reading fails with", async () => {
    const failure = new Error("page 2");
    let page = 0;
    const read = async () => {
      if (++page === 2) throw failure;
      return { entries: [VOLUME], next_token: 1 };
    };
    await expect(readVolumes(read, new Tally())).rejects.toBe(failure);
  });
});
