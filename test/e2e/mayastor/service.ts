/** A real plumbline that asks a Mayastor REST service, as a process of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Process, watch } from "../../support/processes.ts";
import { seriesOfExposition } from "../../support/series.ts";

/** As in the configuration file. */
export type MayastorConfiguration = Readonly<Record<string, string | boolean | readonly string[]>>;

/** A directory of a test's own with the configuration file and whatever it names. */
export class Directory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "plumbline-mayastor-e2e-"));

  /** Writes a file and gives its path. */
  write(name: string, content: string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  configuration(mayastor: MayastorConfiguration): string {
    return this.write("plumbline.yml", JSON.stringify({ mayastor }));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The collector alone; with a file the configuration is read from there. */
export const flagsOf = (configurationFile?: string): string[] => [
  ...["--collector.disable-defaults", "--collector.mayastor", "--node-name=node-a"],
  ...(configurationFile === undefined ? [] : [`--config.file=${configurationFile}`]),
];

export interface Scrape {
  readonly status: number;
  readonly text: string;
  readonly series: ReadonlyMap<string, number>;
  readonly ms: number;
}

export interface Service extends AsyncDisposable {
  readonly process: Process;
  readonly origin: string;
  scrape(query?: string): Promise<Scrape>;
  /** The body of any page. */
  page(path: string): Promise<string>;
}

/** `command` is plumbline as it is run, without a verb. Its first collection has ended when this resolves. */
export async function serve(
  command: readonly string[],
  flags: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Service> {
  const service = watch([...command, "serve", "--web.listen-address=127.0.0.1:0", ...flags], environment);
  const address = await service.line(/address="?(http:[^\s"]+)/);
  const { origin } = new URL(address);
  const get = (path: string) => fetch(`${origin}${path}`, { signal: AbortSignal.timeout(30_000) });
  while ((await get("/-/ready")).status !== 200) await Bun.sleep(20);
  return {
    process: service,
    origin,
    async scrape(query = "") {
      const start = performance.now();
      const answer = await get(`/metrics${query}`);
      const text = await answer.text();
      const ms = performance.now() - start;
      return { status: answer.status, text, series: seriesOfExposition(text), ms };
    },
    page: async (path) => (await get(path)).text(),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to its end while this process goes on to serve. */
export function run(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}
