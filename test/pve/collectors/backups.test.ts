/** Backups of guests: what the storages list, what rights hide, and how tasks ended. */
import { afterEach, beforeEach, describe, expect, setSystemTime, test } from "bun:test";
import { BACKUPS } from "../../../src/pve/collectors/backups.ts";
import { SlowReadings } from "../../../src/pve/slow.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { type Answers, collect, FakeReport, FakeRound, failure } from "../../support/pve-round.ts";

const NOW = 1_774_001_000;
const TASKS = (node: string) =>
  `/nodes/${node}/tasks?typefilter=vzdump&since=${NOW - 7 * 24 * 3600}&limit=500`;
const CONTENT = (node: string, storage: string) => `/nodes/${node}/storage/${storage}/content?content=backup`;
const PERMISSIONS = "/access/permissions";
const ALLOWED = { "/": { "Datastore.AllocateSpace": 1, "VM.Backup": 1 } };

const guest = (id: string, node = "pve1") => {
  const [type, vmid] = id.split("/");
  return { id, type, vmid: Number(vmid), node, status: "running" };
};
const storage = (name: string, node: string, more: object = {}) => ({
  id: `storage/${node}/${name}`,
  type: "storage",
  storage: name,
  node,
  content: "iso,backup",
  shared: 0,
  status: "available",
  ...more,
});
const PBS = storage("pbs", "pve1", { shared: 1 });
const backup = (vmid: number, ctime: number, more: object = {}) => ({
  volid: `x:backup/${vmid}`,
  vmid,
  ctime,
  size: 100,
  format: "vma.zst",
  ...more,
});

interface Cluster {
  readonly resources: readonly Readonly<Record<string, unknown>>[];
  readonly answers?: Answers;
  readonly nodes?: readonly string[];
}

/** As many scrapes as it takes until all has been read, of which the last is told. */
async function settled({ resources, answers = {}, nodes = ["pve1"] }: Cluster, slow = new SlowReadings()) {
  const noTasks = Object.fromEntries(nodes.map((node) => [TASKS(node), []]));
  const given = { resources, nodes, slow };
  const asked: string[] = [];
  for (;;) {
    const round = new FakeRound({ [PERMISSIONS]: ALLOWED, ...noTasks, ...answers }, given);
    const { series, leftOut, lost } = await collect(BACKUPS, round);
    if (round.asked.length === 0) return { series, leftOut, lost, asked };
    asked.push(...round.asked);
  }
}

const ofFamily = (series: Readonly<Record<string, number>>, name: string): Record<string, number> =>
  Object.fromEntries(Object.entries(series).filter(([key]) => key.startsWith(`${name}{`)));

beforeEach(() => {
  setSystemTime(NOW * 1000);
});
afterEach(() => {
  setSystemTime();
});

