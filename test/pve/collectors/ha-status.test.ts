import { describe, expect, test } from "bun:test";
import { HA_STATUS } from "../../../src/pve/collectors/ha-status.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const MANAGER = "/cluster/ha/status/manager_status";
const RESOURCES = "/cluster/ha/resources";
const CURRENT = "/cluster/ha/status/current";

interface Ha {
  readonly manager?: unknown;
  readonly resources?: unknown;
  readonly current?: unknown;
  readonly release?: string;
}

/** What is not given is as where HA was never used. */
async function fromAnswers({ manager, resources = [], current = [], release = "9.2" }: Ha) {
  const answers = {
    [MANAGER]: manager ?? { manager_status: {} },
    [RESOURCES]: resources,
    [CURRENT]: current,
  };
  const { series, leftOut, lost } = await told(HA_STATUS, new FakeRound(answers, { release }));
  const families = (...names: readonly string[]) =>
    Object.fromEntries(
      Object.entries(series).filter(([key, value]) =>
        names.some((name) => key.startsWith(`pve_ha_${name}{`) && (value !== 0 || !name.endsWith("state"))),
      ),
    );
  return { series, leftOut, lost, families };
}

const fixture = (name: string) => fromAnswers({ manager: pveFixture(`ha/${name}`) });
const NOTHING = { leftOut: {}, lost: {} };

