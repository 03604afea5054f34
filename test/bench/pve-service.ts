/** A real plumbline that asks a simulated Proxmox VE, as a process of its own whose CPU time and memory can be read. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PVE_TEST_ROOT } from "../../src/demo/pve-certificate.ts";
import { watch } from "../support/processes.ts";

export interface Service extends AsyncDisposable {
  /** Of `/metrics` or `/pve?…`. Throws for another status than 200. */
  scrape(path: string): Promise<{ readonly text: string; readonly ms: number }>;
  /** CPU time of all its threads since it began, in ms. */
  cpuMs(): number;
  residentMegabytes(): number;
}

const CREDENTIALS = {
  user: "plumbline@pve",
  token_name: "metrics",
  token_value: "8c1e5f3a-0b7d-4c52-9e64-2f0a7d3b9c18",
};

/** `command`: plumbline without a verb. The cluster is its one target, and may be asked by `/pve?target=localhost`. */
export async function serve(command: readonly string[], cluster: string): Promise<Service> {
  const directory = mkdtempSync(join(tmpdir(), "plumbline-bench-pve-"));
  const write = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const { host, port } = new URL(cluster);
  const authority = write("root.pem", PVE_TEST_ROOT);
  const modules = { default: { ...CREDENTIALS, verify_ssl: authority, port: Number(port) } };
  const target = { name: "large", endpoints: [host], ...CREDENTIALS, ca_file: authority };
  const pve = { targets: [target], modules_file: write("pve.yml", JSON.stringify(modules)) };
  const service = watch([
    ...command,
    "serve",
    "--web.listen-address=127.0.0.1:0",
    `--path.sysfs=${directory}`,
    `--config.file=${write("plumbline.yml", JSON.stringify({ pve }))}`,
  ]);
  const { origin } = new URL(await service.line(/address="?(http:[^\s"]+)/));
  // What it collects by itself when it starts is no scrape of ours.
  while ((await fetch(`${origin}/-/ready`)).status !== 200) await Bun.sleep(20);
  return {
    async scrape(path) {
      const start = performance.now();
      const headers = { "X-Prometheus-Scrape-Timeout-Seconds": "10", "Accept-Encoding": "identity" };
      const answer = await fetch(`${origin}${path}`, { headers });
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status}: ${text}`);
      return { text, ms: performance.now() - start };
    },
    cpuMs: () => cpuMs(service.pid),
    residentMegabytes: () => residentMegabytes(service.pid),
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

/** In ns, where /proc/PID/stat counts ticks of 10 ms. */
const cpuMs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce(
    (sum, thread) =>
      sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6,
    0,
  );

const residentMegabytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
