/**
 * The built binary as a whole process: start to first answer, CPU of a textfile run, resident memory, 40 clients.
 * Each figure has its floor in the same run: a compiled program that only serves one constant text, or does nothing.
 *
 *     bun test/bench/process.bench.ts [--quick] [--json] [BINARY]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const flags = process.argv.slice(2).filter((word) => word.startsWith("--"));
const quick = flags.includes("--quick");
const binary = resolve(
  process.argv.slice(2).find((word) => !word.startsWith("--")) ??
    `dist/plumbline-linux-${process.arch === "arm64" ? "arm64" : "x64"}`,
);
const scratch = mkdtempSync(join(tmpdir(), "plumbline-bench-"));
const emptySysfs = join(scratch, "sys");
mkdirSync(emptySysfs);

interface Row {
  readonly what: string;
  readonly value: string;
  readonly floor: string;
  readonly target: string;
  readonly met: boolean;
}
const rows: Row[] = [];

const percentile = (values: readonly number[], p: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))] ?? Number.NaN;
const median = (values: readonly number[]): number => percentile(values, 0.5);

const freePort = (): Promise<number> =>
  new Promise((found, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address !== null && typeof address === "object" ? found(address.port) : failed(address),
      );
    });
  });

/** A compiled program that answers one constant text: what the runtime itself costs. */
function compileFloor(): string {
  const source = join(scratch, "floor.ts");
  writeFileSync(
    source,
    'if (process.argv[2] !== undefined) Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv[2]), fetch: () => new Response("up 1\\n") });\n',
  );
  const outfile = join(scratch, "floor");
  const build = Bun.spawnSync([
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    source,
    "--outfile",
    outfile,
  ]);
  if (build.exitCode !== 0) throw new Error(`cannot compile the floor: ${build.stderr}`);
  return outfile;
}

const serveArgs = (command: "serve" | "demo", port: number): string[] => [
  command,
  `--web.listen-address=127.0.0.1:${port}`,
  ...(command === "serve" ? [`--path.sysfs=${emptySysfs}`] : []),
];

function start(program: string, args: readonly string[]) {
  const child = Bun.spawn([program, ...args], { stdout: "ignore", stderr: "ignore", stdin: "ignore" });
  return { child, started: performance.now() };
}

async function firstAnswer(url: string): Promise<number> {
  for (const give_up = performance.now() + 20_000; performance.now() < give_up; ) {
    try {
      const answer = await fetch(url);
      await answer.arrayBuffer();
      if (answer.status === 200) return performance.now();
    } catch {
      // not listening yet
    }
    await Bun.sleep(0.5);
  }
  throw new Error(`${url} never answered`);
}

async function startToAnswer(program: string, args: (port: number) => readonly string[]): Promise<number> {
  const port = await freePort();
  const { child, started } = start(program, args(port));
  try {
    return (await firstAnswer(`http://127.0.0.1:${port}/metrics`)) - started;
  } finally {
    child.kill();
    await child.exited;
  }
}

const residentMegabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
const threads = (pid: number): number =>
  Number(/^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

const floor = compileFloor();

async function benchStart(): Promise<void> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let run = 0; run < (quick ? 5 : 21); run++) {
    ours.push(await startToAnswer(binary, (port) => serveArgs("serve", port)));
    theirs.push(await startToAnswer(floor, (port) => [String(port)]));
  }
  rows.push({
    what: "start to first answered /metrics",
    value: `${median(ours).toFixed(0)} ms`,
    floor: `${median(theirs).toFixed(0)} ms`,
    target: "≤ 100 ms",
    met: median(ours) <= 100,
  });
}

function benchTextfile(): void {
  const cpu = (program: string, args: readonly string[]): number => {
    const run = Bun.spawnSync([program, ...args], { stdout: "ignore", stderr: "pipe" });
    if (run.exitCode !== 0)
      throw new Error(`${program} ${args.join(" ")}: exit ${run.exitCode}: ${run.stderr}`);
    return Number(run.resourceUsage.cpuTime.total) / 1000;
  };
  const directory = join(scratch, "textfile");
  mkdirSync(directory);
  const args = [
    "textfile",
    `--textfile.directory=${directory}`,
    `--state.directory=${directory}`,
    `--path.sysfs=${emptySysfs}`,
  ];
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let run = 0; run < (quick ? 5 : 21); run++) {
    ours.push(cpu(binary, args));
    theirs.push(cpu(floor, []));
  }
  rows.push({
    what: "textfile, whole process, no devices (CPU)",
    value: `${median(ours).toFixed(0)} ms`,
    floor: `${median(theirs).toFixed(0)} ms`,
    target: "≤ 120 ms",
    met: median(ours) <= 120,
  });
}

