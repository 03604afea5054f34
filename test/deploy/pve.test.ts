/** A real Prometheus asks for what dashboards, documents and alerts about Proxmox VE name, over a simulated cluster. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PveCluster } from "../../src/demo/pve-cluster.ts";
import { livingPveCluster } from "../../src/demo/pve-living-cluster.ts";
import { describeWith, PROMETHEUS } from "../support/debian.ts";
import type { Prometheus } from "../support/prometheus.ts";
import { PveScraping } from "../support/pve-scraping.ts";
import { expectAnswers, sizes, untilAnswered, withSeries } from "./asking.ts";
import { PANELS, VARIABLE } from "./dashboard-10347.ts";
import { DASHBOARD_FILES, ROOT, readDashboard, selectorOf } from "./files.ts";

/** The cluster of the demo, that many minutes after its beginning, and from then on living. */
function clusterAt(minute: number): PveCluster {
  const since = Date.now() - minute * 60_000;
  return livingPveCluster(() => Date.now() - since, since);
}

/** What is wrong with it all the time. */
const FOR_LONG = {
  PveGuestDown: 2,
  PveStorageFull: 2,
  PveStorageUnavailable: 1,
  PveCertificateExpires: 1,
  PveGuestsNotInBackupJob: 1,
  PveGuestBackupOld: 1,
  PveGuestNeverBackedUp: 2,
  PveGuestBackupFailed: 1,
  PveBackupVerifyFailed: 1,
  PveDiskWorn: 1,
};
/** The smb that pve3 cannot reach is not told of while pve3 is down. */
const WITHOUT_PVE3 = { ...FOR_LONG, PveStorageUnavailable: undefined };
/** pve1 takes the others for offline and does not ask them: of their guests and drives nothing more is known. */
const WITHOUT_QUORUM = {
  ...WITHOUT_PVE3,
  PveGuestDown: undefined,
  PveGuestBackupFailed: undefined,
  PveDiskWorn: undefined,
};
/** What is to be found, by the minute; whether a quarter of an hour, and with it a replication, fell into it, is chance. */
const MOMENTS: readonly (readonly [minute: number, found: Readonly<Record<string, number | undefined>>])[] = [
  [0.5, FOR_LONG],
  [5, { ...WITHOUT_PVE3, PveNodeDown: 1, PveHaNodeLost: 1, PveDiskFailed: 1, PveZfsPoolNotOnline: 1 }],
  // pve2 is in maintenance, which is nobody's fault.
  [22, FOR_LONG],
  [46, { ...WITHOUT_QUORUM, PveNoQuorum: 1, PveNodeDown: 2, PveHaLrmStale: 3, PveCollectorFailing: 1 }],
  [53, { ...FOR_LONG, PveHaServiceError: 1, PveGuestDown: 3 }],
];

async function withClusters(
  clusters: readonly PveCluster[],
  body: (prometheus: Prometheus) => Promise<void>,
): Promise<void> {
  await using scraping = await PveScraping.start(...clusters);
  await scraping.warmUp();
  await withSeries(
    () => scraping.exposition(),
    async (prometheus) => {
      await untilAnswered(prometheus, "rate(pve_network_receive_bytes_total[10s])");
      await body(prometheus);
    },
  );
}

const OUR_DASHBOARDS = DASHBOARD_FILES.filter((file) => file.startsWith("pve-"));

describeWith([PROMETHEUS], "over scrapes of Proxmox VE, Prometheus", () => {
  test("answers every query of our dashboards and of docs/proxmox-ve.md with data", async () => {
    const text = readFileSync(join(ROOT, "docs/proxmox-ve.md"), "utf8");
    const [, block = ""] = /^```promql\n(.*?)^```$/ms.exec(text) ?? [];
    const queries = block.split("\n\n");
    expect(queries.length).toBeGreaterThan(3);
    await withClusters([clusterAt(5)], async (prometheus) => {
      for (const file of OUR_DASHBOARDS) await expectAnswers(prometheus, readDashboard(file));
      for (const query of queries) {
        const { size } = await untilAnswered(prometheus, query);
        expect({ query, size }).not.toEqual({ query, size: 0 });
      }
    });
  }, 90_000);

  test("answers them for two clusters whose nodes and guests are called the same", async () => {
    const lab = new PveCluster({ nodes: 2, guests: 6, release: "8.4", name: "lab", since: Date.now() });
    await withClusters([clusterAt(35), lab], async (prometheus) => {
      expect((await prometheus.query('pve_up{id="node/pve1"}')).size).toBe(2);
      for (const file of OUR_DASHBOARDS) await expectAnswers(prometheus, readDashboard(file));
    });
  }, 90_000);

  test.each([
    ["/metrics with one target", (scraping: PveScraping) => scraping.exposition()],
    ["/pve", (scraping: PveScraping) => scraping.page()],
  ])(
    "answers every query of dashboard 10347 over %s with data",
    async (_, scrape) => {
      await using scraping = await PveScraping.start(clusterAt(15));
      await withSeries(
        () => scrape(scraping),
        async (prometheus) => {
          const [instance = ""] = [
            ...(
              await untilAnswered(prometheus, 'label_replace(pve_node_info, "of", "$1", "instance", "(.+)")')
            ).keys(),
          ].map((key) => /of="([^"]+)"/.exec(key)?.[1] ?? "");
          expect(selectorOf(VARIABLE)).toBe("pve_node_info");
          for (const [title, ...queries] of PANELS) {
            for (const query of queries) {
              const asked = query.replaceAll("$instance", instance).replaceAll("$__interval", "10s");
              const found = await untilAnswered(prometheus, asked);
              expect({ title, query, series: found.size }).not.toEqual({ title, query, series: 0 });
              expect([...found].filter(([, value]) => !Number.isFinite(value))).toEqual([]);
            }
          }
        },
      );
    },
    60_000,
  );

  test("finds with the alerts what is wrong with the cluster of the demo, and no join is ambiguous", async () => {
    let exposition = "";
    await withSeries(
      () => exposition,
      async (prometheus) => {
        for (const [minute, expected] of MOMENTS) {
          await using scraping = await PveScraping.start(clusterAt(minute));
          await scraping.warmUp();
          exposition = `${await scraping.exposition()}minute ${minute}\n`;
          await prometheus.until("minute", minute);
          const { PveReplicationFailing: _, ...firing } = await sizes(prometheus);
          const found = Object.entries(firing).filter(([alert]) => alert.startsWith("Pve"));
          expect({ minute, ...Object.fromEntries(found) }).toEqual({ minute, ...expected });
        }
      },
    );
  }, 90_000);
});
