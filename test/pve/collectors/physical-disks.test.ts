import { describe, expect, test } from "bun:test";
import { PHYSICAL_DISKS } from "../../../src/pve/collectors/physical-disks.ts";
import { PveFailure } from "../../../src/pve/failure.ts";
import { SlowReadings } from "../../../src/pve/slow.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { type Answers, FakeRound, failure, type Given } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const LIST = "/nodes/pve1/disks/list";
const LIVE = `${LIST}?skipsmart=1`;
const HOUR_MS = 3_600_000;
const NOW = 1_774_000_000;

const hourly = { smartIntervalMs: HOUR_MS, excludeNodes: [] };

/** A target whose scrapes go on from each other. */
function target() {
  const clock = { ms: 0, now: () => clock.ms, unixMs: () => NOW * 1000 + clock.ms };
  const slow = new SlowReadings({ clock });
  const scrape = async (answers: Answers, given: Given = {}) => {
    const round = new FakeRound(answers, { nodes: ["pve1"], slow, ...given });
    const { series, leftOut, lost } = await told(PHYSICAL_DISKS, round);
    /** `/dev/sda` → value. */
    const of = (family: string) =>
      Object.fromEntries(
        Object.entries(series)
          .filter(([key]) => key.startsWith(`pve_physical_disk_${family}{`))
          .map(([key, value]) => [/devpath="([^"]*)"/.exec(key)?.[1], value]),
      );
    /** `/dev/sda` → the state that holds. */
    const states = () =>
      Object.fromEntries(
        Object.entries(series).flatMap(([key, value]) => {
          const [, devpath = "", state = ""] =
            /health_state\{devpath="([^"]*)",node="pve1",state="([^"]*)"/.exec(key) ?? [];
          return value === 1 && state !== "" ? [[devpath, state]] : [];
        }),
      );
    return { series, leftOut, lost, of, states, asked: round.asked };
  };
  return { clock, slow, scrape };
}

const FIXTURES = { [LIVE]: pveFixture("disks/skipsmart"), [LIST]: pveFixture("disks/list") };
const disk = (over: Readonly<Record<string, unknown>> = {}) => ({
  ...{ devpath: "/dev/sda", model: "M", serial: "S", type: "ssd", size: 1000, used: "LVM", osdid: -1 },
  ...{ health: "PASSED", wearout: 97, "osdid-list": null },
  ...over,
});
const asleep = (row: ReturnType<typeof disk>) => ({ ...row, health: "UNKNOWN", wearout: "N/A" });
const answersOf = (...rows: ReturnType<typeof disk>[]) => ({ [LIVE]: rows.map(asleep), [LIST]: rows });

describe("physical-disks: what the list says", () => {
  test("the seed's own example gives the seed's samples", async () => {
    const row = {
      ...{ devpath: "/dev/nvme0n1", health: "PASSED", wearout: 100, size: 7681501126656 },
      ...{ model: "VV007680KYFFL", serial: "ADD3NA317I0104K2N", type: "nvme", used: "LVM" },
      ...{ osdid: "8", "osdid-list": ["8"] },
    };
    const { series, leftOut, lost } = await target().scrape({ [LIVE]: [row], [LIST]: [row] });
    const drive = 'model="VV007680KYFFL",node="pve1",serial="ADD3NA317I0104K2N",type="nvme"';
    expect({ series, leftOut, lost }).toEqual({
      series: {
        [`pve_physical_disk_health{devpath="/dev/nvme0n1",${drive}}`]: 1,
        'pve_physical_disk_wearout_remaining_ratio{devpath="/dev/nvme0n1",node="pve1"}': 1,
        'pve_physical_disk_size_bytes{devpath="/dev/nvme0n1",node="pve1"}': 7_681_501_126_656,
        [`pve_physical_disk_info{devpath="/dev/nvme0n1",${drive},used="LVM"}`]: 1,
        'pve_physical_disk_osd{devpath="/dev/nvme0n1",node="pve1",osd="osd.8"}': 1,
        'pve_physical_disk_health_state{devpath="/dev/nvme0n1",node="pve1",state="passed"}': 1,
        'pve_physical_disk_health_state{devpath="/dev/nvme0n1",node="pve1",state="disabled"}': 0,
        'pve_physical_disk_health_state{devpath="/dev/nvme0n1",node="pve1",state="unknown"}': 0,
        'pve_physical_disk_health_state{devpath="/dev/nvme0n1",node="pve1",state="failed"}': 0,
        'pve_physical_disk_smart_timestamp_seconds{node="pve1"}': NOW,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("health in every wording: PASSED and OK are health, whatever is not known is a failure", async () => {
    const { of, states, leftOut, lost } = await target().scrape(FIXTURES);
    expect(states()).toEqual({
      "/dev/nvme0n1": "passed",
      "/dev/sda": "passed",
      "/dev/sdb": "passed",
      "/dev/sdc": "passed",
      "/dev/sdd": "failed",
      "/dev/sde": "passed",
      "/dev/sdf": "disabled",
      "/dev/sdg": "passed",
      "/dev/sdh": "failed",
      "/dev/sdi": "unknown",
      "/dev/sdj": "unknown",
      "/dev/cciss/c0d0": "unknown",
    });
    expect(of("health")).toEqual(
      Object.fromEntries(
        Object.entries(states()).map(([devpath, state]) => [devpath, state === "passed" ? 1 : 0]),
      ),
    );
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("wear as a number, a text, a decimal, negative and N/A", async () => {
    const { of } = await target().scrape(FIXTURES);
    expect(of("wearout_remaining_ratio")).toEqual({
      "/dev/nvme0n1": 1,
      "/dev/sda": 0.97,
      "/dev/sdb": 0.975,
      "/dev/sdc": 0,
      "/dev/sdd": 0,
    });
  });

  test("OSDs as a list of texts, a number, a text, none", async () => {
    const { series } = await target().scrape(FIXTURES);
    expect(Object.keys(series).filter((key) => key.includes("_osd{"))).toEqual([
      'pve_physical_disk_osd{devpath="/dev/sda",node="pve1",osd="osd.8"}',
      'pve_physical_disk_osd{devpath="/dev/sda",node="pve1",osd="osd.9"}',
      'pve_physical_disk_osd{devpath="/dev/sdb",node="pve1",osd="osd.10"}',
      'pve_physical_disk_osd{devpath="/dev/sdc",node="pve1",osd="osd.11"}',
    ]);
  });

  test("padded texts are trimmed, and a free disk is used for nothing", async () => {
    const { series } = await target().scrape(FIXTURES);
    expect(series).toMatchObject({
      'pve_physical_disk_info{devpath="/dev/sdi",model="Stick",node="pve1",serial="unknown",type="usb",used=""}': 1,
    });
  });

  test("partitions are no disks", async () => {
    const answer = pveFixture("disks/with-partitions");
    const { of, leftOut, lost } = await target().scrape({ [LIVE]: answer, [LIST]: answer });
    expect(Object.keys(of("info"))).toEqual(["/dev/nvme0n1"]);
    expect({ leftOut, lost }).toEqual({ leftOut: {}, lost: {} });
  });

  test("of a devpath that is there twice the first is taken", async () => {
    const answer = pveFixture("hostile/same-devpath-twice");
    const { of, leftOut, lost } = await target().scrape({ [LIVE]: answer, [LIST]: answer });
    expect(of("wearout_remaining_ratio")).toEqual({ "/dev/nvme0n1": 1 });
    expect({ leftOut, lost }).toEqual({ leftOut: { duplicate: 1 }, lost: {} });
  });

  test("rows without a path, and no rows at all, are dropped", async () => {
    const rows = [null, "sda", disk({ devpath: "../../access" }), disk({ devpath: null }), disk()];
    const { of, lost } = await target().scrape({ [LIVE]: rows, [LIST]: rows });
    expect(Object.keys(of("info"))).toEqual(["/dev/sda"]);
    expect(lost).toEqual({ invalid: 4 });
  });

  test("what is no number, no OSD and no word of health is counted in every scrape", async () => {
    const odd = disk({ size: "big", wearout: "worn", health: { a: 1 }, "osdid-list": ["x", "7"] });
    const { scrape } = target();
    for (const _ of [1, 2]) {
      const { series, states, leftOut, lost, of } = await scrape({
        [LIVE]: [{ ...odd, health: "UNKNOWN", wearout: "N/A" }],
        [LIST]: [odd],
      });
      expect(states()).toEqual({ "/dev/sda": "unknown" });
      expect(series).toMatchObject({
        'pve_physical_disk_osd{devpath="/dev/sda",node="pve1",osd="osd.7"}': 1,
      });
      expect([of("size_bytes"), of("wearout_remaining_ratio")]).toEqual([{}, {}]);
      expect({ leftOut, lost }).toEqual({ leftOut: { invalid: 4 }, lost: {} });
    }
  });

  test("an answer that is no list is lost", async () => {
    expect(await target().scrape({ [LIVE]: {} })).toMatchObject({ series: {}, lost: { invalid: 1 } });
  });
});

describe("physical-disks: between SMART readings", () => {
  test("drives are not asked again before the interval is over, and their health stays", async () => {
    const { clock, scrape } = target();
    expect((await scrape(FIXTURES)).asked).toEqual([LIVE, LIST]);
    clock.ms = HOUR_MS - 1;
    const second = await scrape(FIXTURES);
    expect(second.asked).toEqual([LIVE]);
    expect(Object.keys(second.of("health"))).toHaveLength(12);
    expect(second.series['pve_physical_disk_smart_timestamp_seconds{node="pve1"}']).toBe(NOW);
    clock.ms = HOUR_MS;
    expect((await scrape(FIXTURES)).asked).toEqual([LIVE, LIST]);
  });

  test("health comes of a SMART reading only, never of a list without one", async () => {
    const { series } = await target().scrape(
      { ...FIXTURES, [LIST]: () => new Promise(() => {}) },
      { end: performance.now() + 1 },
    );
    const families = new Set(Object.keys(series).map((key) => key.split("{")[0]));
    expect([...families].toSorted()).toEqual([
      "pve_physical_disk_info",
      "pve_physical_disk_osd",
      "pve_physical_disk_size_bytes",
    ]);
  });

  test("a replaced drive has no old health, and its node is read at once", async () => {
    const { scrape } = target();
    await scrape(answersOf(disk()));
    const after = disk({ serial: "OTHER", wearout: 100 });
    const late = await scrape(
      { [LIVE]: [asleep(after)], [LIST]: () => new Promise(() => {}) },
      { end: performance.now() + 1 },
    );
    expect(late.asked).toEqual([LIVE, LIST]);
    expect([late.of("health"), late.of("wearout_remaining_ratio")]).toEqual([{}, {}]);
    expect(late.of("info")).toEqual({ "/dev/sda": 1 });
  });

  test("a replaced drive has its node read as a whole, also two of one serial that changed places", async () => {
    const { scrape } = target();
    await scrape(FIXTURES);
    const changed = pveFixture("disks/changed");
    const { of, asked } = await scrape({ [LIVE]: changed, [LIST]: changed });
    expect(asked).toEqual([LIVE, LIST]);
    expect(of("wearout_remaining_ratio")).toEqual({ "/dev/nvme0n1": 1, "/dev/sda": 0.975, "/dev/sdb": 0.97 });
  });

  test("a drive that has gone is gone at once, and nobody is asked for it", async () => {
    const { scrape } = target();
    const other = disk({ devpath: "/dev/sdb", serial: "T" });
    await scrape(answersOf(disk(), other));
    const { of, asked } = await scrape(answersOf(other));
    expect(asked).toEqual([LIVE]);
    expect(of("health")).toEqual({ "/dev/sdb": 1 });
  });

  test("values vanish twice the interval after the reading, the timestamp stays", async () => {
    const { clock, scrape } = target();
    await scrape(answersOf(disk()));
    clock.ms = HOUR_MS;
    const failing = { ...answersOf(disk()), [LIST]: failure("forbidden", LIST) };
    expect(await scrape(failing).then(({ of, lost }) => [of("health"), lost])).toEqual([
      { "/dev/sda": 1 },
      { forbidden: 1 },
    ]);
    clock.ms = 2 * HOUR_MS;
    const { of, series, lost } = await scrape(failing);
    expect([of("health"), of("wearout_remaining_ratio"), lost]).toEqual([{}, {}, { forbidden: 1 }]);
    expect(of("size_bytes")).toEqual({ "/dev/sda": 1000 });
    expect(series['pve_physical_disk_smart_timestamp_seconds{node="pve1"}']).toBe(NOW);
  });

  test("the timestamp of a node that is not there any more stays, also where no node can be asked", async () => {
    const { scrape } = target();
    await scrape(answersOf(disk()));
    const stays = { 'pve_physical_disk_smart_timestamp_seconds{node="pve1"}': NOW };
    expect((await scrape({}, { nodes: [] })).series).toEqual(stays);
    const { series, lost } = await scrape({}, { nodes: failure("error") });
    expect({ series, lost }).toEqual({ series: stays, lost: { error: 1 } });
  });

  test("a list that takes another node more than 30 s is a timeout, and is tried again after 2 min", async () => {
    const { clock, scrape } = target();
    const hangs = new PveFailure("unreachable", LIST, "596", { status: 596 });
    const first = await scrape({ ...answersOf(disk()), [LIST]: hangs });
    expect([first.of("health"), first.of("info"), first.lost]).toEqual([
      {},
      { "/dev/sda": 1 },
      { timeout: 1 },
    ]);
    clock.ms = 119_999;
    expect((await scrape(answersOf(disk()))).asked).toEqual([LIVE]);
    clock.ms = 120_000;
    const second = await scrape(answersOf(disk()));
    expect([second.of("health"), second.lost]).toEqual([{ "/dev/sda": 1 }, {}]);
  });

  test("nodes are read one in a scrape", async () => {
    const { scrape } = target();
    const answers = {
      ...answersOf(disk()),
      "/nodes/pve2/disks/list?skipsmart=1": [asleep(disk())],
      "/nodes/pve2/disks/list": [disk()],
    };
    const nodes = ["pve1", "pve2"];
    const smart = (asked: readonly string[]) => asked.filter((path) => !path.includes("skipsmart"));
    const read: string[][] = [];
    for (let count = 0; count < 3; count++) read.push(smart((await scrape(answers, { nodes })).asked));
    expect(read).toEqual([[LIST], ["/nodes/pve2/disks/list"], []]);
  });
});

describe("physical-disks: settings", () => {
  test("an interval of 0 is one full call every scrape", async () => {
    const { scrape } = target();
    const options = { physicalDisks: { ...hourly, smartIntervalMs: 0 } };
    for (const wearout of [97, 96]) {
      const { of, asked, series } = await scrape({ [LIST]: [disk({ wearout })] }, { options });
      expect(asked).toEqual([LIST]);
      expect([of("health"), of("wearout_remaining_ratio")]).toEqual([
        { "/dev/sda": 1 },
        { "/dev/sda": wearout / 100 },
      ]);
      expect(series['pve_physical_disk_smart_timestamp_seconds{node="pve1"}']).toBeGreaterThan(NOW);
    }
  });

  test("an interval of never gives neither health nor wear, and asks no drive", async () => {
    const options = { physicalDisks: { ...hourly, smartIntervalMs: "never" as const } };
    const { series, asked } = await target().scrape(answersOf(disk()), { options });
    expect(asked).toEqual([LIVE]);
    expect(Object.keys(series).map((key) => key.split("{")[0])).toEqual([
      "pve_physical_disk_info",
      "pve_physical_disk_size_bytes",
    ]);
  });

  test("an excluded node is not asked at all", async () => {
    const options = { physicalDisks: { ...hourly, excludeNodes: ["pve1"] } };
    expect(await target().scrape({}, { options })).toMatchObject({
      asked: [],
      series: {},
      lost: {},
      leftOut: {},
    });
  });
});