describe("ha-status: the manager", () => {
  test("HA that was never used has no node and no service, and is no failure", async () => {
    const { series, leftOut, lost } = await fixture("never-used");
    expect({ series, leftOut, lost }).toEqual({ series: { "pve_ha_quorate{}": 1 }, ...NOTHING });
  });

  test("a fresh cluster: its nodes, their LRM, the CRM and what runs where", async () => {
    const { series, leftOut, lost, families } = await fixture("fresh");
    expect({ leftOut, lost }).toEqual(NOTHING);
    expect(
      families("crm_master", "crm_timestamp_seconds", "node_status", "lrm_timestamp_seconds", "lrm_mode"),
    ).toEqual({
      'pve_ha_crm_master{node="pve1"}': 1,
      'pve_ha_crm_master{node="pve2"}': 0,
      'pve_ha_crm_master{node="pve3"}': 0,
      "pve_ha_crm_timestamp_seconds{}": 1_774_000_160,
      'pve_ha_node_status{node="pve1",status="online"}': 1,
      'pve_ha_node_status{node="pve2",status="online"}': 1,
      'pve_ha_node_status{node="pve3",status="online"}': 1,
      'pve_ha_lrm_timestamp_seconds{node="pve1"}': 1_774_000_160,
      'pve_ha_lrm_timestamp_seconds{node="pve2"}': 1_774_000_157,
      'pve_ha_lrm_timestamp_seconds{node="pve3"}': 1_774_000_155,
      'pve_ha_lrm_mode{mode="active",node="pve1"}': 1,
      'pve_ha_lrm_mode{mode="active",node="pve2"}': 1,
      'pve_ha_lrm_mode{mode="active",node="pve3"}': 1,
    });
    expect(families("lrm_state", "node_state")).toEqual({
      'pve_ha_lrm_state{node="pve1",state="active"}': 1,
      'pve_ha_lrm_state{node="pve2",state="active"}': 1,
      'pve_ha_lrm_state{node="pve3",state="wait_for_agent_lock"}': 1,
      'pve_ha_node_state{node="pve1",state="online"}': 1,
      'pve_ha_node_state{node="pve2",state="online"}': 1,
      'pve_ha_node_state{node="pve3",state="online"}': 1,
    });
    expect(families("service_status", "service_state", "service_node_info", "service_guest_info")).toEqual({
      'pve_ha_service_status{node="pve1",sid="vm:100",state="started"}': 1,
      'pve_ha_service_status{node="pve2",sid="ct:102",state="started"}': 1,
      'pve_ha_service_state{sid="vm:100",state="started"}': 1,
      'pve_ha_service_state{sid="ct:102",state="started"}': 1,
      'pve_ha_service_node_info{node="pve1",sid="vm:100"}': 1,
      'pve_ha_service_node_info{node="pve2",sid="ct:102"}': 1,
      'pve_ha_service_guest_info{id="qemu/100",sid="vm:100"}': 1,
      'pve_ha_service_guest_info{id="lxc/102",sid="ct:102"}': 1,
    });
    const statesOf = (family: string) => Object.keys(series).filter((key) => key.startsWith(family));
    expect(statesOf('pve_ha_node_state{node="pve1"')).toHaveLength(6);
    expect(statesOf('pve_ha_lrm_state{node="pve1"')).toHaveLength(6);
    expect(statesOf('pve_ha_service_state{sid="vm:100"')).toHaveLength(12);
  });

  test("a node in maintenance: its LRM waits, its service migrates, a quorum said as a text", async () => {
    const { families } = await fixture("maintenance");
    expect(families("node_state", "lrm_mode", "lrm_state", "service_state", "quorate")).toEqual({
      "pve_ha_quorate{}": 1,
      'pve_ha_node_state{node="pve1",state="online"}': 1,
      'pve_ha_node_state{node="pve2",state="maintenance"}': 1,
      'pve_ha_node_state{node="pve3",state="online"}': 1,
      'pve_ha_lrm_mode{mode="active",node="pve1"}': 1,
      'pve_ha_lrm_mode{mode="maintenance",node="pve2"}': 1,
      'pve_ha_lrm_mode{mode="active",node="pve3"}': 1,
      'pve_ha_lrm_state{node="pve1",state="active"}': 1,
      'pve_ha_lrm_state{node="pve2",state="wait_for_agent_lock"}': 1,
      'pve_ha_lrm_state{node="pve3",state="wait_for_agent_lock"}': 1,
      'pve_ha_service_state{sid="vm:100",state="started"}': 1,
      'pve_ha_service_state{sid="vm:101",state="started"}': 1,
      'pve_ha_service_state{sid="ct:102",state="migrate"}': 1,
    });
  });

  test("no quorum is said as an empty text; an LRM of an unknown mode has no state and no time", async () => {
    const { series, families, leftOut, lost } = await fixture("no-quorum");
    expect(series["pve_ha_quorate{}"]).toBe(0);
    expect(families("lrm_mode")['pve_ha_lrm_mode{mode="unknown",node="pve3"}']).toBe(1);
    const ofLostLrm = Object.keys(series).filter((key) => /_lrm_(state|timestamp).*pve3/.test(key));
    expect(ofLostLrm).toEqual([]);
    expect({ leftOut, lost }).toEqual(NOTHING);
  });

  test.each([
    [1, 1],
    ["1", 1],
    [0, 0],
    ["", 0],
    [undefined, undefined],
    [null, undefined],
  ])("a quorum of %p is %p", async (quorate, expected) => {
    const { series } = await fromAnswers({ manager: { manager_status: {}, quorum: { quorate } } });
    expect(series["pve_ha_quorate{}"]).toBe(expected);
  });

  test("a lost node is unknown, and its LRM keeps the time that it wrote last", async () => {
    const { series } = await fixture("lost-node");
    expect(series).toMatchObject({
      'pve_ha_node_state{node="pve3",state="unknown"}': 1,
      'pve_ha_lrm_state{node="pve3",state="active"}': 1,
      'pve_ha_lrm_timestamp_seconds{node="pve3"}': 1_774_000_095,
      'pve_ha_service_state{sid="vm:103",state="started"}': 1,
    });
  });

  test.each([
    ["fence", 'pve_ha_node_state{node="pve3",state="fence"}'],
    ["fence", 'pve_ha_service_state{sid="vm:103",state="fence"}'],
    ["recovery", 'pve_ha_service_state{sid="vm:103",state="recovery"}'],
    ["gone", 'pve_ha_node_state{node="pve3",state="gone"}'],
    ["service-error", 'pve_ha_service_state{sid="vm:100",state="error"}'],
    ["relocate", 'pve_ha_service_state{sid="vm:100",state="relocate"}'],
    ["disarmed-freeze", 'pve_ha_service_state{sid="vm:100",state="freeze"}'],
    ["disarmed-freeze", 'pve_ha_lrm_mode{mode="disarm",node="pve1"}'],
    ["disarmed-ignore", 'pve_ha_lrm_mode{mode="disarm",node="pve1"}'],
  ])("%s shows as %s", async (name, expected) => {
    const { series, leftOut, lost } = await fixture(name);
    expect(series[expected]).toBe(1);
    expect({ leftOut, lost }).toEqual(NOTHING);
  });

  test("words of a later release are other, and stand as they are in the labels of the seed", async () => {
    const { families, leftOut, lost } = await fixture("unknown-words");
    expect(families("node_state", "node_status")).toMatchObject({
      'pve_ha_node_state{node="pve3",state="other"}': 1,
      'pve_ha_node_status{node="pve3",status="hibernating"}': 1,
    });
    expect(families("lrm_state", "lrm_mode")).toMatchObject({
      'pve_ha_lrm_state{node="pve2",state="other"}': 1,
      'pve_ha_lrm_mode{mode="zen",node="pve2"}': 1,
    });
    expect(families("service_state", "service_status")).toEqual({
      'pve_ha_service_state{sid="vm:100",state="other"}': 1,
      'pve_ha_service_status{node="pve1",sid="vm:100",state="levitate"}': 1,
    });
    expect({ leftOut, lost }).toEqual(NOTHING);
  });

  test("names that are no node and ids that are no service are dropped", async () => {
    const manager_status = {
      node_status: { "../../access": "online", pve1: "online" },
      service_status: {
        "vm:99": { node: "pve1", state: "started" },
        "vm:100\n": { node: "pve1", state: "started" },
        "fs:100": { node: "pve1", state: "started" },
        "vm:101": { node: "pve/1", state: "started" },
        "vm:102": "started",
      },
    };
    const { series, lost, families } = await fromAnswers({
      manager: { manager_status, lrm_status: { "pve 1": { mode: "active" } } },
    });
    expect(lost).toEqual({ invalid: 7 });
    expect(families("node_status", "lrm_mode")).toEqual({
      'pve_ha_node_status{node="pve1",status="online"}': 1,
    });
    expect(families("service_status", "service_node_info")).toEqual({
      'pve_ha_service_status{node="",sid="vm:101",state="started"}': 1,
    });
    expect(Object.keys(series).filter((key) => key.includes("access") || key.includes("vm:99"))).toEqual([]);
  });
});

