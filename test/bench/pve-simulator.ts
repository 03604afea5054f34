/**
 * A simulated Proxmox VE in a process of its own, so that what it costs is not taken for the exporter's. Its clock
 * stands still: the same call gets the same bytes. Whoever started it is told where it listens, and what it was asked.
 */
import { PveApi, type PveApiKnobs } from "../../src/demo/pve-api.ts";
import { PveCluster, type PveClusterSize } from "../../src/demo/pve-cluster.ts";
import { AUDITOR } from "../../src/demo/pve-users.ts";

export interface Simulation {
  readonly size: PveClusterSize;
  readonly knobs?: Partial<PveApiKnobs>;
  /** Nodes that are members, and for which no call is answered. */
  readonly hung?: readonly string[];
}

/** Since the last time that somebody wanted to know. */
export interface Asked {
  readonly paths: readonly string[];
  /** Calls that were open at once. */
  readonly highest: number;
  /** That were made. */
  readonly connections: number;
}

export interface Simulated extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  asked(): Promise<Asked>;
}

export async function simulate(simulation: Simulation): Promise<Simulated> {
  let hear: (answer: unknown) => void = () => {};
  const heard = () =>
    new Promise<unknown>((resolve) => {
      hear = resolve;
    });
  const started = heard();
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(simulation)], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (answer) => hear(answer),
  });
  const url = await Promise.race([started, child.exited]);
  if (typeof url !== "string") throw new Error("the simulated Proxmox VE did not start");
  return {
    url,
    async asked() {
      const answer = heard();
      child.send("asked");
      const asked = await answer;
      if (!isAsked(asked)) throw new Error("the simulated Proxmox VE does not say what it was asked");
      return asked;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

const isAsked = (value: unknown): value is Asked =>
  typeof value === "object" && value !== null && "paths" in value && "highest" in value;

async function run({ size, knobs = {}, hung = [] }: Simulation): Promise<void> {
  const happenings = hung.map((node) => ({ atMs: 0, kind: "node", node, condition: "hung" }) as const);
  const cluster = new PveCluster(size, { elapsed: () => 60_000, happenings });
  const api = new PveApi(cluster, { users: [AUDITOR], types: "usual", knobs });
  const { requests } = api;
  process.on("message", () => {
    const { seen, highest, connections } = requests;
    process.send?.({ paths: seen.map(({ path }) => path), highest, connections });
    requests.clear();
  });
  // Whoever started it has ended, however that happened.
  process.on("disconnect", () => process.exit());
  process.send?.(await api.start());
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? ""));
