/**
 * How a simulated cluster goes on: what befalls it, and what follows from that at its own time, is worked off in
 * order. A node that is lost is `unknown` to the HA manager, is fenced a minute later, and its services run elsewhere
 * after another; the manager itself is elected anew when it stood on the lost node.
 */
import { match } from "ts-pattern";
import type { NodeCondition, PveEvent, PveHappening } from "./pve-events.ts";
import type { GuestPlan, Inventory } from "./pve-inventory.ts";

/** What the HA manager says of a node. */
export type CrmState = "online" | "maintenance" | "unknown" | "fence" | "gone";
/** What it says of a service. */
export type ServiceState = "started" | "stopped" | "fence" | "recovery" | "migrate" | "freeze" | "error";

export interface WorldNode {
  condition: NodeCondition;
  /** Alone in the network. */
  isolated: boolean;
  /** When the others lost it. */
  lostMs: number | undefined;
  bootedMs: number | undefined;
  /** Undefined: forgotten, an hour after it was removed. */
  crm: CrmState | undefined;
  maintenance: boolean;
  /** Its LRM had services when last something happened to it. */
  lrmActive: boolean;
}

export interface WorldGuest {
  readonly plan: GuestPlan;
  node: string;
  runs: boolean;
  /** Undefined: it has run since before the moment 0. */
  startedMs: number | undefined;
  /** Undefined: not in HA's hands. */
  service: ServiceState | undefined;
  /** Where it goes. */
  target: string | undefined;
  /** Where it comes back to. */
  maintenanceNode: string | undefined;
  failedNodes: string[];
}

export interface WorldDrive {
  health?: string;
  remaining?: number;
  sleeps?: boolean;
}

export interface WorldStorage {
  available?: boolean;
  usedShare?: number;
}

/** From one moment on, to the next; the last lasts. */
export interface Failing {
  readonly fromMs: number;
  toMs: number;
}

/** Milliseconds from one stage to the next, about as the HA manager takes them. */
export const HA_STAGES = {
  /** A round of the manager: nodes lost and back are seen then. */
  round: 10_000,
  /** From unknown to fence. */
  patience: 60_000,
  /** Until the lock of the lost node's agent has run out. */
  fencing: 60_000,
  recovery: 10_000,
  /** Until another node takes the lost manager's place. */
  election: 120_000,
  migration: 20_000,
  disarming: 20_000,
  /** Until a removed node is forgotten. */
  forgetting: 3600_000,
};

type Consequence =
  /** The loss of a node, as long as it was not found again, goes through these stages. */
  | { readonly kind: "loss"; readonly node: string; readonly lostMs: number; readonly stage: LossStage }
  | { readonly kind: "elected"; readonly from: string }
  | { readonly kind: "recovered"; readonly vmid: number; readonly from: string }
  | { readonly kind: "found"; readonly node: string }
  | { readonly kind: "arrived"; readonly vmid: number; readonly to: string }
  | { readonly kind: "disarmed" };

type LossStage = "noticed" | "fenced" | "recovery" | "forgotten";

type Step = (PveEvent | Consequence) & { readonly atMs: number };

export interface WorldState {
  readonly nowMs: number;
  readonly nodes: ReadonlyMap<string, Readonly<WorldNode>>;
  readonly guests: ReadonlyMap<number, Readonly<WorldGuest>>;
  /** By `NODE/DEVPATH`. */
  readonly drives: ReadonlyMap<string, WorldDrive>;
  /** By `NODE/STORAGE`. */
  readonly storages: ReadonlyMap<string, WorldStorage>;
  readonly failingBackups: ReadonlyMap<number, readonly Readonly<Failing>[]>;
  /** The node of the HA manager. */
  readonly master: string;
  /** Since when the manager does nothing. */
  readonly managerLostMs: number | undefined;
  readonly armed: "armed" | "disarming" | "disarmed";
  readonly disarmMode: "freeze" | "ignore";
}

export class World implements WorldState {
  nowMs = Number.NEGATIVE_INFINITY;
  readonly nodes = new Map<string, WorldNode>();
  readonly guests = new Map<number, WorldGuest>();
  readonly drives = new Map<string, WorldDrive>();
  readonly storages = new Map<string, WorldStorage>();
  readonly failingBackups = new Map<number, Failing[]>();
  master: string;
  managerLostMs: number | undefined;
  armed: WorldState["armed"] = "armed";
  disarmMode: WorldState["disarmMode"] = "freeze";
  readonly #storageIds: readonly string[];
  readonly #agenda: Step[];

