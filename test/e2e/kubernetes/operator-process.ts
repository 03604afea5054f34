/** The operator of a cluster, run from the built binary as its Deployment runs it, with the rights that it has there. */
import { mkdirSync, mkdtempSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import * as v from "valibot";
import { ROOT } from "../../../.ci/build.ts";
import { POD } from "../../../src/kubernetes/object.ts";
import { plumblineBinary } from "../../support/binary.ts";
import { freePort } from "../../support/ports.ts";
import { type Process, watch } from "../../support/processes.ts";
import { seriesOfExposition } from "../../support/series.ts";
import { type Cluster, kubeconfigOf } from "./cluster.ts";
import { until } from "./until.ts";

export const NAMESPACE = "plumbline";
const DEPLOY = join(ROOT, "deploy/kubernetes");
const LIMIT_MS = 30_000;
const ANSWER_MS = 15_000;
const STOP_MS = 5000;

export type Overlay = "operator" | "operator-openshift";

/** What the overlay applies on a cluster that knows the Prometheus operator's kinds, or does not. */
export async function rendered(cluster: Cluster, overlay: Overlay, hasMonitors: boolean): Promise<string> {
  const directory = join(cluster.directory, `kustomize-${overlay}-${hasMonitors}`);
  mkdirSync(directory, { recursive: true });
  const path = (below: string) => relative(directory, join(DEPLOY, below));
  const kustomization = {
    resources: [path(`overlays/${overlay}`)],
    components: hasMonitors ? [] : [path("components/without-prometheus-operator")],
  };
  writeFileSync(join(directory, "kustomization.yaml"), JSON.stringify(kustomization));
  return await cluster.kubectl(["kustomize", directory]);
}

/** Applies the overlay, and waits for the pods of the Deployment, which are played like all others. */
export async function installOperator(
  cluster: Cluster,
  { overlay = "operator", replicas = 1, hasMonitors = false }: Installation = {},
): Promise<readonly OperatorPod[]> {
  await cluster.kubectl(["apply", "--filename=-"], await rendered(cluster, overlay, hasMonitors));
  await cluster.kubectl(["--namespace", NAMESPACE, "scale", "deployment", "--all", `--replicas=${replicas}`]);
  return until("the operator's pods run", LIMIT_MS, async () => {
    const pods = (await cluster.admin.list(POD, NAMESPACE))
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .flatMap((pod) => (v.is(RUNNING, pod) ? [v.parse(RUNNING, pod)] : []));
    return (
      pods.length === replicas &&
      pods.map(({ metadata: { name, uid }, spec }) => ({ name, uid, account: spec.serviceAccountName }))
    );
  });
}

export interface Installation {
  readonly overlay?: Overlay;
  readonly replicas?: number;
  readonly hasMonitors?: boolean;
}

export interface OperatorPod {
  readonly name: string;
  readonly uid: string;
  readonly account: string;
}

const RUNNING = v.object({
  metadata: v.object({
    name: v.string(),
    uid: v.string(),
    ownerReferences: v.array(v.object({ kind: v.literal("ReplicaSet") })),
  }),
  spec: v.object({ serviceAccountName: v.string() }),
  status: v.object({ phase: v.literal("Running") }),
});

/** How the process finds and reaches the API server: what stands before its command, and its environment. */
export interface Access {
  readonly before: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What is run; the built binary, if this is missing. */
  readonly plumbline?: readonly string[];
}

/** As in a pod: the process sees `account` at its place below /var/run, which is /run. Needs root. */
export function inCluster({ port }: Cluster, account: AccountFolder): Access {
  return {
    before: ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', account.run],
    environment: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(port) },
  };
}

export function byKubeconfig(path: string): Access {
  return { before: [], environment: { KUBECONFIG: path } };
}

/** With the token of `account`, which is read from its file. */
export function byTokenFile(cluster: Cluster, account: AccountFolder): Access {
  const path = join(account.run, "kubeconfig");
  const user = { tokenFile: join(account.directory, "token") };
  writeFileSync(path, kubeconfigOf(cluster.server, cluster.pki.caFile, user, NAMESPACE));
  return byKubeconfig(path);
}

