/**
 * How long it takes to render 100,000 samples of 25 families with two labels each: plumbline beside plain string
 * building (no order, no escape: the floor), prom-client and Go's client_golang. All in one run, in turns, so that
 * whatever else the machine does falls on all of them.
 *
 *     bun test/bench/render.bench.ts [--json] [--rounds=N]
 *
 * Go needs Debian's golang-go and golang-github-prometheus-client-golang-dev; without them its row is left out.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Counter, Gauge, Registry } from "prom-client";
import { counter, gauge } from "../../src/metrics/descriptor.ts";
import { expose } from "../../src/metrics/exposition.ts";
import { Samples } from "../../src/metrics/samples.ts";

const FAMILIES = 25;
const PER_FAMILY = 4000;
const LABELS = ["node", "drive"] as const;
const WARM_UP = 3;

/** ≤ 1.5 × the floor, ≥ 4 × as fast as prom-client, ≥ 6 × as fast as client_golang. */
const TARGETS = { floor: 1.5, promClient: 4, go: 6 };

interface Rendering {
  readonly milliseconds: number;
  readonly samples: number;
}

interface Contender {
  readonly name: string;
  render(): Promise<Rendering>;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly series: readonly { readonly labels: { node: string; drive: string }; readonly value: number }[];
}

const families: readonly Family[] = Array.from({ length: FAMILIES }, (_, family) => {
  const isCounter = family % 2 === 1;
  const stem = `bench_${String(family).padStart(2, "0")}_bytes`;
  return {
    name: isCounter ? `${stem}_total` : stem,
    help: `Bytes of bench family ${family}`,
    type: isCounter ? "counter" : "gauge",
    series: Array.from({ length: PER_FAMILY }, (_, index) => ({
      labels: {
        node: `node-${String(Math.floor(index / 100)).padStart(3, "0")}`,
        drive: `drive-${String(index).padStart(8, "0")}`,
      },
      value: ((index * 7919 + family) % 100_003) * 1.5,
    })),
  };
});

await main();

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean" }, rounds: { type: "string" } } });
  const rounds = Number(values.rounds ?? 15);
  const go = await startGo();
  const contenders = [plainStrings(), plumbline("text"), plumbline("openmetrics"), promClient()];
  if (go !== undefined) contenders.push(go.contender);

  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < WARM_UP + rounds; round++) {
    for (const { name, render } of contenders) {
      const { milliseconds, samples } = await render();
      if (samples !== FAMILIES * PER_FAMILY)
        throw new Error(`${name} rendered ${samples} samples instead of ${FAMILIES * PER_FAMILY}`);
      if (round >= WARM_UP) times.get(name)?.push(milliseconds);
    }
  }
  go?.stop();
  report(times, values.json ?? false);
}

/** The floor: joins the same lines, in the order they come, and encodes them. */
function plainStrings(): Contender {
  return contender("plain strings", () => {
    let text = "";
    for (const { name, help, type, series } of families) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
      for (const { labels, value } of series)
        text += `${name}{node="${labels.node}",drive="${labels.drive}"} ${value}\n`;
    }
    return new TextEncoder().encode(text);
  });
}

function plumbline(format: "text" | "openmetrics"): Contender {
  const set = new Samples();
  for (const { name, help, type, series } of families) {
    const descriptor = type === "counter" ? counter(name, help, LABELS) : gauge(name, help, LABELS);
    for (const { labels, value } of series) set.add(descriptor, labels, value);
  }
  return contender(`plumbline (${format})`, () => expose([set], format).body);
}

function promClient(): Contender {
  const registry = new Registry();
  for (const { name, help, type, series } of families) {
    const configuration = { name, help, labelNames: LABELS, registers: [registry] };
    if (type === "counter") {
      const metric = new Counter(configuration);
      for (const { labels, value } of series) metric.inc(labels, value);
    } else {
      const metric = new Gauge(configuration);
      for (const { labels, value } of series) metric.set(labels, value);
    }
  }
  return contender("prom-client", async () => new TextEncoder().encode(await registry.metrics()));
}

function contender(name: string, render: () => Uint8Array | Promise<Uint8Array>): Contender {
  return {
    name,
    async render() {
      const start = performance.now();
      const body = await render();
      return { milliseconds: performance.now() - start, samples: countSamples(body) };
    },
  };
}

/** Lines that are neither comments nor empty. */
function countSamples(body: Uint8Array): number {
  let samples = 0;
  for (let at = 0; at < body.length; at = body.indexOf(0x0a, at) + 1)
    if (body[at] !== 0x23 && body[at] !== 0x0a) samples++;
  return samples;
}

/** Builds the Go program and keeps it running, so that its rounds fall between the others'. */
async function startGo(): Promise<{ contender: Contender; stop(): void } | undefined> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-render-"));
  const binary = join(directory, "render");
  const built =
    Bun.which("go") !== null &&
    Bun.spawnSync(["go", "build", "-o", binary, "main.go"], {
      cwd: join(import.meta.dir, "render-go"),
      env: { ...process.env, GO111MODULE: "off", GOFLAGS: "-mod=mod", GOPATH: "/usr/share/gocode" },
      stderr: "inherit",
    }).success;
  if (!built) {
    rmSync(directory, { recursive: true });
    process.stderr.write(
      "left out: Go (apt-get install golang-go golang-github-prometheus-client-golang-dev)\n",
    );
    return undefined;
  }
  const program = Bun.spawn([binary, String(FAMILIES), String(PER_FAMILY)], {
    stdin: "pipe",
    stdout: "pipe",
  });
  const answers = program.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return {
    contender: {
      name: "client_golang",
      async render() {
        program.stdin.write("\n");
        await program.stdin.flush();
        const { value = "" } = await answers.read();
        const [samples, , milliseconds] = value.trim().split(" ").map(Number);
        return { milliseconds: milliseconds ?? Number.NaN, samples: samples ?? 0 };
      },
    },
    stop() {
      program.kill();
      rmSync(directory, { recursive: true });
    },
  };
}

function report(times: ReadonlyMap<string, readonly number[]>, asJson: boolean): void {
  const medians = new Map([...times].map(([name, all]) => [name, median(all)]));
  const ours = medians.get("plumbline (text)") ?? Number.NaN;
  const floor = ours / (medians.get("plain strings") ?? Number.NaN);
  const promClient = (medians.get("prom-client") ?? Number.NaN) / ours;
  const go = (medians.get("client_golang") ?? Number.NaN) / ours;
  if (asJson) {
    const result = {
      samples: FAMILIES * PER_FAMILY,
      families: FAMILIES,
      runtime: `bun ${Bun.version}`,
      mediansMs: Object.fromEntries(medians),
      ratios: { toPlainStrings: floor, promClientToOurs: promClient, clientGolangToOurs: go },
    };
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
    return;
  }
  const rows = [...medians].map(
    ([name, value]) => `| ${name} | ${value.toFixed(1)} | ${(value / ours).toFixed(2)} |`,
  );
  process.stdout.write(
    [
      `${FAMILIES * PER_FAMILY} samples of ${FAMILIES} families, two labels each; medians, bun ${Bun.version}`,
      "",
      "| rendered by | ms | × plumbline (text) |",
      "|---|---|---|",
      ...rows,
      "",
      `plumbline takes ${floor.toFixed(2)} × plain strings (target ≤ ${TARGETS.floor})`,
      `prom-client takes ${promClient.toFixed(1)} × plumbline (target ≥ ${TARGETS.promClient})`,
      `client_golang takes ${go.toFixed(1)} × plumbline (target ≥ ${TARGETS.go})`,
      "",
    ].join("\n"),
  );
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
