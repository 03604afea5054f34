import { describe, expect, test } from "bun:test";
import { CERTIFICATES } from "../../../src/pve/collectors/certificates.ts";
import { SlowReadings } from "../../../src/pve/slow.ts";
import { pveFixture } from "../../support/pve-fixtures.ts";
import { FakeRound, failure } from "../../support/pve-round.ts";
import { told } from "./told.ts";

const PATH = "/nodes/pve1/certificates/info";
const fromAnswer = (answer: unknown, slow = new SlowReadings()) =>
  told(CERTIFICATES, new FakeRound({ [PATH]: answer }, { nodes: ["pve1"], slow }));

const HOUR_MS = 3_600_000;

function readingsAt(start: { ms: number }): SlowReadings {
  return new SlowReadings({ clock: { now: () => start.ms, unixMs: () => start.ms } });
}

describe("certificates", () => {
  test("when each certificate ends, for whom it is and by whom", async () => {
    expect(await fromAnswer(pveFixture("others/certificates"))).toEqual({
      series: {
        'pve_certificate_not_after_timestamp_seconds{filename="pve-root-ca.pem",node="pve1"}': 2_057_824_000,
        'pve_certificate_not_after_timestamp_seconds{filename="pve-ssl.pem",node="pve1"}': 1_805_536_000,
        'pve_certificate_not_after_timestamp_seconds{filename="pveproxy-ssl.pem",node="pve1"}': 1_774_864_000,
        'pve_certificate_info{filename="pve-root-ca.pem",issuer="/CN=Proxmox Virtual Environment",node="pve1",subject="/CN=Proxmox Virtual Environment"}': 1,
        'pve_certificate_info{filename="pve-ssl.pem",issuer="/CN=Proxmox Virtual Environment",node="pve1",subject="/OU=PVE Cluster Node/CN=pve1.example"}': 1,
        'pve_certificate_info{filename="pveproxy-ssl.pem",issuer="/O=Example \\"Trust\\"/CN=R1",node="pve1",subject="/OU=PVE Cluster Node/CN=pve1.example"}': 1,
      },
      leftOut: {},
      lost: {},
    });
  });

  test("are asked for every six hours, and told in every scrape", async () => {
    const time = { ms: 1e12 };
    const slow = readingsAt(time);
    const answers = { [PATH]: [{ filename: "pve-ssl.pem", notafter: 1 }] };
    const callsAfter = async (ms: number) => {
      time.ms += ms;
      const round = new FakeRound(answers, { nodes: ["pve1"], slow });
      expect(Object.keys((await told(CERTIFICATES, round)).series)).toHaveLength(2);
      return round.asked.length;
    };
    expect(await callsAfter(0)).toBe(1);
    expect(await callsAfter(6 * HOUR_MS - 1)).toBe(0);
    expect(await callsAfter(1)).toBe(1);
  });

  test("the keys themselves are not kept", async () => {
    const slow = new SlowReadings();
    await fromAnswer(pveFixture("others/certificates"), slow);
    expect(JSON.stringify(slow.saved())).toContain("pve-ssl.pem");
    expect(JSON.stringify(slow.saved())).not.toMatch(/BEGIN|80:D4/);
  });

  test("rows of no kind and of no name are lost, in every scrape that tells the reading", async () => {
    const slow = new SlowReadings();
    const rows = [
      null,
      "pem",
      {},
      { filename: "a.pem", notafter: "soon", issuer: "x".repeat(2000) },
      { filename: "a.pem", notafter: 7 },
    ];
    for (let scrape = 0; scrape < 2; scrape++) {
      const { series, leftOut, lost } = await fromAnswer(rows, slow);
      expect(Object.keys(series)).toHaveLength(1);
      expect({ leftOut, lost }).toEqual({ leftOut: { invalid: 2, duplicate: 1 }, lost: { invalid: 3 } });
    }
  });

  test.each([
    ["a failure of the call", failure("unreachable"), "unreachable"],
    ["no list", {}, "invalid"],
  ])("%s is the collector's", async (_what, answer, reason) => {
    expect(await fromAnswer(answer)).toEqual({ series: {}, leftOut: {}, lost: { [reason]: 1 } });
  });
});