const CONFIG = "pve_ha_service_config";

describe("ha-status: the services' configuration", () => {
  test("what is left out has its default", async () => {
    const { series, families } = await fromAnswers({ resources: pveFixture("ha/resources-defaults") });
    expect(families("service_config", "service_requested_state", "service_guest_info")).toEqual({
      [`${CONFIG}{failback="1",max_relocate="1",max_restart="1",sid="vm:100",type="vm"}`]: 1,
      [`${CONFIG}{failback="1",max_relocate="1",max_restart="1",sid="ct:102",type="ct"}`]: 1,
      'pve_ha_service_requested_state{sid="vm:100",state="started"}': 1,
      'pve_ha_service_requested_state{sid="ct:102",state="started"}': 1,
      'pve_ha_service_guest_info{id="qemu/100",sid="vm:100"}': 1,
      'pve_ha_service_guest_info{id="lxc/102",sid="ct:102"}': 1,
    });
    expect(
      Object.keys(series).filter((key) => key.startsWith('pve_ha_service_requested_state{sid="vm:100"')),
    ).toHaveLength(5);
  });

  test("release 9 has failback, and a service that is ignored", async () => {
    const { families } = await fromAnswers({ resources: pveFixture("ha/resources-9.2") });
    expect(families("service_config", "service_requested_state")).toEqual({
      [`${CONFIG}{failback="0",max_relocate="1",max_restart="1",sid="vm:100",type="vm"}`]: 1,
      [`${CONFIG}{failback="1",max_relocate="0",max_restart="2",sid="vm:101",type="vm"}`]: 1,
      [`${CONFIG}{failback="1",max_relocate="1",max_restart="1",sid="ct:102",type="ct"}`]: 1,
      [`${CONFIG}{failback="1",max_relocate="1",max_restart="1",sid="vm:103",type="vm"}`]: 1,
      'pve_ha_service_requested_state{sid="vm:100",state="started"}': 1,
      'pve_ha_service_requested_state{sid="vm:101",state="disabled"}': 1,
      'pve_ha_service_requested_state{sid="ct:102",state="ignored"}': 1,
      'pve_ha_service_requested_state{sid="vm:103",state="started"}': 1,
    });
  });

  test("before release 9 the group decides on failback; enabled is started", async () => {
    const { families } = await fromAnswers({
      resources: pveFixture("ha/resources-8.4"),
      release: "8.4",
    });
    expect(families("service_config", "service_requested_state")).toEqual({
      [`${CONFIG}{failback="",max_relocate="1",max_restart="1",sid="vm:100",type="vm"}`]: 1,
      [`${CONFIG}{failback="",max_relocate="3",max_restart="2",sid="vm:101",type="vm"}`]: 1,
      [`${CONFIG}{failback="",max_relocate="1",max_restart="1",sid="ct:102",type="ct"}`]: 1,
      'pve_ha_service_requested_state{sid="vm:100",state="started"}': 1,
      'pve_ha_service_requested_state{sid="vm:101",state="stopped"}': 1,
      'pve_ha_service_requested_state{sid="ct:102",state="started"}': 1,
    });
  });

  test("a request of a later release is other; of a sid that is there twice the first is taken", async () => {
    const resources = [
      { sid: "vm:100", type: "vm", state: "paused" },
      { sid: "vm:100", type: "vm", state: "stopped" },
      { sid: "vm:1e3", type: "vm" },
      { type: "vm" },
      null,
    ];
    const { families, leftOut, lost } = await fromAnswers({ resources });
    expect(families("service_requested_state")).toEqual({
      'pve_ha_service_requested_state{sid="vm:100",state="other"}': 1,
    });
    expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1 }, lost: { invalid: 3 } });
  });

  test("the seed's own example gives the seed's samples", async () => {
    const nodes = ["node01", "node02", "node03", "node04", "node05"];
    const { series } = await fromAnswers({
      manager: {
        manager_status: {
          master_node: "node03",
          node_status: Object.fromEntries(nodes.map((node) => [node, "online"])),
          service_status: { "vm:106": { node: "node04", running: 1, state: "started" } },
        },
        lrm_status: Object.fromEntries(
          nodes.map((node) => [
            node,
            node === "node04"
              ? { mode: "active", state: "active", timestamp: 1774016350 }
              : { mode: "active", state: "wait_for_agent_lock", timestamp: 1774016351 },
          ]),
        ),
      },
      resources: [
        { sid: "vm:106", type: "vm", state: "started", max_restart: 2, max_relocate: 2, failback: 1 },
      ],
    });
    for (const node of nodes) {
      expect(series).toMatchObject({
        [`pve_ha_crm_master{node="${node}"}`]: node === "node03" ? 1 : 0,
        [`pve_ha_node_status{node="${node}",status="online"}`]: 1,
        [`pve_ha_lrm_timestamp_seconds{node="${node}"}`]: node === "node04" ? 1774016350 : 1774016351,
        [`pve_ha_lrm_mode{mode="active",node="${node}"}`]: 1,
      });
    }
    expect(series).toMatchObject({
      'pve_ha_service_config{failback="1",max_relocate="2",max_restart="2",sid="vm:106",type="vm"}': 1,
      'pve_ha_service_status{node="node04",sid="vm:106",state="started"}': 1,
    });
  });
});

