/** The Mayastor clusters that the simulated REST service shows: one that lives, and one as large as wanted. */
import { uuidOf } from "./made-up-uuid.ts";
import type { ChildStatus, CordonDrainState, NodeStatus, PoolStatus } from "./mayastor-api.ts";
import {
  assemble,
  type Cluster,
  type NodePlan,
  type PoolPlan,
  type ReplicaPlan,
  type TargetPlan,
  type VolumePlan,
} from "./mayastor-assembly.ts";
import { isActive } from "./nvme-recording.ts";

export type { Cluster } from "./mayastor-assembly.ts";

/** What it looks like so many ms after it began. What goes wrong lasts as long as the alert about it waits. */
export function livingCluster(elapsedMs: number): Cluster {
  const moment = momentAt(elapsedMs / 1000);
  return assemble({ nodes: nodesAt(moment), pools: poolsAt(moment), volumes: volumesAt(moment) });
}

/** One in which all is well, for benchmarks. */
export function largeCluster(size: ClusterSize): Cluster {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const nodes = numbers(size.nodes).map((i): NodePlan => {
    return { id: `node-${i}`, address: addressOf(i), version: VERSION, status: "Online" };
  });
  const pools = numbers(size.pools).map((i): PoolPlan => {
    const on = { id: `pool-${i}`, node: `node-${i % size.nodes}`, disks: [`/dev/disk/by-id/wwn-${i}`] };
    return { ...on, capacity: 2048 * GIB, status: "Online", expandable: true };
  });
  const volumes = numbers(size.volumes).map((i): VolumePlan => {
    const replicas = numbers(size.replicasPerVolume).map((k): ReplicaPlan => {
      return { pool: `pool-${(i + k) % size.pools}`, child: "Online", allocated: (1 + (i % 40)) * GIB };
    });
    const target = { node: `node-${i % size.nodes}` };
    return { uuid: volumeNamed(String(i)), size: 50 * GIB, thin: i % 2 === 0, target, replicas };
  });
  return assemble({ nodes, pools, volumes });
}

export interface ClusterSize {
  readonly nodes: number;
  readonly pools: number;
  readonly volumes: number;
  readonly replicasPerVolume: number;
}

const GIB = 1024 ** 3;

const VERSION = "v2.9.0";
const OLD_VERSION = "v2.7.1";

const addressOf = (number: number) => `10.1.${Math.floor(number / 250)}.${1 + (number % 250)}`;

/** What is another at another time. */
interface Moment {
  readonly worker2: { readonly cordon: CordonDrainState | undefined; readonly mail: TargetPlan };
  readonly worker3: NodeStatus;
  /** The pool of worker-3 is imported a while after the node is back. */
  readonly pool3: "Online" | undefined;
  /** The replica of orders on it. */
  readonly orders3: Child;
  readonly worker4: "Online" | "Unknown";
  readonly sessions: TargetPlan;
  readonly pool1b: PoolStatus;
  /** In bytes. */
  readonly logs: number;
  readonly pool6: PoolStatus;
  readonly worker8Stored: boolean;
  readonly pool8Created: boolean;
  readonly analytics: Child;
}

interface Child {
  readonly child: ChildStatus;
  readonly rebuilt?: number;
}

const WORKER_4_RESTARTS = { everySeconds: 120, forSeconds: 40, afterSeconds: 75 };
/** Then there is a new one. */
const WORKER_4_TARGET_LOST = { everySeconds: 120, forSeconds: 15, afterSeconds: 75 };
const POOL_1B_FAULTED = { everySeconds: 1800, forSeconds: 1200, afterSeconds: 120 };
const POOL_6_SUSPECTED = { everySeconds: 300, forSeconds: 60, afterSeconds: 200 };
const POOL_8_CREATED = { everySeconds: 180, forSeconds: 160, afterSeconds: 20 };
const WORKER_8_STORED_AFTER = 120;

function momentAt(seconds: number): Moment {
  const away = isActive(WORKER_4_RESTARTS, seconds);
  const moved = away && !isActive(WORKER_4_TARGET_LOST, seconds);
  return {
    worker2: maintenanceAt(seconds),
    ...outageAt(seconds),
    worker4: away ? "Unknown" : "Online",
    sessions: { node: moved ? "worker-1" : "worker-4" },
    pool1b: isActive(POOL_1B_FAULTED, seconds) ? "Faulted" : "Online",
    logs: logsAt(seconds),
    pool6: isActive(POOL_6_SUSPECTED, seconds) ? "Suspected" : "Online",
    worker8Stored: seconds >= WORKER_8_STORED_AFTER,
    pool8Created: isActive(POOL_8_CREATED, seconds),
    analytics: stalledRebuildAt(seconds),
  };
}

