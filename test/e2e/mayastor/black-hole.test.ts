/** The compiled binary before a service that never answers: what that costs a scrape, and that it ends by itself. */
import { beforeAll, describe, expect, test } from "bun:test";
import { plumblineBinary } from "../../support/binary.ts";
import { CsiNode } from "../../support/csi-node.ts";
import { HostileServer, silence } from "../../support/hostile-server.ts";
import { healthy } from "../../support/mayastor-scraping.ts";
import { Directory, flagsOf, type Scrape, serve } from "./service.ts";

const PATIENCE_MS = 150_000;
const TIMEOUT_MS = 1000;
/** Of the process and of a machine that does other things beside. */
const SLACK_MS = 700;
/** After so long a circuit that has opened lets one request through. */
const OPEN_MS = 60_000;

const SUCCESS = 'plumbline_collector_success{collector="mayastor"}';
const CSI_DURATION = 'plumbline_collector_duration_seconds{collector="csi"}';
const errors = ({ series }: Scrape, reason: string) =>
  series.get(`mayastor_node_status_fetch_errors_total{reason="${reason}"}`) ?? Number.NaN;

const csiLines = ({ text }: Scrape): string[] =>
  text
    .split("\n")
    .filter((line) => /csi_|collector_success\{collector="csi"/.test(line))
    .filter((line) => !/discovery_duration_seconds|_timestamp_seconds |collector_duration/.test(line));

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

let binary: string;
beforeAll(async () => {
  binary = await plumblineBinary();
}, PATIENCE_MS);

describe("a service that never answers", () => {
  test(
    "holds three scrapes up to its timeout and later ones not at all, and is seen again without a restart",
    async () => {
      await using server = await HostileServer.start(silence);
      using node = new CsiNode({
        volumes: [
          { driver: "driver.example", handle: "vol-1", pv: "pv-1", pods: ["a"], mount: { device: "7:0" } },
        ],
        devices: [{ name: "loop0", dev: "7:0" }],
      });
      using directory = new Directory();
      const file = directory.configuration({ endpoint: server.origin, timeout: `${TIMEOUT_MS}ms` });
      await using service = await serve(
        [binary],
        [
          ...[...flagsOf(file), "--collector.csi"],
          ...[`--path.kubelet=${node.kubelet}`, `--path.procfs=${node.procfs}`, `--path.sysfs=${node.sysfs}`],
        ],
      );
      const alone = await service.scrape("?collect[]=csi");
      expect(csiLines(alone).join("\n")).toContain('persistentvolume="pv-1"');

      // The collection that `serve` begins with was one of the three.
      const first = [await service.scrape(), await service.scrape()];
      for (const { ms } of first) expect(ms).toBeWithin(TIMEOUT_MS - 50, TIMEOUT_MS + SLACK_MS);
      expect(first.map((scrape) => errors(scrape, "timeout"))).toEqual([2, 3]);
      expect(server.asked).toHaveLength(3);
      const openedAt = performance.now();

      const later: Scrape[] = [];
      for (let scrape = 0; scrape < 15; scrape++) later.push(await service.scrape());
      expect(median(later.map(({ ms }) => ms))).toBeLessThan(50);
      expect(server.asked).toHaveLength(3);

      for (const [index, scrape] of [...first, ...later].entries()) {
        expect(scrape.status).toBe(200);
        expect(scrape.series.get(SUCCESS)).toBe(0);
        expect(scrape.text).not.toContain("mayastor_node_online");
        expect(csiLines(scrape)).toEqual(csiLines(alone));
        expect([index, scrape.series.get(CSI_DURATION)]).toEqual([index, expect.any(Number)]);
      }
      const durations = [...first, ...later].map(({ series }) => series.get(CSI_DURATION) ?? Number.NaN);
      expect(median(durations)).toBeLessThan(0.05);
      expect(Math.max(...durations.slice(0, first.length))).toBeLessThan(TIMEOUT_MS / 1000 / 2);

      server.conduct = healthy;
      let recovered = await service.scrape();
      while (recovered.series.get(SUCCESS) !== 1 && performance.now() - openedAt < OPEN_MS + 10_000) {
        await Bun.sleep(500);
        recovered = await service.scrape();
      }
      expect(performance.now() - openedAt).toBeGreaterThan(OPEN_MS - 1000);
      expect(recovered.series.get('mayastor_node_online{node_id="node-a"}')).toBe(1);
      expect(errors(recovered, "timeout")).toBe(3);
      expect(errors(recovered, "circuit_open")).toBeGreaterThan(later.length);
      expect(server.asked).toHaveLength(4);

      const lines = service.process.log().split("\n");
      const told = lines.filter((line) => /resource=nodes/.test(line));
      expect(told.map((line) => / level=(\w+)/.exec(line)?.[1])).toEqual(["warn", "warn", "info"]);
      expect(told[0]).toContain("reason=timeout");
      expect(told[1]).toContain("reason=circuit_open");
    },
    PATIENCE_MS,
  );

  test(
    "cannot hold a scrape beyond what Prometheus allows, whatever its own timeout",
    async () => {
      await using server = await HostileServer.start(silence);
      using directory = new Directory();
      const file = directory.configuration({ endpoint: server.origin, timeout: "30s" });
      await using service = await serve([binary], [...flagsOf(file), "--scrape.timeout=1s"]);
      const headers = { "x-prometheus-scrape-timeout-seconds": "1.5" };
      const start = performance.now();
      const answer = await fetch(`${service.origin}/metrics`, { headers });
      const text = await answer.text();
      expect(performance.now() - start).toBeWithin(700, 1000 + SLACK_MS);
      // The collector gives up before the scrape does, so that what it says of itself is there.
      expect(text).toContain("\nmayastor_node_status_fetch_success 0\n");
      expect(text).toContain('\nplumbline_collector_timeout_total{collector="mayastor"} 0\n');
    },
    PATIENCE_MS,
  );
});
