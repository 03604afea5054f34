import { describe, expect, test } from "bun:test";
import { NETWORK_STATE } from "../../../src/pve/collectors/network-state.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const fromRows = (...resources: Readonly<Record<string, unknown>>[]) =>
  told(NETWORK_STATE, new FakeRound({}, { resources }));

const zone = (network: string, status: unknown) => ({
  id: `network/pve1/zone/${network}`,
  type: "network",
  network,
  node: "pve1",
  "network-type": "zone",
  status,
});
const sdn = (name: string, status: unknown) => ({
  id: `sdn/pve1/${name}`,
  type: "sdn",
  sdn: name,
  node: "pve1",
  status,
});

/** The one state that is 1, by id. */
function statesOf(series: Readonly<Record<string, number>>): Record<string, string> {
  const ones = Object.entries(series).filter(([, value]) => value === 1);
  return Object.fromEntries(ones.map(([key]) => /id="(.*?)".*state="(.*?)"/.exec(key)?.slice(1) ?? []));
}

describe("network-state", () => {
  test("exactly one state is 1, and the others are 0", async () => {
    expect((await fromRows(zone("tenants", "ok"))).series).toEqual({
      'pve_network_state{id="network/pve1/zone/tenants",node="pve1",state="available"}': 1,
      'pve_network_state{id="network/pve1/zone/tenants",node="pve1",state="error"}': 0,
      'pve_network_state{id="network/pve1/zone/tenants",node="pve1",state="pending"}': 0,
    });
  });

  test.each([
    ["ok", "available"],
    ["available", "available"],
    ["pending", "pending"],
    ["error", "error"],
    ["unknown", "error"],
    [7, "error"],
  ])("status %p is %s, in a row of either release", async (status, state) => {
    const { series } = await fromRows(zone("tenants", status), sdn("tenants", status));
    expect(statesOf(series)).toEqual({ "network/pve1/zone/tenants": state, "sdn/pve1/tenants": state });
  });

  test("a status that is absent is no error", async () => {
    expect((await fromRows(zone("tenants", undefined), sdn("tenants", null))).series).toEqual({});
  });

  test("the constant zone localnetwork is left out, a fabric of its name is not", async () => {
    const fabric = {
      ...zone("localnetwork", "ok"),
      id: "network/pve1/fabric/localnetwork",
      "network-type": "fabric",
    };
    const { series } = await fromRows(zone("localnetwork", "ok"), sdn("localnetwork", "ok"), fabric);
    expect(statesOf(series)).toEqual({ "network/pve1/fabric/localnetwork": "available" });
  });

  test("a fabric in error on one node", async () => {
    const resources = pveFixture("cluster-resources/fabric-error");
    if (!Array.isArray(resources)) throw new Error("the fixture is no list");
    expect(statesOf((await fromRows(...resources)).series)).toEqual({
      "network/pve1/fabric/ring": "available",
      "network/pve2/fabric/ring": "error",
    });
  });
});