const MAINTENANCE = ["maintenance"];

function maintenanceAt(elapsed: number): Moment["worker2"] {
  const seconds = elapsed % 240;
  const there = { node: "worker-2" };
  const drain = { cordonlabels: MAINTENANCE, drainlabels: ["upgrade"] };
  if (seconds < 30 || seconds >= 210) return { cordon: undefined, mail: there };
  if (seconds < 70) return { cordon: { cordonedstate: { cordonlabels: MAINTENANCE } }, mail: there };
  if (seconds < 140) return { cordon: { drainingstate: drain }, mail: movedAt(seconds - 70) };
  return { cordon: { drainedstate: drain }, mail: { node: "worker-1" } };
}

/** A target is shut down on the node that drains before there is one elsewhere. */
function movedAt(seconds: number): TargetPlan {
  if (seconds < 20) return { node: "worker-2" };
  if (seconds < 35) return { node: "worker-2", state: "ShuttingDown" };
  if (seconds < 50) return { node: "worker-2", state: "Shutdown" };
  return { node: "worker-1" };
}

function outageAt(elapsed: number): Pick<Moment, "worker3" | "pool3" | "orders3"> {
  const seconds = elapsed % 720;
  if (seconds >= 60 && seconds < 480) {
    return { worker3: "Offline", pool3: undefined, orders3: { child: "Faulted" } };
  }
  const back = seconds - 480;
  if (back >= 0 && back < 20) return { worker3: "Online", pool3: undefined, orders3: { child: "Faulted" } };
  const rebuilt = Math.floor((back - 20) / 1.8);
  const rebuilding = rebuilt >= 0 && rebuilt < 100;
  return {
    worker3: "Online",
    pool3: "Online",
    orders3: rebuilding ? { child: "Degraded", rebuilt } : { child: "Online" },
  };
}

function stalledRebuildAt(elapsed: number): Child {
  const seconds = elapsed % 3600;
  const rebuilt =
    seconds < 2700 ? Math.min(37, Math.floor(seconds / 5)) : 37 + Math.floor((seconds - 2700) / 5);
  return rebuilt < 100 ? { child: "Degraded", rebuilt } : { child: "Online" };
}

/** From 70 % of the pool to 96 % in five minutes, and there it stays until somebody cuts it. */
const logsAt = (elapsed: number): number =>
  Math.floor(POOL_5B_BYTES * (0.7 + 0.26 * Math.min(1, (elapsed % 1800) / 300)));

const POOL_5B_BYTES = 512 * GIB;

function nodesAt({ worker2, worker3, worker4, worker8Stored }: Moment): NodePlan[] {
  const worker = (number: number, status: NodeStatus | undefined, cordon?: CordonDrainState): NodePlan => {
    const version = number === 7 ? OLD_VERSION : VERSION;
    return { id: `worker-${number}`, address: addressOf(9 + number), version, status, cordon };
  };
  const maintenance = { cordonlabels: [], drainlabels: MAINTENANCE };
  return [
    worker(1, "Online"),
    worker(2, "Online", worker2.cordon),
    worker(3, worker3),
    worker(4, worker4),
    worker(5, "Online", { cordonedstate: { cordonlabels: ["firmware", "ticket-4711"] } }),
    worker(6, "Online", { drainingstate: maintenance }),
    worker(7, undefined, { drainedstate: { cordonlabels: [], drainlabels: ["decommission"] } }),
    { ...worker(8, "Online"), unstored: !worker8Stored },
  ];
}

function poolsAt({ pool1b, pool3, pool6, pool8Created }: Moment): PoolPlan[] {
  const pool = (name: string, status: PoolStatus | undefined, capacity = 2048 * GIB): PoolPlan => {
    const number = name.slice(0, 1);
    const disks = [`/dev/disk/by-id/nvme-example-${name}`];
    return {
      id: `pool-${name}`,
      node: `worker-${number}`,
      disks,
      capacity,
      status,
      expandable: number < "7",
    };
  };
  return [
    pool("1", "Online"),
    pool("1b", pool1b),
    pool("2", "Online"),
    pool("3", pool3),
    pool("4", "Online"),
    pool("5", "Online"),
    pool("5b", "Online", POOL_5B_BYTES),
    pool("6", pool6),
    { ...pool("8", pool8Created ? "Online" : undefined), specStatus: pool8Created ? "Created" : "Creating" },
  ];
}

