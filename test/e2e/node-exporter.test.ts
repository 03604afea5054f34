/** A real node_exporter reads the textfile of a simulated host and exports every series of it with its value. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeWith, find, NODE_EXPORTER } from "../support/debian.ts";
import { withHost } from "../support/nvme-host.ts";
import { MIXED } from "../support/nvme-hosts.ts";
import { freePort } from "../support/ports.ts";
import { watch } from "../support/processes.ts";
import { seriesOfExposition } from "../support/series.ts";

describeWith([NODE_EXPORTER], "node_exporter", () => {
  test("exports every series of the textfile with its value, also of the file that a later run put there", async () => {
    const root = mkdtempSync(join(tmpdir(), "plumbline-node-exporter-"));
    const directory = join(root, "textfile");
    mkdirSync(directory);
    try {
      await withHost(MIXED, async ({ sysfs, devfs }) => {
        const flags = {
          "textfile.directory": directory,
          "state.directory": join(root, "state"),
          "path.sysfs": sysfs,
          "path.devfs": devfs,
          "node-name": "e2e",
        };
        const port = await freePort();
        await using exporter = watch([
          find(NODE_EXPORTER) ?? NODE_EXPORTER.command,
          "--collector.disable-defaults",
          "--collector.textfile",
          "--web.disable-exporter-metrics",
          `--collector.textfile.directory=${directory}`,
          `--web.listen-address=127.0.0.1:${port}`,
        ]);
        await exporter.line(/Listening on|listening on/i);

        for (let run = 0; run < 2; run++) {
          await using textfile = watch([
            process.execPath,
            join(import.meta.dir, "simulated-textfile.ts"),
            JSON.stringify(flags),
          ]);
          expect(await textfile.exited).toBe(0);
          const ours = seriesOfExposition(readFileSync(join(directory, "plumbline.prom"), "utf8"));
          const answer = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
          const theirs = seriesOfExposition(answer);

          expect(ours.size).toBeGreaterThan(500);
          expect([...ours].filter(([series, value]) => !Object.is(theirs.get(series), value))).toEqual([]);
          expect(theirs.get("node_textfile_scrape_error{}")).toBe(0);
          expect(theirs.get('node_scrape_collector_success{collector="textfile"}')).toBe(1);
          expect([...ours.keys()].some((series) => series.startsWith("ebs_"))).toBe(true);
        }
        expect(exporter.log()).not.toMatch(/error|collected before/i);
      });
    } finally {
      rmSync(root, { recursive: true });
    }
  }, 60_000);
});
