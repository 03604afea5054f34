/** Tells the log how many volumes have no device, when that changes and not with each scrape. */
import type { Log } from "../log/log.ts";
import { type Discovery, SKIP_REASONS } from "./model.ts";

/** Volumes come and go all the time on some nodes: a change that comes sooner waits for its line, and may be over then. */
const PAUSE_MS = 2 * 60_000;

const NONE = "none";

export class SkipReport {
  readonly #log: Log;
  readonly #now: () => number;
  #said = NONE;
  #saidAt = Number.NEGATIVE_INFINITY;

  /** `now` is a monotonic clock in ms. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  tell(discovery: Discovery): void {
    const totals = totalsOf(discovery);
    if (totals === this.#said || this.#now() - this.#saidAt < PAUSE_MS) return;
    this.#said = totals;
    this.#saidAt = this.#now();
    const fields = { collector: "csi", reason: totals };
    if (totals === NONE) this.#log.info("every CSI volume has a device", { collector: "csi" });
    else if (isUnmounted(discovery)) {
      this.#log.warn("no CSI volume is mounted as far as plumbline can see", {
        ...fields,
        remedy: PROPAGATION_REMEDY,
      });
    } else this.#log.warn("CSI volumes without a device", fields);
  }
}

export const PROPAGATION_REMEDY =
  "in a container, mount the kubelet's directory with mountPropagation: HostToContainer, and at the path that it has on the host";

/** Volumes there are, and a mount of none: most likely mounts do not reach this process's namespace. */
export function isUnmounted({ volumes, skipped }: Discovery): boolean {
  const mounted =
    skipped.same_filesystem + skipped.network_filesystem + skipped.virtual_filesystem + skipped.unresolved;
  return volumes.length === 0 && mounted === 0 && skipped.no_mount > 0;
}

function totalsOf({ skipped }: Discovery): string {
  const totals = SKIP_REASONS.filter((reason) => skipped[reason] > 0);
  return totals.length === 0 ? NONE : totals.map((reason) => `${skipped[reason]} ${reason}`).join(", ");
}