function volumesAt(moment: Moment): VolumePlan[] {
  const on = (pool: string, more: Partial<ReplicaPlan> = {}): ReplicaPlan => {
    return { pool: `pool-${pool}`, child: "Online", ...more };
  };
  const whileRestarting: Partial<ReplicaPlan> = { child: moment.worker4 === "Online" ? "Online" : "Faulted" };
  const onPool3 = on("3", { child: moment.pool3 === undefined ? "Faulted" : "Online" });
  const one = { node: "worker-1" };
  return [
    {
      uuid: volumeNamed("orders"),
      size: 200 * GIB,
      target: one,
      replicas: [on("1"), on("2"), on("3", moment.orders3)],
      affinityGroup: "shop/orders",
    },
    {
      uuid: volumeNamed("scratch"),
      size: 50 * GIB,
      target: one,
      replicas: [onPool3],
    },
    {
      uuid: volumeNamed("cache"),
      size: 40 * GIB,
      target: { node: "worker-3", missing: moment.pool3 === undefined },
      replicas: [onPool3],
    },
    { uuid: volumeNamed("mail"), size: 100 * GIB, target: moment.worker2.mail, replicas: [on("1"), on("2")] },
    {
      uuid: volumeNamed("sessions"),
      size: 20 * GIB,
      target: moment.sessions,
      replicas: [on("1"), on("4", whileRestarting)],
    },
    {
      uuid: volumeNamed("photos"),
      size: 300 * GIB,
      target: one,
      replicas: [on("1b", { child: moment.pool1b === "Online" ? "Online" : "Faulted" }), on("2")],
    },
    {
      uuid: volumeNamed("logs"),
      size: 2048 * GIB,
      thin: true,
      target: { node: "worker-5" },
      replicas: [on("5b", { allocated: moment.logs })],
    },
    {
      uuid: volumeNamed("analytics"),
      size: 400 * GIB,
      target: one,
      replicas: [on("2"), on("5", moment.analytics)],
    },
    { uuid: volumeNamed("billing"), size: 80 * GIB, target: { node: "worker-6" }, replicas: [on("6")] },
    {
      uuid: volumeNamed("idle"),
      size: 60 * GIB,
      thin: true,
      replicas: [on("5", { allocated: 9 * GIB, kind: "SnapshotClone" }), on("6", { allocated: 9 * GIB })],
      snapshots: { count: 2, bytes: 3 * GIB },
    },
  ];
}

/** The volume `orders` of the demo's Kubernetes node: the only one of this driver there. */
export const ORDERS = "7e5c1a52-1f0b-4c39-9d2e-6b8f0a3d4c21";

function volumeNamed(name: string): string {
  return name === "orders" ? ORDERS : uuidOf(`volume ${name}`);
}

/** One line a thing, for people: what the living cluster shows. */
export const LIVING_CLUSTER_SHOWS: readonly (readonly [subject: string, what: string])[] = [
  ["worker-1", "well all the time; but its pool-1b is faulted for 20 of every 30 minutes"],
  ["worker-2", "cordoned, draining, drained and back, every four minutes"],
  ["worker-3", "offline for 7 of every 12 minutes"],
  ["worker-4", "restarts every two minutes, and is Unknown meanwhile"],
  ["worker-5", "cordoned for new firmware; its pool-5b fills up to 96 %, and is cut every half hour"],
  ["worker-6", "drains and never ends; its pool-6 is suspected now and then"],
  ["worker-7", "drained and gone, but still listed"],
  ["worker-8", "new: two minutes pass until it is stored; its pool-8 is created every three minutes"],
  [shown("orders"), "degraded while worker-3 is offline, then rebuilt within three minutes"],
  [shown("scratch"), "its only replica is on worker-3: faulted meanwhile"],
  [shown("cache"), "its only replica and its target are on worker-3: unknown meanwhile"],
  [shown("mail"), "leaves worker-2 while that drains"],
  [shown("sessions"), "leaves worker-4 when that restarts, after a moment as unknown"],
  [shown("photos"), "degraded while pool-1b is faulted"],
  [shown("logs"), "what fills pool-5b, thin"],
  [shown("analytics"), "its rebuild stays at 37 %, for 45 minutes of every hour"],
  [shown("billing"), "why the drain of worker-6 does not end"],
  [shown("idle"), "not published, with two snapshots"],
];

/** Its PersistentVolume has no name but `pvc-` and the uuid. */
function shown(name: string): string {
  return `${name} (pvc-${volumeNamed(name).slice(0, 8)}…)`;
}