describe("what storages list", () => {
  const LISTED = {
    resources: [guest("qemu/100"), guest("qemu/101"), guest("lxc/102"), guest("qemu/103"), PBS],
    answers: { [CONTENT("pve1", "pbs")]: pveFixture("others/backups") },
  };

  test("the newest backup of each guest, and 0 backups of one that has none", async () => {
    const { series, leftOut, lost } = await settled(LISTED);
    expect(ofFamily(series, "pve_guest_backups")).toEqual({
      'pve_guest_backups{id="lxc/102",storage="pbs"}': 1,
      'pve_guest_backups{id="qemu/100",storage="pbs"}': 2,
      'pve_guest_backups{id="qemu/101",storage="pbs"}': 1,
      'pve_guest_backups{id="qemu/103",storage="pbs"}': 0,
    });
    expect(ofFamily(series, "pve_guest_last_backup_timestamp_seconds")).toEqual({
      'pve_guest_last_backup_timestamp_seconds{id="lxc/102",storage="pbs"}': 1_773_828_000,
      'pve_guest_last_backup_timestamp_seconds{id="qemu/100",storage="pbs"}': 1_774_000_800,
      'pve_guest_last_backup_timestamp_seconds{id="qemu/101",storage="pbs"}': 1_773_914_400,
    });
    expect(ofFamily(series, "pve_guest_last_backup_size_bytes")).toEqual({
      'pve_guest_last_backup_size_bytes{id="lxc/102",storage="pbs"}': 1_073_741_824,
      'pve_guest_last_backup_size_bytes{id="qemu/100",storage="pbs"}': 34_359_738_368,
      'pve_guest_last_backup_size_bytes{id="qemu/101",storage="pbs"}': 34_359_738_368,
    });
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("a verification is that of the newest backup, and there is one on a backup server alone", async () => {
    const { series } = await settled(LISTED);
    const states = ofFamily(series, "pve_guest_last_backup_verification_state");
    expect(Object.keys(states)).toHaveLength(2 * 3);
    expect(Object.keys(states).filter((key) => states[key] === 1)).toEqual([
      'pve_guest_last_backup_verification_state{id="qemu/100",state="none",storage="pbs"}',
      'pve_guest_last_backup_verification_state{id="qemu/101",state="failed",storage="pbs"}',
    ]);
  });

  test("a guest that there is no more has no series", async () => {
    const { series } = await settled({ ...LISTED, resources: [guest("qemu/101"), PBS] });
    expect(Object.keys(series).filter((key) => /qemu\/100|102/.test(key))).toEqual([]);
  });

  test("a shared storage is asked once, at a node where it is available", async () => {
    const resources = [
      storage("pbs", "pve1", { shared: "1", status: "unknown" }),
      { ...PBS, ...storage("pbs", "pve2", { shared: "1" }) },
    ];
    const answers = { [CONTENT("pve2", "pbs")]: [] };
    const { asked, series, leftOut, lost } = await settled({ resources, answers, nodes: ["pve1", "pve2"] });
    expect(asked.filter((path) => path.includes("/content"))).toEqual([CONTENT("pve2", "pbs")]);
    expect(ofFamily(series, "pve_backup_listing_timestamp_seconds")).toEqual({
      'pve_backup_listing_timestamp_seconds{node="",storage="pbs"}': NOW,
    });
    expect({ leftOut, lost }).toEqual({ leftOut: { unreachable: 1 }, lost: {} });
  });

  test("local storages of one name are counted together, and say of their own guests what is missing", async () => {
    const resources = [
      guest("qemu/100", "pve1"),
      guest("qemu/101", "pve2"),
      guest("qemu/102", "pve2"),
      guest("qemu/103", "pve9"),
      storage("local", "pve1"),
      storage("local", "pve2"),
    ];
    const answers = {
      [CONTENT("pve1", "local")]: [backup(100, 10), backup(101, 30, { size: 7 })],
      [CONTENT("pve2", "local")]: [backup(101, 20)],
    };
    const { series } = await settled({ resources, answers, nodes: ["pve1", "pve2"] });
    expect(ofFamily(series, "pve_guest_backups")).toEqual({
      'pve_guest_backups{id="qemu/100",storage="local"}': 1,
      'pve_guest_backups{id="qemu/101",storage="local"}': 2,
      'pve_guest_backups{id="qemu/102",storage="local"}': 0,
    });
    expect(series['pve_guest_last_backup_timestamp_seconds{id="qemu/101",storage="local"}']).toBe(30);
    expect(series['pve_guest_last_backup_size_bytes{id="qemu/101",storage="local"}']).toBe(7);
    expect(ofFamily(series, "pve_backup_listing_timestamp_seconds")).toEqual({
      'pve_backup_listing_timestamp_seconds{node="pve1",storage="local"}': NOW,
      'pve_backup_listing_timestamp_seconds{node="pve2",storage="local"}': NOW,
    });
  });

  test("storages for backups on nodes that are asked, and no others", async () => {
    const resources = [
      storage("images", "pve1", { content: "images,rootdir" }),
      storage("contentless", "pve1", { content: undefined }),
      storage("away", "pve9"),
    ];
    const { asked, leftOut, lost } = await settled({ resources });
    expect(asked).toEqual([TASKS("pve1")]);
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test.each(["../../access", "a/b", "a%2e", "a?x=1", "a\nb", "", 7])(
    "the storage name %p enters no URL",
    async (name) => {
      const { asked, lost } = await settled({ resources: [{ ...PBS, storage: name }] });
      expect(asked).toEqual([TASKS("pve1")]);
      expect(lost).toEqual({ invalid: 1 });
    },
  );

  test("rows that cannot be used are lost; a backup of no guest is not missed", async () => {
    const rows = [
      null,
      "row",
      backup(99, 10),
      { ...backup(100, 10), ctime: "noon" },
      { ...backup(100, 10), vmid: "100 " },
      { volid: "pbs:backup/of-nobody", ctime: 10 },
      { ...backup(100, 20), vmid: "100", size: "1e400" },
    ];
    const cluster = { resources: [guest("qemu/100"), PBS], answers: { [CONTENT("pve1", "pbs")]: rows } };
    const { series, lost } = await settled(cluster);
    expect(ofFamily(series, "pve_guest_backups")).toEqual({
      'pve_guest_backups{id="qemu/100",storage="pbs"}': 1,
    });
    expect(ofFamily(series, "pve_guest_last_backup_size_bytes")).toEqual({});
    expect(lost).toEqual({ invalid: 5 });
  });
});

describe("what rights hide", () => {
  const cluster = (permissions: unknown): Cluster => ({
    resources: [guest("qemu/100"), guest("qemu/101"), PBS],
    answers: { [PERMISSIONS]: permissions, [CONTENT("pve1", "pbs")]: [] },
  });

  test("without the right on the storage its empty list is not taken for no backups", async () => {
    const { series, lost, asked } = await settled(
      cluster({ "/": { "Sys.Audit": 1, "VM.Backup": 1, "Datastore.Audit": 1 } }),
    );
    expect({ series, lost }).toEqual({ series: {}, lost: { forbidden: 1 } });
    expect(asked).not.toContain(CONTENT("pve1", "pbs"));
  });

  test("without the right on any guest neither", async () => {
    const { series, lost } = await settled(cluster({ "/": { "Datastore.AllocateSpace": 1 } }));
    expect({ series, lost }).toEqual({ series: {}, lost: { forbidden: 1 } });
  });

  test("of a guest on which it is missing nothing is said, in every scrape, and of the others all", async () => {
    const permissions = { "/": { "Datastore.AllocateSpace": 1 }, "/vms/100": { "VM.Backup": 1 } };
    const { series, lost } = await settled(cluster(permissions));
    expect(ofFamily(series, "pve_guest_backups")).toEqual({
      'pve_guest_backups{id="qemu/100",storage="pbs"}': 0,
    });
    expect(lost).toEqual({ forbidden: 1 });
  });

  test("what is missing where is told, for the remedy", async () => {
    const report = new FakeReport();
    const failures: unknown[] = [];
    report.failed = (error) => void failures.push(error);
    const { resources, answers } = cluster({ "/": { "VM.Backup": 1 } });
    const round = new FakeRound({ ...answers, [TASKS("pve1")]: [] }, { resources, nodes: ["pve1"] });
    await BACKUPS.collect(round, report);
    expect(failures).toMatchObject([
      { reason: "forbidden", missing: { privilege: "Datastore.AllocateSpace", path: "/storage/pbs" } },
    ]);
  });

  test("rights that cannot be read are a failure", async () => {
    const { series, lost } = await settled(cluster(failure("error")));
    expect({ series, lost }).toEqual({ series: {}, lost: { error: 1 } });
  });
});

describe("how tasks ended", () => {
  const GUESTS = ["100", "101", "102", "103"].map((vmid) => guest(`qemu/${vmid}`));

  test("the last of each result on the node; of guests that had a task to themselves, whether it went well", async () => {
    const answers = { [TASKS("pve1")]: pveFixture("others/tasks") };
    const { series, leftOut, lost } = await settled({ resources: GUESTS, answers });
    expect({ series, leftOut, lost }).toEqual({
      leftOut: {},
      lost: {},
      series: {
        'pve_backup_task_last_end_timestamp_seconds{node="pve1",result="ok"}': 1_773_968_700,
        'pve_backup_task_last_end_timestamp_seconds{node="pve1",result="warnings"}': 1_773_968_700,
        'pve_backup_task_last_end_timestamp_seconds{node="pve1",result="failed"}': 1_773_970_000,
        'pve_guest_last_backup_success{id="qemu/100"}': 1,
        'pve_guest_last_backup_success{id="qemu/101"}': 1,
        'pve_guest_last_backup_success{id="qemu/102"}': 0,
      },
    });
  });

  test("of a guest that moved, the last task on any node counts", async () => {
    const task = (end: number, status: string) => [{ id: "100", endtime: end, status }];
    const answers = { [TASKS("pve1")]: task(20, "OK"), [TASKS("pve2")]: task(10, "job errors") };
    const { series } = await settled({ resources: GUESTS, answers, nodes: ["pve1", "pve2"] });
    expect(series['pve_guest_last_backup_success{id="qemu/100"}']).toBe(1);
  });

  test("rows that cannot be used are lost, and a task that runs is not", async () => {
    const rows = [
      null,
      { id: "100", endtime: "noon", status: "OK" },
      { id: "100", endtime: 10 },
      { id: "100", starttime: 10 },
    ];
    const { series, lost } = await settled({ resources: GUESTS, answers: { [TASKS("pve1")]: rows } });
    expect({ series, lost }).toEqual({ series: {}, lost: { invalid: 3 } });
  });

  test("a node that does not tell does not take the other along", async () => {
    const answers = {
      [TASKS("pve1")]: failure("unreachable"),
      [TASKS("pve2")]: [{ id: "", endtime: "10", status: "OK" }],
    };
    const { series, lost } = await settled({ resources: GUESTS, answers, nodes: ["pve1", "pve2"] });
    expect(series).toEqual({ 'pve_backup_task_last_end_timestamp_seconds{node="pve2",result="ok"}': 10 });
    expect(lost).toEqual({ unreachable: 1 });
  });
});

describe("the readings", () => {
  test("are made one in a scrape, and each again after 15 minutes", async () => {
    let ms = 0;
    const slow = new SlowReadings({ clock: { now: () => ms, unixMs: () => Date.now() } });
    const cluster = {
      resources: [guest("qemu/100"), PBS],
      answers: { [CONTENT("pve1", "pbs")]: [] },
    };
    const all = [PERMISSIONS, CONTENT("pve1", "pbs"), TASKS("pve1")].sort();
    expect((await settled(cluster, slow)).asked.sort()).toEqual(all);
    ms = 15 * 60_000 - 1;
    expect((await settled(cluster, slow)).asked).toEqual([]);
    ms++;
    expect((await settled(cluster, slow)).asked.sort()).toEqual(all);
  });

  test("are told by another process that was handed them", async () => {
    const cluster = {
      resources: [guest("qemu/100"), PBS],
      answers: {
        [CONTENT("pve1", "pbs")]: pveFixture("others/backups"),
        [TASKS("pve1")]: pveFixture("others/tasks"),
      },
    };
    const first = new SlowReadings();
    const told = await settled(cluster, first);
    const second = new SlowReadings();
    second.restore(JSON.parse(JSON.stringify(first.saved())));
    expect(await settled(cluster, second)).toEqual({ ...told, asked: [] });
  });

  test("the listing's time outlives the listing", async () => {
    let ms = 0;
    const slow = new SlowReadings({ clock: { now: () => ms, unixMs: () => Date.now() } });
    const resources = [guest("qemu/100"), PBS];
    await settled({ resources, answers: { [CONTENT("pve1", "pbs")]: [backup(100, 10)] } }, slow);
    ms = 30 * 60_000;
    const { series } = await settled(
      { resources, answers: { [CONTENT("pve1", "pbs")]: failure("error") } },
      slow,
    );
    expect(series).toEqual({ 'pve_backup_listing_timestamp_seconds{node="",storage="pbs"}': NOW });
  });

  test("without the shared rows the collector has failed", async () => {
    const round = new FakeRound({}, { resources: failure("too_large") });
    expect((await collect(BACKUPS, round)).lost).toEqual({ too_large: 1 });
  });
});
