import { describe, expect, test } from "bun:test";
import { GUEST_FS } from "../../../src/pve/collectors/guest-fs.ts";
import { PveFailure } from "../../../src/pve/failure.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { type Answers, FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const guest = (id: string, node: string, status = "running") => {
  const [type, vmid] = id.split("/");
  return { id, type, vmid: Number(vmid), node, status };
};
const PATH = "/nodes/pve1/qemu/100/agent/get-fsinfo";
const VM = guest("qemu/100", "pve1");
const OTHER = guest("qemu/101", "pve1");
const ROOT = { name: "sda1", mountpoint: "/", type: "ext4", "total-bytes": 100, "used-bytes": 40 };
const LABELS = 'disk="",fstype="ext4",id="qemu/100",mountpoint="/",name="sda1",node="pve1"';

const fromAnswers = (answers: Answers, resources = [VM]) =>
  told(GUEST_FS, new FakeRound(answers, { resources, nodes: ["pve1"] }));
const refused = (status: number, phrase: string) =>
  new PveFailure("error", PATH, "refused", { status, phrase });

describe("guest-fs", () => {
  test("file systems with their disks in order; one without a size has no sample", async () => {
    const { series, leftOut, lost } = await fromAnswers({ [PATH]: pveFixture("others/fsinfo") });
    const root = '{disk="/dev/sda",fstype="ext4",id="qemu/100",mountpoint="/",name="sda1",node="pve1"}';
    const data =
      '{disk="/dev/sdb,/dev/sdc",fstype="xfs",id="qemu/100",mountpoint="/srv",name="vg-data",node="pve1"}';
    expect(series).toEqual({
      [`pve_qga_fs_size_bytes${root}`]: 33_553_076_224,
      [`pve_qga_fs_used_bytes${root}`]: 8_388_608_000,
      [`pve_qga_fs_size_bytes${data}`]: 107_374_182_400,
      [`pve_qga_fs_used_bytes${data}`]: 53_687_091_200,
    });
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("running VMs on nodes that are asked, and no others", async () => {
    const resources = [
      VM,
      guest("qemu/101", "pve1", "stopped"),
      guest("lxc/102", "pve1"),
      guest("qemu/103", "pve9"),
    ];
    const round = new FakeRound({ [PATH]: { result: [] } }, { resources, nodes: ["pve1"] });
    await told(GUEST_FS, round);
    expect(round.asked).toEqual([PATH]);
    expect(round.callOptions).toEqual([{ node: "pve1", limitMs: 2000 }]);
  });

  test.each([
    ["no agent is set up", refused(500, "No QEMU guest agent configured")],
    ["the agent does not run", refused(500, "QEMU guest agent is not running")],
    ["500 for any other cause", refused(500, "got no answer")],
  ])("%s: no failure", async (_what, answer) => {
    expect(await fromAnswers({ [PATH]: answer })).toEqual({ series: {}, leftOut: {}, lost: {} });
  });

  test("an agent that does not answer within its limit is left out, and the others are told", async () => {
    const other = "/nodes/pve1/qemu/101/agent/get-fsinfo";
    const answers = { [PATH]: failure("timeout"), [other]: { result: [ROOT] } };
    const { series, leftOut, lost } = await fromAnswers(answers, [VM, OTHER]);
    expect(Object.keys(series)).toHaveLength(2);
    expect({ leftOut, lost }).toEqual({ leftOut: { timeout: 1 }, lost: {} });
  });

  test("one that the scrape could not wait for is a failure", async () => {
    const given = { resources: [VM], nodes: ["pve1"], end: performance.now() - 1 };
    const { lost } = await told(GUEST_FS, new FakeRound({ [PATH]: failure("timeout") }, given));
    expect(lost).toEqual({ timeout: 1 });
  });

  test("a VM that has gone in between is no failure", async () => {
    const gone = new PveFailure("gone", PATH, "gone", { status: 500 });
    expect(await fromAnswers({ [PATH]: gone })).toEqual({ series: {}, leftOut: { gone: 1 }, lost: {} });
  });

  test.each([
    ["403", failure("forbidden"), "forbidden"],
    ["a node that the endpoint cannot reach", failure("unreachable"), "unreachable"],
    ["596", new PveFailure("timeout", PATH, "broken pipe", { status: 596 }), "timeout"],
    ["an answer that is no object", [], "invalid"],
    ["a result that is no list", { result: { error: "x" } }, "invalid"],
  ])("%s is a failure", async (_what, answer, reason) => {
    expect(await fromAnswers({ [PATH]: answer })).toEqual({ series: {}, leftOut: {}, lost: { [reason]: 1 } });
  });

  test("rows of no kind are lost, the same file system twice and texts too long are counted", async () => {
    const rows = [ROOT, { ...ROOT, "total-bytes": 7 }, null, { ...ROOT, mountpoint: `/${"x".repeat(2000)}` }];
    const { series, leftOut, lost } = await fromAnswers({ [PATH]: { result: rows } });
    expect(series[`pve_qga_fs_size_bytes{${LABELS}}`]).toBe(100);
    expect(Object.keys(series)).toHaveLength(4);
    expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1, invalid: 1 }, lost: { invalid: 1 } });
  });

  test("quotes and line ends of a guest stay within their label", async () => {
    const mountpoint = '/a"} 1\npve_up{id="x';
    const { series } = await fromAnswers({ [PATH]: { result: [{ ...ROOT, mountpoint }] } });
    expect(Object.keys(series).every((key) => key.startsWith("pve_qga_fs_"))).toBe(true);
    expect(Object.keys(series)[0]).toContain(JSON.stringify(mountpoint));
  });
});
