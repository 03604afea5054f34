/**
 * Asks many exporters, so many at a time, so that all have answered or been given up at the deadline, and none that is
 * slow takes the time of those that are not: each has its share of the time that is left. Who was slow before comes
 * last; who turns out to be slow is asked again then, in what time the others have left.
 */

/** At a time. */
const MOST = 32;

export interface Turn {
  /** When it is given up, on the clock of `performance.now()`. */
  readonly until: number;
  /** For what is told to the one who is asked: until it is given up for good. */
  readonly allowedMs: number;
}

/** "late": it was given up at the end of its turn. */
export type TurnEnd = "done" | "late";

export interface Turns<Pod> {
  readonly pods: readonly Pod[];
  readonly deadline: number;
  wasSlow(pod: Pod): boolean;
  /** Does not reject. `isLast`: it is not asked again where it is late. */
  ask(pod: Pod, turn: Turn, isLast: boolean): Promise<TurnEnd>;
}

export async function inTurns<Pod>({ pods, deadline, wasSlow, ask }: Turns<Pod>): Promise<void> {
  const queue = [
    ...pods.filter((pod) => !wasSlow(pod)).map((pod) => ({ pod, isLast: false })),
    ...pods.filter(wasSlow).map((pod) => ({ pod, isLast: true })),
  ];
  const slot = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { pod } = next;
      const now = performance.now();
      const waiting = queue.length + 1;
      const until = now + shareMs(deadline - now, waiting);
      const isLast = next.isLast || waiting <= MOST;
      const end = await ask(pod, { until, allowedMs: (isLast ? until : deadline) - now }, isLast);
      if (end === "late" && !isLast) queue.push({ pod, isLast: true });
    }
  };
  await Promise.all(Array.from({ length: Math.min(MOST, pods.length) }, slot));
}

/** How long each may take, if all of them take as long as they may. */
export const shareMs = (timeMs: number, exporters: number): number =>
  timeMs / Math.max(1, Math.ceil(exporters / MOST));