  constructor({ nodes, guests, storages }: Inventory, happenings: readonly PveHappening[]) {
    for (const { name } of nodes) this.nodes.set(name, newNode());
    for (const plan of guests) this.guests.set(plan.vmid, newGuest(plan));
    this.master = nodes[0]?.name ?? "";
    this.#storageIds = storages.map(({ id }) => id);
    this.#agenda = happenings.toSorted(byTime);
    for (const [name, node] of this.nodes) node.lrmActive = this.#hasServices(name);
  }

  /** Works off what lies before or at this moment. */
  advance(toMs: number): void {
    for (let step = this.#agenda[0]; step !== undefined && step.atMs <= toMs; step = this.#agenda[0]) {
      this.#agenda.shift();
      this.nowMs = step.atMs;
      this.#apply(step);
    }
    this.nowMs = toMs;
  }

  /** What it is like now; it does not change when the world goes on. */
  snapshot(): WorldState {
    return {
      nowMs: this.nowMs,
      nodes: new Map([...this.nodes].map(([name, node]) => [name, { ...node }])),
      guests: new Map([...this.guests].map(([vmid, guest]) => [vmid, { ...guest }])),
      drives: new Map(this.drives),
      storages: new Map(this.storages),
      failingBackups: new Map(
        [...this.failingBackups].map(([vmid, times]) => [vmid, structuredClone(times)]),
      ),
      master: this.master,
      managerLostMs: this.managerLostMs,
      armed: this.armed,
      disarmMode: this.disarmMode,
    };
  }

