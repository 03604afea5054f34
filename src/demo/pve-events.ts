/** What can befall a simulated Proxmox VE cluster. What follows from it (fencing, recovery, …) takes its own time. */

export type PveEvent =
  | { readonly kind: "node"; readonly node: string; readonly condition: NodeCondition }
  /** These nodes (default: all) are each alone in the network, until they are quorate again. */
  | { readonly kind: "quorum"; readonly quorate: boolean; readonly nodes?: readonly string[] }
  | { readonly kind: "maintenance"; readonly node: string; readonly on: boolean }
  | { readonly kind: "migrate"; readonly vmid: number; readonly to: string }
  /** `error`: its HA service failed too often; it does not run. */
  | { readonly kind: "guest"; readonly vmid: number; readonly status: "running" | "stopped" | "error" }
  /** The HA stack lets go of its watchdogs (release 9). */
  | { readonly kind: "disarm"; readonly mode: "freeze" | "ignore" }
  | { readonly kind: "arm" }
  /** What is not said stays; `health` is smartctl's word, `remaining` a percentage. */
  | {
      readonly kind: "drive";
      readonly node: string;
      readonly devpath: string;
      readonly health?: string;
      readonly remaining?: number;
      readonly sleeps?: boolean;
    }
  /** Its backups fail from now on, or succeed again. */
  | { readonly kind: "backup"; readonly vmid: number; readonly fails: boolean }
  /** On one node, or on all. `usedShare`: of its size. */
  | {
      readonly kind: "storage";
      readonly storage: string;
      readonly node?: string;
      readonly available?: boolean;
      readonly usedShare?: number;
    };

/**
 * `offline`: without power: fenced after a while. The next three are online for the cluster, but calls for them are
 * never answered (`hung`), broken off in the answer (`cut`), or answered late (`slow`). `removed`: no member any more.
 */
export type NodeCondition = "online" | "offline" | "hung" | "cut" | "slow" | "removed";

/** At this many ms after the moment 0; before it for what has been so for long. */
export type PveHappening = PveEvent & { readonly atMs: number };
