/**
 * What a scrape of 24 simulated controllers costs of our own CPU, all threads together, where the ioctls cost nothing
 * and nothing is shared from the scrape before. The floor, in the same run: as many empty messages to a Worker and
 * back, and reading the same files of sysfs.
 *
 *     bun test/bench/nvme.bench.ts [--quick] [--json]
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { openNvme } from "../../src/nvme/source.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { settingsFor, withHost } from "../support/nvme-host.ts";
import { MIXED } from "../support/nvme-hosts.ts";

const TARGET_MS = 5;
const flags = process.argv.slice(2);
const BATCHES = flags.includes("--quick") ? 15 : 60;
const PER_BATCH = 5;
/** The runtime compiles what runs often, anew and better for a thousand scrapes and more, in threads that count here. */
const WARM_UP = 300;

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Median CPU time of one `run`, of user and system, in ms. */
async function cpuMs(run: () => Promise<void>): Promise<number> {
  for (let i = 0; i < WARM_UP * PER_BATCH; i++) await run();
  const batches: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const before = process.cpuUsage();
    for (let i = 0; i < PER_BATCH; i++) await run();
    const { user, system } = process.cpuUsage(before);
    batches.push((user + system) / 1000 / PER_BATCH);
  }
  return batches.sort((a, b) => a - b)[Math.floor(BATCHES / 2)] ?? Number.NaN;
}

/** The files that a listing reads of this tree. */
function filesOf(sysfs: string): string[] {
  const classNvme = join(sysfs, "class/nvme");
  return readdirSync(classNvme).flatMap((controller) => {
    const directory = join(classNvme, controller);
    const attributes = ["model", "serial", "firmware_rev", "transport", "subsysnqn", "state", "dev"];
    const namespaces = readdirSync(directory).filter((name) => /^nvme\d+(c\d+)?n\d+$/.test(name));
    return [
      ...attributes.map((name) => join(directory, name)),
      ...namespaces.flatMap((name) => {
        const head = join(sysfs, "class/block", name.replace(/c\d+/, ""));
        return [join(directory, name, "nsid"), join(head, "size"), join(head, "queue/logical_block_size")];
      }),
    ];
  });
}

async function floor(sysfs: string, commands: number): Promise<() => Promise<void>> {
  const worker = new Worker(new URL("./nvme-echo-worker.ts", import.meta.url), { type: "module" });
  const trip = (): Promise<void> =>
    new Promise((resolve) => worker.addEventListener("message", () => resolve(), { once: true }));
  await trip();
  const files = filesOf(sysfs);
  return async () => {
    for (const file of files) readFileSync(file, "latin1");
    for (let i = 0; i < commands; i++) {
      const back = trip();
      worker.postMessage(0);
      await back;
    }
    await turn();
  };
}

await withHost({ ...MIXED, logCommands: true }, async (host) => {
  let now = 0;
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const source = openNvme(settingsFor(host), own, silent, {
    worker: new URL("./nvme-bench-worker.ts", import.meta.url),
    now: () => now,
  });
  const scraper = new Scraper(source.collectors, own, silent);
  let series = 0;
  const scrape = async (): Promise<void> => {
    // So much later that no reading is shared.
    now += 60_000;
    const { sets } = await scraper.scrape({ timeoutMs: 10_000 });
    series = expose([...sets, await own.samples()], "text").samples;
    await turn();
  };
  await scrape();
  const commands = readFileSync(host.commandLog, "utf8").trimEnd().split("\n").length;
  const scrapeMs = await cpuMs(scrape);
  const floorMs = await cpuMs(await floor(host.sysfs, commands));
  source.close();

  const met = scrapeMs <= TARGET_MS;
  if (flags.includes("--json")) {
    process.stdout.write(
      `${JSON.stringify({
        controllers: 24,
        commands,
        series,
        scrapeMs,
        floorMs,
        ratio: scrapeMs / floorMs,
        met,
      })}\n`,
    );
  } else {
    process.stdout.write(
      `scrape of 24 simulated controllers, ${commands} commands, ${series} samples, rendered\n` +
        `  CPU of a scrape, median   ${scrapeMs.toFixed(2)} ms (target ≤ ${TARGET_MS} ms: ${met ? "met" : "MISSED"})\n` +
        `  floor, median             ${floorMs.toFixed(2)} ms (as many empty messages, the same files)\n` +
        `  ratio                     ${(scrapeMs / floorMs).toFixed(2)}\n`,
    );
  }
  process.exit(met ? 0 : 1);
});