  #apply(step: Step): void {
    match(step)
      .with({ kind: "node" }, ({ node, condition }) => this.#setCondition(node, condition))
      .with({ kind: "quorum" }, ({ quorate, nodes }) => {
        const alone = nodes ?? [...this.nodes.keys()];
        for (const name of alone) this.#setIsolated(name, !quorate, alone.length);
      })
      .with({ kind: "maintenance" }, ({ node, on }) => this.#setMaintenance(node, on))
      .with({ kind: "migrate" }, ({ vmid, to }) => this.#depart(vmid, to))
      .with({ kind: "arrived" }, ({ vmid, to }) => this.#arrive(vmid, to))
      .with({ kind: "guest" }, ({ vmid, status }) => this.#setStatus(vmid, status))
      .with({ kind: "loss" }, (loss) => this.#lose(loss))
      .with({ kind: "recovered" }, ({ vmid, from }) => this.#recover(vmid, from))
      .with({ kind: "found" }, ({ node }) => this.#setCrm(node, "online"))
      .with({ kind: "elected" }, ({ from }) => this.#elect(from))
      .with({ kind: "disarm" }, ({ mode }) => {
        this.armed = "disarming";
        this.disarmMode = mode;
        this.#later(HA_STAGES.disarming, { kind: "disarmed" });
      })
      .with({ kind: "disarmed" }, () => {
        if (this.armed === "disarming") this.armed = "disarmed";
      })
      .with({ kind: "arm" }, () => {
        this.armed = "armed";
      })
      .with({ kind: "drive" }, ({ kind: _, atMs: __, node, devpath, ...change }) => {
        const key = `${node}/${devpath}`;
        this.drives.set(key, { ...this.drives.get(key), ...change });
      })
      .with({ kind: "storage" }, ({ kind: _, atMs: __, node, storage, ...change }) => {
        const on = node === undefined ? [...this.nodes.keys()] : [node];
        if (!this.#storageIds.includes(storage)) return;
        for (const name of on) {
          const key = `${name}/${storage}`;
          this.storages.set(key, { ...this.storages.get(key), ...change });
        }
      })
      .with({ kind: "backup" }, ({ vmid, fails, atMs }) => {
        const times = this.failingBackups.get(vmid) ?? [];
        const last = times.at(-1);
        if (last !== undefined && last.toMs > atMs) last.toMs = atMs;
        if (fails) times.push({ fromMs: atMs, toMs: Number.POSITIVE_INFINITY });
        this.failingBackups.set(vmid, times);
      })
      .exhaustive();
  }

  #later(afterMs: number, consequence: Consequence): void {
    const step = { ...consequence, atMs: this.nowMs + afterMs };
    const at = this.#agenda.findIndex(({ atMs }) => atMs > step.atMs);
    this.#agenda.splice(at === -1 ? this.#agenda.length : at, 0, step);
  }

  #setCondition(name: string, condition: NodeCondition): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    const wasDown = isDown(node);
    node.condition = condition;
    if (!wasDown && isDown(node)) this.#vanish(name, node);
    if (wasDown && !isDown(node)) this.#boot(name, node);
  }

  #setIsolated(name: string, isolated: boolean, together: number): void {
    const node = this.nodes.get(name);
    if (node === undefined || node.isolated === isolated) return;
    node.isolated = isolated;
    if (isDown(node)) return;
    // Where more than half are alone, no manager is left that could act on it.
    if (isolated && 2 * together < this.nodes.size) this.#vanish(name, node);
    else if (!isolated && node.lostMs !== undefined) this.#reappear(name, node);
    else this.managerLostMs = isolated ? (this.managerLostMs ?? this.nowMs) : undefined;
  }

  #vanish(name: string, node: WorldNode): void {
    node.lostMs = this.nowMs;
    const { round, election, forgetting } = HA_STAGES;
    const loss = { kind: "loss", node: name, lostMs: this.nowMs } as const;
    if (node.condition === "removed") {
      node.crm = "gone";
      this.#later(forgetting, { ...loss, stage: "forgotten" });
    }
    const leads = this.master === name;
    if (leads) {
      this.managerLostMs = this.nowMs;
      this.#later(election, { kind: "elected", from: name });
    }
    this.#later((leads ? election : 0) + round, { ...loss, stage: "noticed" });
  }

  #reappear(name: string, node: WorldNode): void {
    node.lostMs = undefined;
    if (this.master === name) this.managerLostMs = undefined;
    this.#later(HA_STAGES.round, { kind: "found", node: name });
  }

  #boot(name: string, node: WorldNode): void {
    node.bootedMs = this.nowMs;
    for (const guest of this.#on(name)) if (guest.runs) guest.startedMs = this.nowMs;
    this.#reappear(name, node);
  }

  #lose({ node: name, lostMs, stage }: Consequence & { kind: "loss" }): void {
    const node = this.nodes.get(name);
    if (node === undefined || node.lostMs !== lostMs) return;
    const loss = { kind: "loss", node: name, lostMs } as const;
    if (!this.#isManaged()) {
      this.#later(HA_STAGES.round, { ...loss, stage });
      return;
    }
    match(stage)
      .with("noticed", () => {
        if (node.condition !== "removed") node.crm = "unknown";
        if (this.#hasServices(name)) this.#later(HA_STAGES.patience, { ...loss, stage: "fenced" });
      })
      .with("fenced", () => {
        if (node.condition !== "removed") node.crm = "fence";
        for (const guest of this.#on(name)) if (isCaredFor(guest)) guest.service = "fence";
        this.#later(HA_STAGES.fencing, { ...loss, stage: "recovery" });
      })
      .with("recovery", () => {
        if (node.condition !== "removed") node.crm = "unknown";
        for (const guest of this.#on(name)) {
          if (guest.service !== "fence") continue;
          guest.service = "recovery";
          guest.failedNodes = [name];
          this.#later(HA_STAGES.recovery, { kind: "recovered", vmid: guest.plan.vmid, from: name });
        }
      })
      .with("forgotten", () => {
        node.crm = undefined;
      })
      .exhaustive();
  }

  #recover(vmid: number, from: string): void {
    const guest = this.guests.get(vmid);
    if (guest?.service !== "recovery" || guest.node !== from) return;
    const to = this.#refuge(vmid);
    if (to === undefined) {
      this.#later(HA_STAGES.round, { kind: "recovered", vmid, from });
      return;
    }
    guest.node = to;
    guest.service = guest.plan.ha === "stopped" ? "stopped" : "started";
    guest.runs = guest.service === "started";
    guest.startedMs = this.nowMs;
    guest.failedNodes = [];
    this.#touch(to);
  }

  #elect(from: string): void {
    if (this.master !== from || this.managerLostMs === undefined) return;
    const heir = [...this.nodes].find(([, node]) => node.lostMs === undefined && !node.isolated)?.[0];
    if (heir === undefined || !this.#isManaged()) {
      this.#later(HA_STAGES.round, { kind: "elected", from });
      return;
    }
    this.master = heir;
    this.managerLostMs = undefined;
  }

  #setMaintenance(name: string, on: boolean): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    node.maintenance = on;
    if (node.lostMs === undefined) node.crm = on ? "maintenance" : "online";
    if (on) {
      for (const guest of this.#on(name)) {
        const to = this.#refuge(guest.plan.vmid);
        if (guest.service !== "started" || to === undefined) continue;
        guest.maintenanceNode = name;
        this.#depart(guest.plan.vmid, to);
      }
      return;
    }
    for (const guest of this.guests.values()) {
      if (guest.maintenanceNode !== name) continue;
      guest.maintenanceNode = undefined;
      this.#depart(guest.plan.vmid, name);
    }
  }

  #depart(vmid: number, to: string): void {
    const guest = this.guests.get(vmid);
    if (guest === undefined || guest.node === to || !this.nodes.has(to)) return;
    guest.target = to;
    if (isCaredFor(guest)) guest.service = "migrate";
    this.#later(HA_STAGES.migration, { kind: "arrived", vmid, to });
  }

  #arrive(vmid: number, to: string): void {
    const guest = this.guests.get(vmid);
    const there = this.nodes.get(to);
    if (guest === undefined || guest.target !== to || there === undefined) return;
    guest.target = undefined;
    if (guest.service === "migrate") guest.service = guest.runs ? "started" : "stopped";
    if (there.lostMs !== undefined || this.nodes.get(guest.node)?.lostMs !== undefined) return;
    guest.node = to;
    // A container cannot move while it runs: it is started anew.
    if (guest.plan.type === "lxc") guest.startedMs = this.nowMs;
    this.#touch(to);
  }

