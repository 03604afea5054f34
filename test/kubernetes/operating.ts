/** An operator beside the kit's API server, and what a test of it asks again and again. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { clusterAccess } from "../../src/kubernetes/client/access.ts";
import { KubernetesApi } from "../../src/kubernetes/client/api.ts";
import { type PlumblineStatus, writtenStatus } from "../../src/kubernetes/controller/status.ts";
import {
  EVENT,
  type Kind,
  type KubernetesObject,
  type Manifest,
  PLUMBLINE,
} from "../../src/kubernetes/object.ts";
import { Operator, type OperatorOptions } from "../../src/kubernetes/operator.ts";
import type { Log } from "../../src/log/log.ts";
import { OwnMetrics } from "../../src/metrics/own.ts";
import {
  type Account,
  type FakeKubernetes,
  type KubernetesApiOptions,
  startKubernetesApi,
} from "../support/kubernetes-api/start.ts";

export const NAMESPACE = "plumbline";
export const IMAGE = "registry.example/plumbline:1.0.0";

const ManifestSchema = v.looseObject({
  apiVersion: v.string(),
  kind: v.string(),
  metadata: v.looseObject({ name: v.string() }),
});

export const PLUMBLINE_CRD: Manifest = v.parse(
  ManifestSchema,
  parse(readFileSync(join(import.meta.dir, "../../deploy/kubernetes/crd/plumblines.yaml"), "utf8")),
);

export const plumbline = (spec: Readonly<Record<string, unknown>> = {}, name = "cluster"): Manifest => ({
  apiVersion: PLUMBLINE.apiVersion,
  kind: PLUMBLINE.kind,
  metadata: { name, namespace: NAMESPACE },
  spec: { image: IMAGE, ...spec },
});

/** Times that a test can wait for. */
const TIMING = {
  lease: { durationMs: 1500, renewDeadlineMs: 1000, retryMs: 100 },
  controller: {
    queue: { minIntervalMs: 20, firstBackoffMs: 50, maxBackoffMs: 500 },
    patience: { runningMs: 100, pendingMs: 400 },
  },
};

export interface Running {
  readonly operator: Operator;
  readonly own: OwnMetrics;
  readonly lines: string[];
  stop(): Promise<void>;
}

/** A cluster with nodes, DaemonSet controller and the CRD; what is started is stopped with it. */
export class Bed implements AsyncDisposable {
  readonly api: FakeKubernetes;
  readonly #running: Running[] = [];

  private constructor(api: FakeKubernetes) {
    this.api = api;
  }

  static async start(options: KubernetesApiOptions = {}): Promise<Bed> {
    const crds = [PLUMBLINE_CRD, ...(options.crds ?? [])];
    const api = await startKubernetesApi({ nodes: 3, controllers: true, ...options, crds });
    api.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
    return new Bed(api);
  }

  operate(options: Partial<OperatorOptions> & { readonly kubeconfig?: string } = {}): Running {
    const { kubeconfig = this.api.kubeconfig, ...rest } = options;
    const lines: string[] = [];
    const write = (message: string, fields: object = {}) => {
      lines.push(`${message} ${JSON.stringify(fields)}`);
    };
    const log: Log = { debug: () => {}, info: write, warn: write, error: write };
    const client = new KubernetesApi(clusterAccess({ kubeconfig, env: {} }), { log });
    const build = { version: "0", revision: "0", runtime: "bun", runtimeVersion: "0" };
    const own = new OwnMetrics(build, { processMetrics: false });
    const operator = new Operator(
      client,
      {
        namespace: NAMESPACE,
        leaderElect: false,
        identity: "operator-1",
        ownImage: undefined,
        timing: TIMING,
        ...rest,
      },
      own,
      log,
    );
    const stop = new AbortController();
    const run = operator.run(stop.signal);
    const running: Running = {
      operator,
      own,
      lines,
      stop: async () => {
        stop.abort();
        await run;
        client.close();
      },
    };
    this.#running.push(running);
    return running;
  }

  object(
    kind: Kind,
    name = "plumbline-cluster",
    namespace: string | undefined = NAMESPACE,
  ): KubernetesObject | undefined {
    return this.api.object(kind, name, kind.isNamespaced ? namespace : undefined);
  }

  status(name = "cluster"): PlumblineStatus | undefined {
    const found = this.object(PLUMBLINE, name);
    return found && writtenStatus(found);
  }

  /** `True AllNodesReady`. */
  condition(type: string, name = "cluster"): string | undefined {
    const found = this.status(name)?.conditions.find((condition) => condition.type === type);
    return found && `${found.status} ${found.reason}`;
  }

  message(type: string, name = "cluster"): string {
    return this.status(name)?.conditions.find((condition) => condition.type === type)?.message ?? "";
  }

  /** Until the Plumbline is available and nothing is wrong. */
  async settled(name = "cluster"): Promise<void> {
    await eventually(() => this.condition("Available", name) === "True AllNodesReady");
    await eventually(() => this.condition("Degraded", name) === "False AsDeclared");
    await eventually(() => this.condition("Progressing", name) === "False RolledOut");
    await quiet(this.api);
  }

  /** Reason and message of each event, in their order. */
  events(): string[] {
    return this.api.objects(EVENT, NAMESPACE).map((event) => {
      const { reason, message } = v.parse(v.looseObject({ reason: v.string(), message: v.string() }), event);
      return `${reason}: ${message}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running.map((running) => running.stop()));
    await this.api[Symbol.asyncDispose]();
  }
}

export async function eventually(holds: () => unknown, what = holds.toString()): Promise<void> {
  // A watch that was refused is tried again within 30 s.
  const deadline = performance.now() + 40_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await Bun.sleep(10);
  }
}

/** Until no request but those of the leader's Lease has come for a while. */
export async function quiet(api: FakeKubernetes, ms = 300): Promise<void> {
  const count = () => api.requests.filter(({ resource }) => resource !== "leases").length;
  let before = -1;
  while (before !== count()) {
    before = count();
    await Bun.sleep(ms);
  }
}

/** The value of a series; undefined where it is not exported. */
export async function metric(
  own: OwnMetrics,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const families = [...(await own.samples()).families.values()];
  const family = families.find(({ descriptor }) => descriptor.name === name);
  const index = family?.labels.findIndex((series) =>
    Object.entries(labels).every(([label, value]) => series[label] === value),
  );
  return index === undefined || index < 0 ? undefined : family?.values[index];
}

/** A kubeconfig of a ServiceAccount, whose token is read from its file. */
export function kubeconfigOf(api: FakeKubernetes, account: Account): string {
  const path = join(account.directory, "kubeconfig");
  const cluster = { server: api.server, "certificate-authority": api.caFile };
  const named = <T>(key: string, value: T) => [{ name: "it", [key]: value }];
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "it",
    clusters: named("cluster", cluster),
    users: named("user", { tokenFile: account.tokenFile }),
    contexts: named("context", { cluster: "it", user: "it" }),
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}
