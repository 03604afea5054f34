/** The moving numbers of a simulated cluster. Each node's pvestatd tells them every ten seconds; they last 300 s. */
import { wave } from "./pve-chance.ts";
import type { PveState } from "./pve-cluster.ts";
import type { NodePlan } from "./pve-inventory.ts";
import type { WorldGuest } from "./pve-world.ts";

const BROADCAST_SECONDS = 10;
const FORGOTTEN_AFTER_SECONDS = 300;

/** When this node last told its numbers, in seconds since the moment 0; undefined when that is forgotten. */
export function lastBroadcast({ nowMs, nodes }: PveState, node: string): number | undefined {
  const now = nowMs / 1000;
  const lostMs = nodes.get(node)?.lostMs;
  const last = lostMs === undefined ? now : lostMs / 1000;
  if (now - last >= FORGOTTEN_AFTER_SECONDS) return undefined;
  return Math.floor(last / BROADCAST_SECONDS) * BROADCAST_SECONDS;
}

export function nodeStatistics(state: PveState, plan: NodePlan, seconds: number) {
  const phase = plan.nodeid / 7;
  const load = 0.1 + 0.3 * wave(phase, 1700, seconds);
  const bootedMs = state.nodes.get(plan.name)?.bootedMs;
  const used = plan.memoryBytes * (0.4 + 0.2 * wave(phase, 5400, seconds));
  return {
    cpu: load,
    mem: Math.floor(used),
    /** Of the root file system. */
    disk: Math.floor(plan.rootBytes * (0.24 + 0.02 * wave(phase, 86_400, seconds))),
    swap: Math.floor(plan.swapBytes * 0.05 * wave(phase, 7200, seconds)),
    uptime: uptimeOf(bootedMs, plan.upSeconds, seconds),
    loadavg: [1, 2, 3].map((i) => plan.cores * (0.1 + 0.3 * wave(phase + i / 20, 1100 + 600 * i, seconds))),
    iowait: 0.004 * wave(phase, 600, seconds),
    ksm: plan.nodeid % 2 === 0 ? 512 * 1024 ** 2 : 0,
  };
}

/** Of a guest that runs. */
export function guestStatistics({ plan, startedMs }: Readonly<WorldGuest>, seconds: number) {
  const uptime = uptimeOf(startedMs, plan.upSeconds, seconds);
  const swing = wave(plan.phase, 900, seconds);
  const idleContainer = plan.type === "lxc" && plan.load < 0.03;
  const moved = (bytesPerSecond: number) => bytesPerSecond * uptime;
  return {
    uptime,
    cpu: idleContainer ? -5.75e-5 : plan.load * (0.5 + swing),
    mem: Math.floor(plan.memoryBytes * (0.5 + 0.3 * swing)),
    memhost: plan.type === "qemu" ? Math.floor(plan.memoryBytes * 0.95) : 0,
    disk: plan.type === "lxc" ? Math.floor(plan.diskBytes * 0.3) : 0,
    netin: moved(plan.rates.netin),
    netout: moved(plan.rates.netout),
    diskread: moved(plan.rates.diskread),
    diskwrite: moved(plan.rates.diskwrite),
  };
}

/** Percentages over ten seconds. */
export function pressureOf({ plan }: Readonly<WorldGuest>, seconds: number) {
  const io = rounded(18 * plan.load * wave(plan.phase, 300, seconds));
  const cpu = rounded(6 * plan.load * wave(plan.phase, 420, seconds));
  return {
    pressurecpusome: cpu,
    pressurecpufull: rounded(cpu * 0.6),
    pressurememorysome: 0,
    pressurememoryfull: 0,
    pressureiosome: io,
    pressureiofull: rounded(io * 0.9),
  };
}

const uptimeOf = (startedMs: number | undefined, upSeconds: number, seconds: number): number =>
  Math.max(0, Math.floor(seconds - (startedMs === undefined ? -upSeconds : startedMs / 1000)));

export const rounded = (value: number): number => Math.round(value * 100) / 100;