  #setStatus(vmid: number, status: "running" | "stopped" | "error"): void {
    const guest = this.guests.get(vmid);
    if (guest === undefined) return;
    guest.runs = status === "running";
    guest.startedMs = this.nowMs;
    if (guest.service !== undefined)
      guest.service = status === "error" ? "error" : guest.runs ? "started" : "stopped";
  }

  #setCrm(name: string, state: CrmState): void {
    const node = this.nodes.get(name);
    if (node === undefined || node.lostMs !== undefined) return;
    node.crm = node.maintenance ? "maintenance" : state;
    for (const guest of this.#on(name)) {
      if (guest.service === "fence") guest.service = guest.runs ? "started" : "stopped";
    }
    this.#touch(name);
  }

  /** Without a quorum nobody decides anything. */
  #isManaged(): boolean {
    return [...this.nodes].some(([name, node]) => !isDown(node) && isQuorate(this.nodes, name));
  }

  #touch(name: string): void {
    const node = this.nodes.get(name);
    if (node !== undefined && node.lostMs === undefined) node.lrmActive = this.#hasServices(name);
  }

  /** The node with the fewest services, so that they spread. */
  #refuge(vmid: number): string | undefined {
    const from = this.guests.get(vmid)?.node;
    const load = new Map<string, number>();
    for (const [name, node] of this.nodes) {
      const fit = node.lostMs === undefined && !node.isolated && !node.maintenance && !isDown(node);
      if (name !== from && fit) load.set(name, 0);
    }
    for (const guest of this.guests.values()) {
      const on = guest.target ?? guest.node;
      const count = load.get(on);
      if (count !== undefined && isCaredFor(guest)) load.set(on, count + 1);
    }
    return [...load].toSorted((a, b) => a[1] - b[1])[0]?.[0];
  }

  #on(name: string): WorldGuest[] {
    return [...this.guests.values()].filter(({ node }) => node === name);
  }

  #hasServices(name: string): boolean {
    return this.#on(name).some(isCaredFor);
  }
}

/** Whether one node sees another in the cluster. */
export function sees(nodes: WorldState["nodes"], from: string, to: string): boolean {
  const [seer, seen] = [nodes.get(from), nodes.get(to)];
  if (seen === undefined || isDown(seen)) return false;
  return from === to || (seer?.isolated === false && !seen.isolated);
}

/** Whether more than half of the nodes are in the part of the cluster that this one is in. */
export function isQuorate(nodes: WorldState["nodes"], node: string): boolean {
  const members = [...nodes].filter(([, { condition }]) => condition !== "removed");
  const seen = members.filter(([name]) => sees(nodes, node, name)).length;
  // Of two nodes, a device elsewhere has the third vote.
  return members.length === 2 ? nodes.get(node)?.isolated === false : 2 * seen > members.length;
}

const byTime = (a: PveHappening, b: PveHappening) => a.atMs - b.atMs;

export const isDown = ({ condition }: WorldNode): boolean =>
  condition === "offline" || condition === "removed";

const isCaredFor = ({ service }: WorldGuest): boolean => service !== undefined && service !== "error";

const newNode = (): WorldNode => ({
  condition: "online",
  isolated: false,
  lostMs: undefined,
  bootedMs: undefined,
  crm: "online",
  maintenance: false,
  lrmActive: false,
});

const newGuest = (plan: GuestPlan): WorldGuest => ({
  plan,
  node: plan.node,
  runs: plan.ha === "stopped" ? false : plan.runs || plan.ha === "started",
  startedMs: undefined,
  service: plan.ha === undefined || plan.ha === "ignored" ? undefined : plan.ha,
  target: undefined,
  maintenanceNode: undefined,
  failedNodes: [],
});
