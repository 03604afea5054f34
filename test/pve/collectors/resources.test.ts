import { describe, expect, test } from "bun:test";
import { expose } from "../../../src/metrics/exposition.ts";
import { RESOURCES } from "../../../src/pve/collectors/resources.ts";
import type { CollectorOptions } from "../../../src/pve/contract.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { endlessName } from "../../support/pve-hostile.ts";
import { collect, FakeRound, failure } from "../../support/pve-round.ts";

const collected = (resources: unknown, options: Partial<CollectorOptions> = {}) =>
  collect(RESOURCES, new FakeRound({}, { resources, options }));
const ofFixture = (name: string) => collected(pveFixture(name));

/** Names of the series of one id, with what they have beside the id. */
const ofId = (series: Readonly<Record<string, number>>, id: string) =>
  Object.keys(series).filter((key) => key.includes(`id="${id}"`));
const namesOf = (keys: readonly string[]) => [...new Set(keys.map((key) => key.slice(0, key.indexOf("{"))))];

const GUEST = { type: "qemu", id: "qemu/100", vmid: 100, node: "pve1", status: "running" };

test.each(["8.4", "9.2"])("release %s: every row is understood", async (release) => {
  const { leftOut, lost, series } = await ofFixture(`cluster-resources/${release}`);
  expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  expect(series['pve_memory_size_bytes{id="node/pve1"}']).toBeGreaterThan(0);
});

test("an offline node keeps what the API still gives, and nothing becomes 0", async () => {
  const { series } = await ofFixture("cluster-resources/offline-node");
  expect(namesOf(ofId(series, "node/pve2"))).toEqual([
    "pve_cpu_usage_limit",
    "pve_disk_size_bytes",
    "pve_ha_state",
    "pve_memory_size_bytes",
  ]);
  expect(namesOf(ofId(series, "node/pve3"))).toEqual(["pve_ha_state"]);
});

test("a guest without a name has an empty one", async () => {
  const { series } = await ofFixture("cluster-resources/offline-node");
  expect(series['pve_guest_info{id="qemu/101",name="",node="pve2",tags="",template="",type="qemu"}']).toBe(1);
});

test("a pool whose members run has their sums, and no other pool has anything", async () => {
  const { series } = await ofFixture("cluster-resources/pools");
  expect(namesOf(ofId(series, "/pool/front"))).toEqual([
    "pve_cpu_usage_limit",
    "pve_cpu_usage_ratio",
    "pve_memory_size_bytes",
    "pve_memory_usage_bytes",
    "pve_uptime_seconds",
  ]);
  expect(ofId(series, "/pool/back")).toEqual([]);
  expect(ofId(series, "/pool/empty")).toEqual([]);
});

test("a CPU share below 0 or above 1 is exported as it is", async () => {
  const { series } = await ofFixture("cluster-resources/negative-cpu");
  const shares = Object.keys(series)
    .filter((key) => key.startsWith("pve_cpu_usage_ratio"))
    .map((key) => series[key] ?? Number.NaN);
  expect(Math.min(...shares)).toBeLessThan(0);
  expect(Math.max(...shares)).toBeGreaterThan(1);
});

test("a shared storage is there once per node, its content sorted", async () => {
  const { series } = await ofFixture("cluster-resources/shared-storage");
  for (const node of ["pve1", "pve2", "pve3"]) {
    const labels = `content="images,rootdir",id="storage/${node}/nfs",node="${node}",plugintype="nfs",storage="nfs"`;
    expect(series[`pve_storage_info{${labels}}`]).toBe(1);
    expect(series[`pve_storage_shared{id="storage/${node}/nfs"}`]).toBe(1);
  }
  expect(series['pve_disk_usage_bytes{id="storage/pve3/nfs"}']).toBeUndefined();
});

test("a type that nobody knows is ignored and counted, and is no failure", async () => {
  const { leftOut, lost, series } = await ofFixture("cluster-resources/unknown-type");
  expect({ leftOut, lost }).toEqual({ leftOut: { invalid: 1 }, lost: {} });
  expect(ofId(series, "quantum/pve1/q")).toEqual([]);
});

test("one without rights sees less, and that is no failure", async () => {
  const { lost } = await ofFixture("cluster-resources/no-rights");
  expect(lost).toEqual({});
});

