import { expect, test } from "bun:test";
import { CONFIG } from "../../../src/pve/collectors/config.ts";
import { collect, FakeRound, failure, type Given } from "../../support/pve-round.ts";

const guest = (type: "qemu" | "lxc", vmid: number, node = "pve1") => ({
  type,
  id: `${type}/${vmid}`,
  vmid,
  node,
  status: "running",
});
const config = (answers: Readonly<Record<string, unknown>>, given: Given) => {
  const round = new FakeRound(answers, given);
  return collect(CONFIG, round).then((collected) => ({ ...collected, round }));
};

test("onboot is exported where the configuration has the key", async () => {
  const answers = {
    "/nodes/pve1/lxc/103/config": { onboot: "1" },
    "/nodes/pve1/qemu/100/config": { onboot: 1 },
    "/nodes/pve1/qemu/101/config": { onboot: 0 },
    "/nodes/pve2/qemu/102/config": { name: "x" },
  };
  const resources = [guest("qemu", 100), guest("qemu", 101), guest("qemu", 102, "pve2"), guest("lxc", 103)];
  const { series, round } = await config(answers, { resources });
  expect(series).toEqual({
    'pve_onboot_status{id="lxc/103",node="pve1",type="lxc"}': 1,
    'pve_onboot_status{id="qemu/100",node="pve1",type="qemu"}': 1,
    'pve_onboot_status{id="qemu/101",node="pve1",type="qemu"}': 0,
  });
  expect(round.asked.sort()).toEqual(Object.keys(answers));
  expect(round.callOptions).toContainEqual({ node: "pve2" });
});

test("guests on nodes that are not asked, and what is no guest, are not asked for", async () => {
  const resources = [
    guest("qemu", 100, "pve3"),
    { type: "storage", id: "storage/pve1/a", storage: "a", node: "pve1" },
    { type: "node", id: "node/pve1", node: "pve1" },
    { type: "pool", id: "/pool/x", pool: "x" },
  ];
  const { round } = await config({}, { resources, nodes: ["pve1"] });
  expect(round.asked).toEqual([]);
});

test("a guest that has gone since is left out, and that is no failure", async () => {
  const answers = {
    "/nodes/pve1/qemu/100/config": failure("gone"),
    "/nodes/pve1/qemu/101/config": { onboot: 1 },
  };
  const { series, leftOut, lost } = await config(answers, {
    resources: [guest("qemu", 100), guest("qemu", 101)],
  });
  expect(Object.keys(series)).toEqual(['pve_onboot_status{id="qemu/101",node="pve1",type="qemu"}']);
  expect({ leftOut, lost }).toEqual({ leftOut: { gone: 1 }, lost: {} });
});

test.each(["forbidden", "timeout", "error"] as const)(
  "a call that ends as %s costs its guest alone",
  async (reason) => {
    const answers = {
      "/nodes/pve1/qemu/100/config": failure(reason),
      "/nodes/pve1/qemu/101/config": { onboot: 1 },
    };
    const { series, lost } = await config(answers, { resources: [guest("qemu", 100), guest("qemu", 101)] });
    expect(Object.keys(series)).toHaveLength(1);
    expect(lost).toEqual({ [reason]: 1 });
  },
);

test("with more guests than the limit nothing is asked, and that is no failure", async () => {
  const given = {
    resources: [guest("qemu", 100), guest("qemu", 101), guest("lxc", 102)],
    options: { configGuestLimit: 2 },
  };
  const { series, leftOut, lost, round } = await config({}, given);
  expect({ series, leftOut, lost }).toEqual({ series: {}, leftOut: { limit: 3 }, lost: {} });
  expect(round.asked).toEqual([]);
});

test("with as many guests as the limit all are asked", async () => {
  const given = { resources: [guest("qemu", 100)], options: { configGuestLimit: 1 } };
  const { series } = await config({ "/nodes/pve1/qemu/100/config": { onboot: 1 } }, given);
  expect(Object.keys(series)).toHaveLength(1);
});

test.each([["yes"], [{}]])("onboot %p is no number: counted, and without a sample", async (onboot) => {
  const answers = { "/nodes/pve1/qemu/100/config": { onboot } };
  const { series, leftOut } = await config(answers, { resources: [guest("qemu", 100)] });
  expect({ series, leftOut }).toEqual({ series: {}, leftOut: { invalid: 1 } });
});

test("where nobody says which nodes there are, this collector fails", async () => {
  const { lost } = await config({}, { resources: [guest("qemu", 100)], nodes: failure("error") });
  expect(lost).toEqual({ error: 1 });
});
