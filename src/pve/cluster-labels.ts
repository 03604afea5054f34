/** Which value of the label `cluster` each target has, where there are several. */
import type { Log } from "../log/log.ts";

export interface Named {
  /** Of the target. */
  readonly name: string;
  /** What it is to be called; undefined where nobody knows it at the moment. */
  readonly cluster: string | undefined;
}

export class ClusterLabels {
  readonly #log: Log;
  /** What a target was called when it last answered. */
  readonly #known = new Map<string, string>();
  /** Targets that would have shared a label; they go by their own names for as long as the program runs. */
  readonly #byName = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** By the name of the target; no two have the same label. */
  of(targets: readonly Named[]): ReadonlyMap<string, string> {
    for (const { name, cluster } of targets) if (cluster !== undefined) this.#known.set(name, cluster);
    for (let clashing = this.#clashing(targets); clashing.length > 0; clashing = this.#clashing(targets)) {
      for (const { name } of clashing) this.#byName.add(name);
      this.#log.warn("targets of Proxmox VE are called the same, and go by their own names now", {
        targets: clashing.map(({ name }) => name).join(", "),
        remedy: "give each target a cluster of its own in pve.targets",
      });
    }
    return new Map(targets.map(({ name }) => [name, this.#labelOf(name)] as const));
  }

  /** Names are unique, so this ends. */
  #clashing(targets: readonly Named[]): readonly Named[] {
    const sameLabel = Map.groupBy(targets, ({ name }) => this.#labelOf(name));
    return [...sameLabel.values()]
      .filter((sharing) => sharing.length > 1)
      .flat()
      .filter(({ name }) => !this.#byName.has(name));
  }

  #labelOf(name: string): string {
    return this.#byName.has(name) ? name : (this.#known.get(name) ?? name);
  }
}
