/** A bad day of a Proxmox VE cluster, moment by moment: through TLS, the client, all collectors and the scraper. */
import { beforeAll, expect, test } from "bun:test";
import { LIVING_PVE_MOMENTS } from "../../src/demo/pve-living-cluster.ts";
import { expectGolden } from "../support/golden.ts";
import { type PveDay, recordPveDay } from "../support/pve-day.ts";

let day: PveDay;
beforeAll(async () => {
  day = await recordPveDay(60_000);
}, 120_000);

const fileName = (name: string, index: number) =>
  `pve-day/${String(index + 1).padStart(2, "0")}-${name.replaceAll(/\W+/g, "-")}.prom`;

test.each(LIVING_PVE_MOMENTS.map(([name], index) => [name, index] as const))(
  "the exposition is that of its golden file: %s",
  (name, index) => {
    expectGolden(fileName(name, index), day.moments.get(name)?.exposition ?? "");
  },
);

test("the log tells of what was left out, and of nothing else", () => {
  const lines = day.log
    .filter(({ level }) => level !== "debug")
    .map(({ level, message, fields: { lasted_seconds: _, ...fields } }) => {
      return `${level} ${message} ${JSON.stringify(fields)}\n`;
    });
  expectGolden("pve-day/day.log", lines.join(""));
});

test("no scrape of the day fails, but for what needs a quorum", () => {
  const failed = day.scrapes.flatMap(({ atMs, exposition }) =>
    [...exposition.matchAll(/^plumbline_collector_success\{collector="(.+)"\} 0$/gm)].map(
      ([, collector]) => `${collector} in minute ${Math.floor(atMs / 60_000)}`,
    ),
  );
  expect([...new Set(failed)]).toEqual([44, 45, 46].map((minute) => `pve-replication in minute ${minute}`));
});