describe("the HA state", () => {
  test("is 1 for the state that is listed, and all 0 for null, ignored, disabled, enabled and none", async () => {
    const { series } = await ofFixture("cluster-resources/hastate");
    const held = Object.keys(series).filter((key) => key.startsWith("pve_ha_state") && series[key] === 1);
    expect(held).toEqual(['pve_ha_state{id="qemu/104",state="request_start_balance"}']);
    expect(Object.keys(series).filter((key) => key.startsWith('pve_ha_state{id="qemu/100"'))).toHaveLength(
      11,
    );
    expect(Object.keys(series).filter((key) => key.startsWith('pve_ha_state{id="node/pve1"'))).toHaveLength(
      5,
    );
  });

  test("has no zeros where nobody wants them", async () => {
    const rows = [
      { ...GUEST, hastate: "started", lock: "snapshot-delete" },
      { ...GUEST, id: "qemu/101", vmid: 101 },
      { type: "node", id: "node/pve1", node: "pve1", hastate: "fence" },
    ];
    const { series } = await collected(rows, { zeroStates: false });
    expect(Object.keys(series).filter((key) => key.includes("state="))).toEqual([
      'pve_ha_state{id="node/pve1",state="fence"}',
      'pve_ha_state{id="qemu/100",state="started"}',
      'pve_lock_state{id="qemu/100",state="snapshot-delete"}',
    ]);
  });
});

test("the deprecated gauges have the values of their counters", async () => {
  const { series } = await collected([{ ...GUEST, netin: 1, netout: 2, diskread: 3, diskwrite: 4 }]);
  const ofGuest = (name: string) => series[`${name}{id="qemu/100"}`];
  expect([ofGuest("pve_network_receive_bytes"), ofGuest("pve_network_receive_bytes_total")]).toEqual([1, 1]);
  expect([ofGuest("pve_network_transmit_bytes"), ofGuest("pve_network_transmit_bytes_total")]).toEqual([
    2, 2,
  ]);
  expect([ofGuest("pve_disk_read_bytes"), ofGuest("pve_disk_read_bytes_total")]).toEqual([3, 3]);
  expect([ofGuest("pve_disk_write_bytes"), ofGuest("pve_disk_written_bytes_total")]).toEqual([4, 4]);
});

test("the deprecated gauges are gone with their HELP where nobody wants them", async () => {
  const { report } = await collected([{ ...GUEST, netin: 1 }], { deprecatedGauges: false });
  const text = new TextDecoder().decode(expose([report.samples], "text").body);
  expect(text).not.toContain("DEPRECATED");
  expect(text).toContain('pve_network_receive_bytes_total{id="qemu/100"} 1');
});

describe("odd values", () => {
  test("null and nothing give no sample and are not counted", async () => {
    const { series, leftOut, lost } = await collected([{ ...GUEST, cpu: null, mem: "", maxmem: "2048" }]);
    expect(namesOf(ofId(series, "qemu/100"))).toEqual([
      "pve_guest_info",
      "pve_ha_state",
      "pve_lock_state",
      "pve_memory_size_bytes",
    ]);
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("what is no number gives no sample and is counted; all else of the row stays", async () => {
    const { series, leftOut, lost } = await ofFixture("hostile/numbers");
    const shares = Object.keys(series).filter((key) => key.startsWith("pve_cpu_usage_ratio"));
    expect(shares).toEqual([106, 107, 112].map((vmid) => `pve_cpu_usage_ratio{id="qemu/${vmid}"}`));
    expect(leftOut).toEqual({ invalid: 10 });
    expect(lost).toEqual({});
    expect(series['pve_memory_usage_bytes{id="qemu/100"}']).toBe(1073741824);
  });

  test("the same id twice: the first is taken", async () => {
    const { series, leftOut, lost } = await collected([
      { ...GUEST, cpu: 0.1 },
      { ...GUEST, cpu: 0.9 },
    ]);
    expect(series['pve_cpu_usage_ratio{id="qemu/100"}']).toBe(0.1);
    expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1 }, lost: {} });
  });

  test("quotes, line ends, NUL and a lone surrogate stay within their label", async () => {
    const { report, lost } = await ofFixture("hostile/labels");
    const text = new TextDecoder("utf-8", { fatal: true }).decode(expose([report.samples], "text").body);
    expect(lost).toEqual({});
    expect(text).toContain('name="lone\ufffdsurrogate"');
    expect(text.split("\n")).not.toContain('pve_up{id="x"} 1');
    expect(text.match(/^pve_guest_info/gm)).toHaveLength(5);
  });

  test("a name of a MiB is cut and counted", async () => {
    const { series, leftOut } = await collected(JSON.parse(endlessName).data);
    const [info = ""] = Object.keys(series).filter((key) => key.startsWith("pve_guest_info"));
    expect(info).toContain(`name="${"n".repeat(1024)}"`);
    expect(leftOut).toEqual({ invalid: 1 });
  });

  test("members that every object inherits are not taken for values", async () => {
    const { lost, series } = await ofFixture("hostile/prototype");
    expect(lost).toEqual({ invalid: 1 });
    expect(Object.keys(series).filter((key) => !key.includes('id="qemu/100"'))).toEqual([]);
  });
});

test("a call that fails costs this collector", async () => {
  const { series, lost } = await collected(failure("too_large"));
  expect({ series, lost }).toEqual({ series: {}, lost: { too_large: 1 } });
});
