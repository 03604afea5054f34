/** Endpoints of Proxmox VE without a server: each path answers what a test says, whole and at once, or not at all. */
import { Secret } from "../../src/config/secret.ts";
import type { PveClient } from "../../src/pve/client.ts";
import type { Connect } from "../../src/pve/endpoints.ts";
import { PveFailure } from "../../src/pve/failure.ts";
import type { PveModule, PveTarget } from "../../src/pve/target.ts";

/** `data`, a PveFailure, or "hang": what a path answers, by its beginning; the longest that fits counts. */
export type EndpointAnswers = Record<string, unknown>;

export const HANG = "hang";

export class FakeEndpoint {
  readonly answers: EndpointAnswers;
  /** Every path, in order. */
  readonly asked: string[] = [];
  isClosed = false;

  constructor(answers: EndpointAnswers = {}) {
    this.answers = { ...ANSWERS, ...answers };
  }

  get: PveClient["get"] = async (path, { signal, deadline }) => {
    this.asked.push(path);
    signal.throwIfAborted();
    const [answer] = Object.keys(this.answers)
      .filter((beginning) => path.startsWith(beginning))
      .sort((a, b) => b.length - a.length)
      .map((beginning) => this.answers[beginning]);
    if (answer === HANG) return hanging(path, signal, deadline);
    if (answer instanceof PveFailure) throw answer;
    return answer;
  };

  times(path: string): number {
    return this.asked.filter((asked) => asked === path).length;
  }

  close(): void {
    this.isClosed = true;
  }
}

function hanging(path: string, signal: AbortSignal, deadline: number): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new PveFailure("timeout", path, "late")),
    deadline - performance.now(),
  );
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  });
  return promise;
}

export const memberRow = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  type: "node",
  id: `node/${name}`,
  name,
  nodeid: 1,
  online: 1,
  local: 0,
  level: "",
  ...more,
});

export const clusterRow = (more: Readonly<Record<string, unknown>> = {}) => ({
  type: "cluster",
  id: "cluster",
  name: "prod",
  nodes: 3,
  version: 7,
  quorate: 1,
  ...more,
});

/** pve1 (local), pve2 and pve3, which is offline. */
export const THREE_NODES = [
  clusterRow(),
  memberRow("pve1", { local: 1 }),
  memberRow("pve2"),
  memberRow("pve3", { online: 0 }),
];

const RESOURCES = [
  { type: "node", id: "node/pve1", node: "pve1", status: "online" },
  { type: "node", id: "node/pve2", node: "pve2", status: "online" },
  { type: "node", id: "node/pve3", node: "pve3", status: "offline" },
  { type: "qemu", id: "qemu/100", vmid: 100, node: "pve1", status: "running" },
  { type: "storage", id: "storage/pve1/local", storage: "local", node: "pve1", status: "available" },
];

const ANSWERS: EndpointAnswers = {
  "/": [],
  "/cluster/status": THREE_NODES,
  "/cluster/resources": RESOURCES,
  "/version": { release: "9.2", version: "9.2.2", repoid: "b9984c6d90a4bd80" },
};

export const unanswered = (network: "connect" | "tls" = "connect"): PveFailure =>
  new PveFailure("unreachable", "/cluster/status", "cannot reach https://a:8006", { network });
export const unauthorized = (): PveFailure =>
  new PveFailure("unauthorized", "/cluster/status", "https://a:8006 answered 401", { status: 401 });
export const nodeGone = (path = "/nodes/pve2"): PveFailure =>
  new PveFailure("unreachable", path, `${path}: 595`, { status: 595 });

export const MODULE: PveModule = {
  credentials: {
    kind: "token",
    user: "plumbline@pve",
    tokenName: "metrics",
    secret: new Secret(() => "b6f0c9de-planted-secret"),
  },
  tls: { caFile: undefined, fingerprint: undefined, verify: true },
  timeoutMs: 5000,
};

export const targetOf = (endpoints: readonly string[], more: Partial<PveTarget> = {}): PveTarget => ({
  name: "home",
  endpoints,
  module: MODULE,
  cluster: undefined,
  collectors: {},
  physicalDisks: { smartIntervalMs: "never", excludeNodes: [] },
  configGuestLimit: 500,
  ...more,
});

/** By address. */
export const connectTo =
  (endpoints: Readonly<Record<string, FakeEndpoint>>): Connect =>
  ({ url }) => {
    const { get, close } = endpoints[url] ?? missing(url);
    return { get, close: close.bind(endpoints[url]), serverDate: undefined };
  };

function missing(url: string): never {
  throw new Error(`nobody expected ${url}`);
}
