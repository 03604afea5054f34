/**
 * The built operator on a simulated cluster of 1,000 nodes: what it holds in memory, and what it asks of the API server
 * when all is as declared and when pods change. Beside it what the same binary holds on a cluster of one node.
 *
 *     bun test/bench/operator.bench.ts [--quick] [--json] [BINARY]
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { writtenStatus } from "../../src/kubernetes/controller/status.ts";
import { PLUMBLINE, POD } from "../../src/kubernetes/object.ts";
import { NAMESPACE, PLUMBLINE_CRD, plumbline } from "../kubernetes/operating.ts";
import { MONITORING_CRDS } from "../support/kubernetes-api/crds.ts";
import { type FakeKubernetes, startKubernetesApi } from "../support/kubernetes-api/start.ts";

const words = process.argv.slice(2);
const isQuick = words.includes("--quick");
const binary = resolve(
  words.find((word) => !word.startsWith("--")) ??
    `dist/plumbline-linux-${process.arch === "arm64" ? "arm64" : "x64"}`,
);
/** What a pod has beside what is read of it: managedFields, volumes, probes. */
const PADDING = "x".repeat(5000);
const IDLE_MS = isQuick ? 15_000 : 60_000;
const MAX_MIB = 100;

interface Figures {
  readonly nodes: number;
  readonly settledSeconds: number;
  readonly idleMiB: number;
  readonly peakMiB: number;
  /** In the idle time, without those for the Lease. */
  readonly idleRequests: number;
  readonly lists: number;
  /** Of the operator while each pod changed once. */
  readonly churnRequests: number;
}

async function measure(nodes: number): Promise<Figures> {
  await using api = await startKubernetesApi({
    nodes,
    controllers: true,
    crds: [PLUMBLINE_CRD, ...MONITORING_CRDS],
  });
  api.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
  api.put(plumbline());
  const startedAt = performance.now();
  const operator = Bun.spawn(
    [
      binary,
      "operator",
      `--kubeconfig=${api.kubeconfig}`,
      `--namespace=${NAMESPACE}`,
      "--metrics.listen-address=127.0.0.1:0",
      "--health.listen-address=127.0.0.1:0",
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  try {
    await until(() => readyNodes(api) === nodes);
    const settledSeconds = (performance.now() - startedAt) / 1000;
    const before = count(api);
    for (const { metadata } of api.objects(POD, NAMESPACE)) {
      api.edit(POD, metadata.name, NAMESPACE, { metadata: { annotations: { padding: PADDING } } });
    }
    await Bun.sleep(5000);
    const churnRequests = count(api) - before;
    const idle = { requests: count(api), lists: count(api, "list") };
    await Bun.sleep(IDLE_MS);
    const memory = readFileSync(`/proc/${operator.pid}/status`, "utf8");
    return {
      nodes,
      settledSeconds,
      idleMiB: mib(memory, "VmRSS"),
      peakMiB: mib(memory, "VmHWM"),
      idleRequests: count(api) - idle.requests,
      lists: count(api, "list") - idle.lists,
      churnRequests,
    };
  } finally {
    operator.kill();
    await operator.exited;
  }
}

function readyNodes(api: FakeKubernetes): number {
  const found = api.object(PLUMBLINE, "cluster", NAMESPACE);
  return (found && writtenStatus(found)?.ready) ?? 0;
}

const count = (api: FakeKubernetes, verb?: string): number =>
  api.requests.filter((one) => one.resource !== "leases" && (verb === undefined || one.verb === verb)).length;

const mib = (status: string, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error("the operator did not get there in 2 minutes");
    await Bun.sleep(50);
  }
}

const one = await measure(1);
const thousand = await measure(1000);
const isMet = thousand.idleMiB <= MAX_MIB && thousand.lists === 0 && thousand.idleRequests === 0;
if (words.includes("--json")) process.stdout.write(`${JSON.stringify({ one, thousand, isMet })}\n`);
else {
  for (const figures of [one, thousand]) {
    const { nodes, settledSeconds, idleMiB, peakMiB, idleRequests, lists, churnRequests } = figures;
    process.stdout.write(
      `${nodes} nodes: all ready after ${settledSeconds.toFixed(1)} s; ${idleMiB.toFixed(0)} MiB resident when idle ` +
        `(peak ${peakMiB.toFixed(0)}); ${idleRequests} requests in ${IDLE_MS / 1000} s, ${lists} of them lists; ` +
        `${churnRequests} while every pod changed once\n`,
    );
  }
  process.stdout.write(`target: at most ${MAX_MIB} MiB, no request when idle: ${isMet ? "met" : "MISSED"}\n`);
}
process.exitCode = isMet ? 0 : 1;