async function benchMemory(): Promise<void> {
  const floorPort = await freePort();
  const idleFloor = start(floor, [String(floorPort)]);
  await firstAnswer(`http://127.0.0.1:${floorPort}/`);
  const port = await freePort();
  const idle = start(binary, serveArgs("serve", port));
  await firstAnswer(`http://127.0.0.1:${port}/metrics`);
  await Bun.sleep(3000);
  const idleMegabytes = residentMegabytes(idle.child.pid);
  rows.push({
    what: `resident, idle, no device (${threads(idle.child.pid)} threads; floor ${threads(idleFloor.child.pid)})`,
    value: `${idleMegabytes.toFixed(0)} MB`,
    floor: `${residentMegabytes(idleFloor.child.pid).toFixed(0)} MB`,
    target: "≤ 60 MB",
    met: idleMegabytes <= 60,
  });
  for (const { child } of [idle, idleFloor]) {
    child.kill();
    await child.exited;
  }

  const demoPort = await freePort();
  const demo = start(binary, serveArgs("demo", demoPort));
  const url = `http://127.0.0.1:${demoPort}/metrics`;
  await firstAnswer(url);
  const scrapes = quick ? 1000 : 10_000;
  const points: { scrape: number; megabytes: number }[] = [];
  for (let scrape = 1; scrape <= scrapes; scrape++) {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    if (scrape % (scrapes / 50) === 0) points.push({ scrape, megabytes: residentMegabytes(demo.child.pid) });
  }
  await Bun.sleep(3000);
  const after = residentMegabytes(demo.child.pid);
  demo.child.kill();
  await demo.child.exited;
  const highest = Math.max(...points.map(({ megabytes }) => megabytes));
  const perThousand = slope(points.slice(points.length / 2)) * 1000;
  rows.push({
    what: `resident, ${scrapes} scrapes of the demo without a pause, 3 s later`,
    value: `${after.toFixed(0)} MB; at most ${highest.toFixed(0)} MB meanwhile, ${perThousand.toFixed(2)} MB more per 1,000 scrapes`,
    floor: "",
    target: "≤ 90 MB and flat",
    met: after <= 90 && perThousand < 0.5,
  });
}

/** Least squares: megabytes a scrape. */
function slope(points: readonly { scrape: number; megabytes: number }[]): number {
  const x = points.reduce((sum, point) => sum + point.scrape, 0) / points.length;
  const y = points.reduce((sum, point) => sum + point.megabytes, 0) / points.length;
  const up = points.reduce((sum, point) => sum + (point.scrape - x) * (point.megabytes - y), 0);
  return up / points.reduce((sum, point) => sum + (point.scrape - x) ** 2, 0);
}

async function benchClients(): Promise<void> {
  const port = await freePort();
  const demo = start(binary, serveArgs("demo", port));
  const url = `http://127.0.0.1:${port}/metrics`;
  await firstAnswer(url);
  const until = performance.now() + (quick ? 3000 : 30_000);
  const latencies: number[] = [];
  let errors = 0;
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      while (performance.now() < until) {
        const begun = performance.now();
        try {
          const answer = await fetch(url);
          await answer.arrayBuffer();
          if (answer.status !== 200) errors++;
        } catch {
          errors++;
        }
        latencies.push(performance.now() - begun);
      }
    }),
  );
  demo.child.kill();
  await demo.child.exited;
  const p50 = median(latencies);
  const p99 = percentile(latencies, 0.99);
  rows.push({
    what: `40 clients at once for ${quick ? 3 : 30} s: ${latencies.length} scrapes, ${errors} errors`,
    value: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (${(p99 / p50).toFixed(2)} ×)`,
    floor: "",
    target: "no error, p99 ≤ 3 × p50",
    met: errors === 0 && p99 <= 3 * p50,
  });
}

try {
  await benchStart();
  benchTextfile();
  await benchMemory();
  await benchClients();
  rows.push({
    what: "size of the binary",
    value: `${(Bun.file(binary).size / 1e6).toFixed(0)} MB`,
    floor: `${(Bun.file(floor).size / 1e6).toFixed(0)} MB`,
    target: "reported",
    met: true,
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

const table = rows.map(
  ({ what, value, floor, target, met }) =>
    `| ${what} | ${value} | ${floor} | ${target} | ${met ? "met" : "MISSED"} |`,
);
process.stdout.write(
  flags.includes("--json")
    ? `${JSON.stringify(rows, null, 2)}\n`
    : `| what | measured (median) | floor | target | |\n|---|---|---|---|---|\n${table.join("\n")}\n`,
);
if (rows.some(({ met }) => !met)) process.exitCode = 1;
