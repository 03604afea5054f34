/**
 * An hour in which a simulated Proxmox VE cluster has a bad day, as one plumbline tells it that is scraped all the while.
 * Its clock is set and not waited for, so it takes some seconds and is the same each time.
 */
import { setSystemTime } from "bun:test";
import { askingLivingPve, livingPveApi } from "../../src/demo/pve-living-api.ts";
import { LIVING_PVE_MOMENTS } from "../../src/demo/pve-living-cluster.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { openPve } from "../../src/pve/source.ts";
import { NO_PVE } from "../../src/pve/target.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { type LoggedLine, ownMetrics, recordingLog } from "../scrape/fakes.ts";

/** In Unix milliseconds. */
export const DAY_BEGINS_MS = 1_774_000_000_000;
export const DAY_LASTS_MS = 3_600_000;

export interface DayScrape {
  /** Since it began. */
  readonly atMs: number;
  /** Of the cluster; what is of another machine or another run is left out. */
  readonly exposition: string;
}

export interface PveDay {
  readonly scrapes: readonly DayScrape[];
  /** By the names of the moments, in their order. */
  readonly moments: ReadonlyMap<string, DayScrape>;
  readonly log: readonly LoggedLine[];
}

/** It is scraped so often, and at each of its moments. */
export async function recordPveDay(everyMs: number): Promise<PveDay> {
  setSystemTime(new Date(DAY_BEGINS_MS));
  // A subscription ends at midnight where its reader is.
  const { TZ } = process.env;
  process.env["TZ"] = "UTC";
  await using api = livingPveApi(0);
  const url = await api.start();
  const log = recordingLog();
  const own = ownMetrics();
  const source = openPve(
    {
      pve: askingLivingPve(NO_PVE, url),
      collectors: { disableDefaults: false, chosen: {} },
      path: { rootfs: "/", procfs: "/proc", sysfs: "/sys", devfs: "/dev", kubelet: "/var/lib/kubelet" },
      state: { directory: "/nonexistent" },
    },
    own,
    log,
    { clock: { now: () => Date.now(), unixMs: () => Date.now() } },
  );
  try {
    const scraper = new Scraper(source.collectors, own, log);
    const scrapeAt = async (atMs: number): Promise<DayScrape> => {
      setSystemTime(new Date(DAY_BEGINS_MS + atMs));
      const { sets } = await scraper.scrape({ timeoutMs: 30_000 });
      const text = new TextDecoder().decode(expose(sets, "text").body);
      return { atMs, exposition: fixed(text, url) };
    };
    const times = new Set(LIVING_PVE_MOMENTS.map(([, atMs]) => atMs));
    for (let atMs = 0; atMs <= DAY_LASTS_MS; atMs += everyMs) times.add(atMs);
    const scrapes: DayScrape[] = [];
    for (const atMs of [...times].sort((a, b) => a - b)) scrapes.push(await scrapeAt(atMs));
    const named = LIVING_PVE_MOMENTS.flatMap(([name, at]) => {
      const scrape = scrapes.find(({ atMs }) => atMs === at);
      return scrape === undefined ? [] : [[name, scrape] as const];
    });
    return { scrapes, moments: new Map(named), log: log.lines };
  } finally {
    source.close();
    setSystemTime();
    process.env["TZ"] = TZ ?? "UTC";
  }
}

const fixed = (exposition: string, url: string): string =>
  exposition
    .replaceAll(url, "https://ENDPOINT")
    .replaceAll(/^(plumbline_(?:pve_)?collector_duration_seconds\{.*\}) .*$/gm, "$1 0");