describe("ha-status: whether nodes can be fenced", () => {
  test.each([
    ["armed", "armed"],
    ["standby", "standby"],
    ["disarming", "disarming"],
    ["disarmed", "disarmed"],
    ["8.4", undefined],
  ])("status/current of %s says %p", async (name, expected) => {
    const { series, families } = await fromAnswers({ current: pveFixture(`ha/current-${name}`) });
    const states = Object.keys(series).filter((key) => key.startsWith("pve_ha_armed_state"));
    expect(states).toHaveLength(expected === undefined ? 0 : 5);
    expect(families("armed_state")).toEqual(
      expected === undefined ? {} : { [`pve_ha_armed_state{state="${expected}"}`]: 1 },
    );
  });

  test("a word of a later release is other", async () => {
    const { families } = await fromAnswers({ current: [{ type: "fencing", "armed-state": "dozing" }] });
    expect(families("armed_state")).toEqual({ 'pve_ha_armed_state{state="other"}': 1 });
  });
});

describe("ha-status: answers that are missing", () => {
  test("each of the three is asked once, and none takes the others along", async () => {
    const round = new FakeRound({
      [MANAGER]: failure("error"),
      [RESOURCES]: pveFixture("ha/resources-defaults"),
      [CURRENT]: pveFixture("ha/current-armed"),
    });
    const { series, lost } = await told(HA_STATUS, round);
    expect(round.asked.toSorted()).toEqual([RESOURCES, CURRENT, MANAGER].toSorted());
    expect(lost).toEqual({ error: 1 });
    expect(Object.keys(series).filter((key) => key.startsWith(CONFIG))).toHaveLength(2);
    expect(series['pve_ha_armed_state{state="armed"}']).toBe(1);
  });

  test("where the configuration is missing, what runs is told all the same", async () => {
    const { families, lost } = await fromAnswers({
      manager: pveFixture("ha/fresh"),
      resources: failure("forbidden"),
    });
    expect(families("service_guest_info")).toEqual({
      'pve_ha_service_guest_info{id="qemu/100",sid="vm:100"}': 1,
      'pve_ha_service_guest_info{id="lxc/102",sid="ct:102"}': 1,
    });
    expect(lost).toEqual({ forbidden: 1 });
  });

  test("containers of the wrong kind are lost", async () => {
    const { series, lost } = await fromAnswers({ manager: [], resources: {}, current: "armed" });
    expect({ series, lost }).toEqual({ series: {}, lost: { invalid: 3 } });
  });
});
