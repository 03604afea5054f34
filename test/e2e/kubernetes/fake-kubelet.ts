/**
 * Plays the kubelet of every node of a cluster: no container runs, but a pod that is bound to one of its nodes gets the
 * status of one that does, and goes when it is deleted. The annotation `kubelet.test/state` of a pod, or of a template,
 * says otherwise, at any time: `crash`, `notready`, `ready`; or `pending`, for one that does not even start.
 */
import * as v from "valibot";
import { NODE, ObjectSchema, POD } from "../../../src/kubernetes/object.ts";
import { type Client, pathOf } from "./client.ts";

export const STATE = "kubelet.test/state";

export interface KubeletOptions {
  readonly nodes: readonly string[];
  readonly podIp: (pod: {
    readonly node: string;
    readonly namespace: string;
    readonly name: string;
  }) => string;
}

const RETRY_MS = 300;

const POD_SCHEMA = v.looseObject({
  ...ObjectSchema.entries,
  spec: v.looseObject({
    nodeName: v.optional(v.string()),
    containers: v.array(v.looseObject({ name: v.string(), image: v.string() })),
  }),
  status: v.looseObject({
    phase: v.optional(v.string()),
    podIP: v.optional(v.string()),
    startTime: v.optional(v.string()),
    conditions: v.optional(v.array(v.looseObject({ type: v.string(), status: v.string() }))),
    containerStatuses: v.optional(v.array(v.looseObject({ restartCount: v.number() }))),
  }),
});
type Pod = v.InferOutput<typeof POD_SCHEMA>;

const PODS = v.object({
  metadata: v.object({ resourceVersion: v.string() }),
  items: v.array(POD_SCHEMA),
});
const POD_EVENT = v.variant("type", [
  v.object({ type: v.picklist(["ADDED", "MODIFIED", "DELETED"]), object: POD_SCHEMA }),
  v.object({ type: v.picklist(["ERROR", "BOOKMARK"]), object: v.unknown() }),
]);

export class FakeKubelet {
  readonly #client: Client;
  readonly #options: KubeletOptions;
  readonly #ending = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(client: Client, options: KubeletOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Registers its nodes, and plays from then on. */
  async start(): Promise<void> {
    await Promise.all(this.#options.nodes.map((name, index) => this.#register(name, index)));
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#watching;
  }

  async #register(name: string, index: number): Promise<void> {
    const zone = `us-east-1${"abc".charAt(index % 3)}`;
    await this.#client.create(NODE, {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name,
        labels: {
          "kubernetes.io/os": "linux",
          "kubernetes.io/hostname": name,
          "topology.kubernetes.io/zone": zone,
        },
      },
      spec: { providerID: `aws:///${zone}/i-${index.toString(16).padStart(17, "0")}` },
    });
    const resources = { cpu: "8", memory: "32Gi", pods: "110" };
    const time = now();
    await this.#client.must(
      "PATCH",
      `${pathOf(NODE, undefined, name)}/status`,
      {
        status: {
          capacity: resources,
          allocatable: resources,
          conditions: [
            {
              type: "Ready",
              status: "True",
              reason: "KubeletReady",
              lastHeartbeatTime: time,
              lastTransitionTime: time,
            },
          ],
        },
      },
      "strategic-merge-patch+json",
    );
  }

  /** List and watch, from the beginning after every end of a watch: for tests that is good enough. */
  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        const { metadata, items } = v.parse(PODS, await this.#client.must("GET", pathOf(POD)));
        for (const pod of items) void this.#tend(pod);
        const query = `watch=1&timeoutSeconds=600&resourceVersion=${metadata.resourceVersion}`;
        const { body } = await this.#client.open("GET", `${pathOf(POD)}?${query}`, { signal });
        if (body !== null) await this.#follow(body);
      } catch {
        // The API server is away: tests take it away.
        if (!signal.aborted) await Bun.sleep(RETRY_MS);
      }
    }
  }

  async #follow(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of body) {
      const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const event = v.parse(POD_EVENT, JSON.parse(line));
        if (event.type === "ERROR") return;
        if (event.type === "ADDED" || event.type === "MODIFIED") void this.#tend(event.object);
      }
    }
  }

  async #tend({ metadata, spec, status }: Pod): Promise<void> {
    const { name, namespace = "", uid, annotations, deletionTimestamp } = metadata;
    const { nodeName: node } = spec;
    if (node === undefined || !this.#options.nodes.includes(node)) return;
    const path = pathOf(POD, namespace, name);
    if (deletionTimestamp !== undefined) {
      await this.#ask("DELETE", path, { gracePeriodSeconds: 0, preconditions: { uid } });
      return;
    }
    const state = annotations?.[STATE] ?? "ready";
    if (state === "pending" || state === stateOf(status)) return;
    const podIP = status.podIP ?? this.#options.podIp({ node, namespace, name });
    const started = {
      startTime: status.startTime ?? now(),
      podIP,
      podIPs: [{ ip: podIP }],
      hostIP: "127.0.0.1",
    };
    await this.#ask("PATCH", `${path}/status`, { status: { ...started, ...statusOf(state, spec) } });
  }

  /** What fails is not asked again: whoever changes the pod next brings it back. */
  async #ask(method: "PATCH" | "DELETE", path: string, body: object): Promise<void> {
    const type = method === "PATCH" ? "strategic-merge-patch+json" : "json";
    const answer = await this.#client.request(method, path, body, type).catch(() => undefined);
    if (answer?.status === 422) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
  }
}

function statusOf(state: string, spec: Pod["spec"]): object {
  const time = now();
  const ready = state === "ready";
  const crashed = state === "crash";
  const condition = (type: string, holds: boolean) => ({
    type,
    status: holds ? "True" : "False",
    reason: holds ? null : "ContainersNotReady",
    lastTransitionTime: time,
  });
  return {
    phase: "Running",
    conditions: [
      condition("Initialized", true),
      condition("ContainersReady", ready),
      condition("Ready", ready),
    ],
    containerStatuses: spec.containers.map(({ name, image }) => ({
      name,
      image,
      imageID: image,
      ready,
      started: !crashed,
      restartCount: crashed ? 5 : 0,
      state: crashed
        ? { waiting: { reason: "CrashLoopBackOff" }, running: null }
        : { running: { startedAt: time }, waiting: null },
    })),
  };
}

function stateOf({ phase, conditions = [], containerStatuses = [] }: Pod["status"]): string {
  if (phase !== "Running") return "pending";
  if (conditions.some(({ type, status }) => type === "Ready" && status === "True")) return "ready";
  return containerStatuses.some(({ restartCount }) => restartCount > 0) ? "crash" : "notready";
}

/** As Kubernetes writes a Time. */
function now(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}
