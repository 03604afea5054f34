/**
 * What a scrape of the collector csi costs on a real node: 1,000 volumes among 10,000 mounts, made in a mount namespace
 * of its own out of loop devices, ext4 file systems, bind mounts and device nodes. Measured in fresh processes: the
 * first scrape, one where nothing has changed, one behind a volume that came. The floor, in the same process: reading
 * the same bytes once and doing nothing with them. Needs root, loop devices and e2fsprogs.
 *
 *     bun test/bench/csi.bench.ts [--quick] [--json]
 */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openCsi } from "../../src/csi/source.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import { Scraper } from "../../src/scrape/scraper.ts";
import { settingsFor } from "../support/nvme-host.ts";
import { buildNode, type Node } from "./csi-node.ts";

const TARGETS = { first: 150, unchanged: 3, added: 15 } as const;
const flags = process.argv.slice(2);
const RUNS = flags.includes("--quick") ? 3 : 7;
const UNCHANGED = 200;
const ADDED = 30;

interface Measured {
  readonly series: number;
  readonly first: number;
  readonly unchanged: number;
  readonly added: number;
  /** Of `added`: what the kernel takes to write its mount table. */
  readonly table: number;
  readonly floor: number;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const { PLUMBLINE_BENCH_NODE: node, PLUMBLINE_BENCH_DIRECTORY: directory } = process.env;
if (node !== undefined) {
  process.stdout.write(JSON.stringify(await measure(JSON.parse(node))));
} else if (directory !== undefined) {
  const built = buildNode(directory, { volumes: 1000, mounts: 10_000, spare: RUNS * ADDED });
  try {
    report(Array.from({ length: RUNS }, (_, run) => inFreshProcess(built, run)));
  } finally {
    spawnSync("losetup", ["-d", ...built.spare.map(({ device }) => device)]);
  }
} else {
  // Once more in a mount namespace of its own: whatever is mounted there goes with it.
  const scratch = mkdtempSync(join(tmpdir(), "plumbline-csi-bench-"));
  const args = ["-m", "--propagation", "private", process.execPath, import.meta.path, ...flags];
  const env = { ...process.env, PLUMBLINE_BENCH_DIRECTORY: scratch };
  process.exitCode = spawnSync("unshare", args, { env, stdio: "inherit" }).status ?? 1;
  rmSync(scratch, { recursive: true, force: true });
}

function inFreshProcess(node: Node, run: number): Measured {
  const spare = node.spare.slice(run * ADDED, (run + 1) * ADDED);
  const env = { ...process.env, PLUMBLINE_BENCH_NODE: JSON.stringify({ ...node, spare }) };
  const done = spawnSync(process.execPath, [import.meta.path], { env, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`a measurement failed: ${done.stderr}`);
  return JSON.parse(done.stdout);
}

async function measure(node: Node): Promise<Measured> {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const own = new OwnMetrics(
    { version: "", revision: "", runtime: "", runtimeVersion: "" },
    { processMetrics: false },
  );
  const settings = settingsFor({
    directory: node.root,
    sysfs: "/sys",
    commandLog: "",
    devfs: "/dev",
    stateDirectory: node.root,
  });
  const source = openCsi({ ...settings, path: { ...settings.path, kubelet: node.root } }, own, silent);
  const scraper = new Scraper(source.collectors, own, silent);
  let series = 0;
  let text = "";
  const scrape = async (): Promise<number> => {
    const start = performance.now();
    const { sets } = await scraper.scrape({ timeoutMs: 10_000 });
    const { body, samples } = expose([...sets, await own.samples()], "text");
    const took = performance.now() - start;
    series = samples;
    text = new TextDecoder().decode(body);
    return took;
  };

  const first = await scrape();
  const found = text.match(/^csi_volume_node_device_info/gm)?.length ?? 0;
  if (found < node.volumes)
    throw new Error(`${found} of ${node.volumes} volumes were found:\n${text.slice(-3000)}`);
  const unchanged: number[] = [];
  for (let i = 0; i < UNCHANGED; i++) {
    unchanged.push(await scrape());
    await Bun.sleep(1);
  }
  const added: number[] = [];
  for (const spare of node.spare) {
    mkdirSync(dirname(spare.file), { recursive: true });
    mkdirSync(dirname(spare.mountPoint), { recursive: true });
    writeFileSync(spare.mountPoint, "");
    const done = spawnSync("mount", ["--bind", spare.device, spare.mountPoint], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(done.stderr);
    writeFileSync(spare.file, spare.json);
    added.push(await scrape());
    if (!text.includes(`volume_handle="${spare.handle}"`)) throw new Error(`${spare.handle} is missing`);
  }
  source.close();
  const tables = Array.from({ length: 20 }, readTable);
  const floors = Array.from({ length: 5 }, () => readEverything(node));
  return {
    series,
    first,
    unchanged: median(unchanged),
    added: median(added),
    table: median(tables),
    floor: median(floors),
  };
}

function readTable(): number {
  const start = performance.now();
  readFileSync("/proc/self/mountinfo");
  return performance.now() - start;
}

/** Milliseconds to read what a first scrape must read: mount table, directories, files, links of the devices. */
function readEverything({ root, deviceNumbers }: Node): number {
  const start = performance.now();
  readFileSync("/proc/self/mountinfo");
  const csi = join(root, "plugins/kubernetes.io/csi");
  for (const pod of readdirSync(join(root, "pods"))) {
    const volumes = join(root, "pods", pod, "volumes/kubernetes.io~csi");
    for (const spec of readdirSync(volumes)) readFileSync(join(volumes, spec, "vol_data.json"));
  }
  for (const driver of readdirSync(csi)) {
    if (driver === "volumeDevices") continue;
    for (const sha of readdirSync(join(csi, driver))) readFileSync(join(csi, driver, sha, "vol_data.json"));
  }
  for (const spec of readdirSync(join(csi, "volumeDevices"))) {
    if (spec === "publish" || spec === "staging") continue;
    readFileSync(join(csi, "volumeDevices", spec, "data/vol_data.json"));
  }
  for (const number of deviceNumbers) {
    const name = readlinkSync(`/sys/dev/block/${number}`).split("/").at(-1) ?? "";
    readdirSync(`/sys/class/block/${name}/slaves`);
  }
  return performance.now() - start;
}

function report(runs: readonly Measured[]): void {
  const of = (key: keyof Measured): number => median(runs.map((run) => run[key]));
  const met = (["first", "unchanged", "added"] as const).every((key) => of(key) <= TARGETS[key]);
  if (flags.includes("--json")) {
    const figures = {
      first: of("first"),
      unchanged: of("unchanged"),
      added: of("added"),
      floor: of("floor"),
    };
    process.stdout.write(`${JSON.stringify({ series: of("series"), ...figures, met })}\n`);
  } else {
    const line = (what: string, key: keyof typeof TARGETS): string => {
      const ms = of(key);
      const verdict = ms <= TARGETS[key] ? "met" : "MISSED";
      return `  ${what.padEnd(26)} ${ms.toFixed(2).padStart(7)} ms (target ≤ ${TARGETS[key]} ms: ${verdict})\n`;
    };
    process.stdout.write(
      `1,000 volumes, 10,000 real mounts, ${of("series")} series; wall time, rendered, medians of ${RUNS} fresh processes\n` +
        line("first scrape", "first") +
        line("nothing changed", "unchanged") +
        line("one volume added", "added") +
        `  ${"  of it the mount table".padEnd(26)} ${of("table").toFixed(2).padStart(7)} ms (reading /proc/self/mountinfo and nothing else)\n` +
        `  ${"floor".padEnd(26)} ${of("floor").toFixed(2).padStart(7)} ms (the same files, directories and links read once, warm)\n` +
        `  ${"first scrape / floor".padEnd(26)} ${(of("first") / of("floor")).toFixed(2).padStart(7)}\n`,
    );
  }
  process.exitCode = met ? 0 : 1;
}