/** The folder of a service account in a pod, changed as the kubelet does it: all of its files at once, by one rename. */
export class AccountFolder {
  /** What is /run in the pod. */
  readonly run: string;
  readonly directory: string;
  readonly #ca: string;
  #version = 0;

  constructor(cluster: Cluster, name: string) {
    this.run = mkdtempSync(join(cluster.directory, `run-${name}-`));
    this.directory = join(this.run, "secrets/kubernetes.io/serviceaccount");
    this.#ca = cluster.pki.ca;
    mkdirSync(this.directory, { recursive: true });
    for (const file of ["token", "ca.crt", "namespace"])
      symlinkSync(join("..data", file), join(this.directory, file));
  }

  write(token: string): void {
    const version = `..version-${this.#version++}`;
    const files = { token, "ca.crt": this.#ca, namespace: NAMESPACE };
    mkdirSync(join(this.directory, version));
    for (const [file, text] of Object.entries(files))
      writeFileSync(join(this.directory, version, file), text);
    symlinkSync(version, join(this.directory, "..next"));
    renameSync(join(this.directory, "..next"), join(this.directory, "..data"));
  }
}

/** With a token that is bound to the pod, as the kubelet has it made. */
export async function accountOf(cluster: Cluster, pod: OperatorPod): Promise<AccountFolder> {
  const folder = new AccountFolder(cluster, pod.name);
  const { name, uid, account } = pod;
  folder.write(await cluster.admin.token(account, NAMESPACE, { kind: "Pod", name, uid }));
  return folder;
}

export interface RunningOperator extends AsyncDisposable {
  readonly process: Process;
  /** `host:port` of the aggregate. */
  readonly aggregateAddress: string;
  /** As a Prometheus that waits for 5 s. */
  aggregate(): Promise<Response>;
  /** What it answers at its other address. */
  health(path: string): Promise<Response>;
  /** The series of its own metrics, by `seriesKey`. */
  own(): Promise<ReadonlyMap<string, number>>;
}

export async function startOperator(
  { name }: Pick<OperatorPod, "name">,
  { before, environment, plumbline }: Access,
  ...flags: string[]
): Promise<RunningOperator> {
  const [aggregateAddress, healthAddress] = [
    `127.0.0.1:${await freePort()}`,
    `127.0.0.1:${await freePort()}`,
  ];
  const process = watch(
    [
      ...["setpriv", "--pdeathsig", "KILL", ...before],
      ...[...(plumbline ?? [await plumblineBinary()]), "operator"],
      ...[
        `--metrics.listen-address=${aggregateAddress}`,
        `--health.listen-address=${healthAddress}`,
        ...flags,
      ],
    ],
    { POD_NAME: name, POD_NAMESPACE: NAMESPACE, ...environment },
  );
  const get = (address: string, path: string) =>
    fetch(`http://${address}${path}`, {
      headers: { "x-prometheus-scrape-timeout-seconds": "5" },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  const health = (path: string) => get(healthAddress, path);
  try {
    await process.line(/operator started/);
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
  return {
    process,
    aggregateAddress,
    aggregate: () => get(aggregateAddress, "/metrics"),
    health,
    own: async () => seriesOfExposition(await (await health("/metrics")).text()),
    async [Symbol.asyncDispose]() {
      // So that no other has to wait for the Lease.
      process.kill("SIGTERM");
      await Promise.race([process.exited, Bun.sleep(STOP_MS)]);
      await process[Symbol.asyncDispose]();
    },
  };
}

/** Until it leads and has seen what there is. */
export async function leading(operator: RunningOperator): Promise<void> {
  await until("the operator leads", LIMIT_MS, async () => {
    const { status } = await operator.health("/readyz");
    return status === 200 && (await operator.own()).get("plumbline_operator_leader{}") === 1;
  });
}
