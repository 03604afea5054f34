/** Run by node-exporter.test.ts: `plumbline textfile` on a simulated host. Its argument is the flags in JSON. */
import { run } from "../../src/commands/textfile.ts";
import { load } from "../../src/config/load.ts";
import { workerEntry } from "../../src/runtime/worker-entry.ts";
import { COLLECTORS, openCollectors } from "../../src/scrape/sources.ts";

const names = COLLECTORS.map(({ name }) => name);
const code = await run(load(JSON.parse(process.argv[2] ?? ""), {}, names), (settings, own, log, seams) =>
  openCollectors(settings, own, log, { ...seams, nvmeWorker: workerEntry("demo/nvme-worker.ts") }),
);
process.exit(code);
